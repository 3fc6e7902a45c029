"""Columns of a table beside any data set, joined by patient or study: a modality more, by config alone.

    modalities:
      columns: {clinical: {table: clinical.csv, by: patient, columns: [age, sex], categories: [sex]}}

In training the table names patients (or studies) as the data set does; in a study folder to score, `clinical.json` holds the
columns. What is learnt of them is learnt from training (`samples/columns.py`), and the table is in the fingerprint.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.config.modalities import JoinedColumns
from i2m2_med.config.run import RunConfig
from i2m2_med.errors import SourceError
from i2m2_med.files import replace_file
from i2m2_med.sources.source import Flow, Study
from i2m2_med.sources.table.columns import raw_array, refuse_suspects
from i2m2_med.sources.table.leaks import refuse_empty, refuse_telling, telling_columns
from i2m2_med.sources.table.people import refuse_rows
from i2m2_med.sources.table.reading import column, read_table, row_numbers
from i2m2_med.sources.table.settings import Columns
from i2m2_med.sources.table.study import read_cells

UNREADABLE = 0.01
"""Share of a column's cells that may be no numbers."""


def columns_of(joined: JoinedColumns) -> Columns:
    """The columns as a table of its own would name them."""
    return Columns(columns=joined.columns, categories=joined.categories, levels=joined.levels)


def shapes(run: RunConfig) -> dict[str, tuple[int, int]]:
    """By modality, how many of its columns are categories, and how many words each keeps apart."""
    return {name: (len(one.categories), one.levels) for name, one in run.modalities.columns.items()}


def join(records: pl.DataFrame, run: RunConfig, folder: Path, flow: Flow) -> pl.DataFrame:
    """`records` with `has_<modality>` of each table that is joined; its array is written to `folder`."""
    for name, joined in run.modalities.columns.items():
        where = joined.table.name
        table = read_table(joined.table)
        key = column(table, joined.key or joined.by, where)
        refuse_rows(row_numbers(table).filter(key.is_null()), where, f"have no '{key.name}'")
        refuse_rows(
            row_numbers(table).filter(key.is_duplicated()),
            where,
            f"name one {joined.by} more than once in '{key.name}'; give each one row",
        )
        refuse_suspects(table, joined.columns, joined.allow, where)
        place = {cell: at for at, cell in enumerate(key)}
        at = records[joined.by].cast(pl.String).replace_strict(place, default=None, return_dtype=pl.Int64)
        if at.null_count() == len(at):
            raise SourceError(f"{where}: no '{key.name}' is a {joined.by} of the data set; look at by and key")
        flow.audits[f"{name}: samples whose {joined.by} is not in {where}"] = at.null_count()
        reports: dict[str, Any] = {}
        raw = raw_array(table, columns_of(joined), where, UNREADABLE, reports)
        array = np.where(at.is_null().to_numpy()[:, None], np.nan, raw[at.fill_null(0).to_numpy()])
        with replace_file(folder / f"{name}.npy") as beside, beside.open("wb") as file:
            np.save(file, array)
        there: Any = np.isfinite(array).any(axis=1)
        records = records.with_columns(pl.Series(f"has_{name}", there))
    return records


def joined_arrays(run: RunConfig, folder: Path) -> dict[str, np.ndarray]:
    """The arrays that `join` wrote."""
    return {name: np.load(folder / f"{name}.npy") for name in run.modalities.columns}


def refuse_leaks(records: pl.DataFrame, run: RunConfig, folder: Path, labels: tuple[str, ...]) -> None:
    """Raise SourceError for a joined column that all but says a label on training samples."""
    arrays = joined_arrays(run, folder)
    for name, joined in run.modalities.columns.items():
        refuse_empty(records, arrays, {name: columns_of(joined)}, joined.table.name)
        refuse_telling(
            telling_columns(records, arrays, {name: columns_of(joined)}, labels), joined.allow, joined.table.name
        )


def joined_study(study: Study, folder: Path, tables: Mapping[str, JoinedColumns]) -> Study:
    """A study to score with its columns, from `<modality>.json` in its folder; absent where there is none."""
    records, arrays = study.records, dict(study.arrays)
    for name, joined in tables.items():
        cells = read_cells(folder / f"{name}.json") if folder.is_dir() else {}
        if strangers := sorted(set(cells) - set(joined.columns)):
            raise SourceError(
                f"{name}.json: the model knows no column {', '.join(strangers)}; it reads {', '.join(joined.columns)}"
            )
        row = pl.DataFrame({one: pl.Series([cells.get(one)], dtype=pl.String) for one in joined.columns})
        raw = raw_array(row, columns_of(joined), f"{name}.json", UNREADABLE, {})
        arrays[name] = np.repeat(raw, len(records), axis=0)
        records = records.with_columns(pl.lit(bool(np.isfinite(raw).any())).alias(f"has_{name}"))
    return replace(study, records=records, arrays=arrays)
