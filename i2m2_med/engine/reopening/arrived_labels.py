"""Labels that arrive after scoring: a CSV of studies, or of their items, with the true class of each label; or the data set's own file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from i2m2_med.config.run import nearest
from i2m2_med.errors import SourceError
from i2m2_med.sources.source import Labels, Source

KEY = ("study", "item", "patient")
MAX_BYTES = 500_000_000
OFFICIAL = {".json", ".jsonl"}
"""Endings of files that a data set hands out with its labels."""
LARGEST_SHARE = 0.05
"""A column of which a larger share can't be read is refused; below it the values are unknown, and said."""


@dataclass(frozen=True)
class ArrivedLabels:
    """Labels as they were read."""

    table: pl.DataFrame
    """study; item (null: the study as a whole); patient (null: not said); per label the class index, −1 where unknown."""
    names: tuple[str, ...]
    """The labels that the file has."""
    notes: tuple[str, ...]
    """Sentences on what could not be read, without any value of the file."""
    scores: pl.DataFrame | None = None
    """study, label, class, score: of labels with soft scores, those that are above 0."""


def read_labels(path: Path, labels: Labels, source: Source | None = None) -> ArrivedLabels:
    """Read a file of labels: columns study, item and patient (both optional), and labels with class names or indices; a JSON file as
    `source` says.

    Raises SourceError where it is no such table, or more than a twentieth of a column can't be read.
    """
    if source is not None and path.suffix.lower() in OFFICIAL:
        return _official(path, labels, source)
    raw = _read_cells(path)
    if "study" not in raw.columns:
        raise SourceError(f"{path.name} lacks the column 'study'; it has {', '.join(raw.columns[:8])}")
    names = tuple(name for name in labels.names if name in raw.columns)
    for column in raw.columns:
        if column not in (*KEY, *labels.names):
            raise SourceError(
                f"{path.name}: '{column}' is no label of the model{nearest(column, [*KEY, *labels.names])}"
            )
    if not names or not len(raw):
        raise SourceError(f"{path.name} holds no label; the model's are {', '.join(labels.names)}")
    notes: list[str] = []
    columns = {name: _classes(raw[name], labels.classes, path.name, notes) for name in names}
    item = _items(raw, path.name)
    patient = raw["patient"] if "patient" in raw.columns else pl.Series("patient", [None] * len(raw), pl.String)
    table = pl.DataFrame({"study": raw["study"], "item": item, "patient": patient, **columns})
    return ArrivedLabels(_one_row_each(table, path.name, notes), names, tuple(notes))


def _official(path: Path, labels: Labels, source: Source) -> ArrivedLabels:
    """Return the labels in a data set's own file, one row per study."""
    if not path.is_file():
        raise SourceError(f"{path} is not there")
    found = source.official_labels(path, labels)
    if found is None or not len(found):
        why = (
            "holds no label"
            if found is not None
            else f"is JSON, in which {source.name} hands out no labels; give a CSV"
        )
        raise SourceError(f"{path.name} {why}")
    if found["study"].is_duplicated().any():
        raise SourceError(f"{path.name} labels {int(found['study'].is_duplicated().sum())} studies more than once")
    own = [pl.col(f"label_{name}").cast(pl.Int64).alias(name) for name in labels.names]
    table = found.select("study", pl.lit(None, pl.Int64).alias("item"), "patient", *own)
    soft = [name for name in labels.names if f"soft_{name}" in found.columns]
    parts = [
        found.select("study", label=pl.lit(name), soft=f"soft_{name}").explode("soft").drop_nulls().unnest("soft")
        for name in soft
    ]
    return ArrivedLabels(table, labels.names, (), pl.concat(parts) if parts else None)


def _read_cells(path: Path) -> pl.DataFrame:
    """Return every cell as text without blanks around it, null where it is empty."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path.name} is larger than {MAX_BYTES // 1_000_000} MB; give the labels in parts")
        cells = pl.read_csv(path, infer_schema=False, encoding="utf8")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path.name} is not there, or no CSV table in UTF-8 with commas") from error
    bare = cells.rename(lambda name: name.strip().removeprefix("\ufeff"))
    return bare.select(pl.all().str.strip_chars().replace("", None))


def _items(raw: pl.DataFrame, name: str) -> pl.Series:
    """Return item numbers; null in every row where the file speaks of studies as a whole."""
    if "item" not in raw.columns or raw["item"].is_null().all():
        return pl.Series("item", [None] * len(raw), pl.Int64)
    item = raw["item"].cast(pl.Int64, strict=False)
    bad = (item.is_null() | (item < 0)).fill_null(True)
    if bad.any():
        raise SourceError(
            f"{name}: {int(bad.sum())} of {len(raw)} rows have no whole number from 0 as item (first: row {_first(bad)}); "
            "give labels of items and of studies as a whole in two files"
        )
    return item


def _classes(column: pl.Series, classes: Sequence[str], name: str, notes: list[str]) -> pl.Series:
    """Return class indices of one label, −1 where the cell is empty, −1, or (said in `notes`) can't be read.

    A column holds class names or indices. Raises SourceError where both could be meant and differ, or too much can't be read.
    """
    by_name = {cls: at for at, cls in enumerate(classes)}
    by_index = {f"{at}{end}": at for at in range(len(classes)) for end in ("", ".0")}
    asked = column.filter(~column.is_in(["-1", "-1.0"]) & column.is_not_null())
    read = {kind: asked.is_in(list(known)) for kind, known in (("names", by_name), ("indices", by_index))}
    best = "names" if read["names"].sum() >= read["indices"].sum() else "indices"
    known = by_name if best == "names" else by_index
    other = by_index if best == "names" else by_name
    tie = read["names"].sum() == read["indices"].sum()
    if tie and any(other.get(value, known[value]) != known[value] for value in asked.filter(read[best]).unique()):
        raise SourceError(f"{name}: the numbers in '{column.name}' may be class names or indices; write names")
    bad = ~column.is_in([*known, "-1", "-1.0"]) & column.is_not_null()
    if bad.any():
        what = f"{int(bad.sum())} of {len(column)} values of '{column.name}' are no class (first: row {_first(bad)})"
        if bad.sum() > LARGEST_SHARE * len(column):
            raise SourceError(f"{name}: {what}; classes are {', '.join(classes)}, or 0 to {len(classes) - 1}")
        notes.append(f"{name}: {what}; they are unknown.")
    return column.replace_strict(known, default=-1, return_dtype=pl.Int64).fill_null(-1)


def _one_row_each(table: pl.DataFrame, name: str, notes: list[str]) -> pl.DataFrame:
    """Return one row per study and item. Raises SourceError for rows without study, or of one sample that contradict each other."""
    nameless = table["study"].is_null()
    if nameless.any():
        raise SourceError(
            f"{name}: {int(nameless.sum())} of {len(table)} rows name no study (first: row {_first(nameless)})"
        )
    once = table.unique(maintain_order=True)
    if doubled := len(table) - len(once):
        notes.append(f"{name}: {doubled} rows stand there twice and count once.")
    again = once.select("study", "item").is_duplicated()
    if again.any():
        raise SourceError(f"{name}: {int(again.sum())} rows label a study or item more than once, and differ")
    whose = once.select("study", "patient").unique()
    if whose["study"].is_duplicated().any():
        raise SourceError(f"{name}: a study has several patients, or one in some rows only")
    return once


def _first(rows: pl.Series) -> int:
    """Return the number of the first true row, as a spreadsheet counts: the header is row 1."""
    return int(rows.arg_true()[0]) + 2
