"""Columns of numbers and categories → one raw array: numbers as they are, words by their hash; what is learnt from them is learnt from training."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells import times
from i2m2_med.sources.cells.column import CellReader
from i2m2_med.sources.cells.empties import emptied
from i2m2_med.sources.cells.numbers import POINT
from i2m2_med.sources.table.reading import column
from i2m2_med.sources.table.settings import Columns

MOST_WORDS = 1_000
"""Different words of a column that can be a category."""
MOSTLY = 0.9
"""Share of a column's cells that makes it one of dates, or of names that stand once."""
LARGEST = 1e100
"""No measurement is larger, and its square is still a number."""
SECONDS_OF_A_YEAR = 31_557_600
NOTHING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NaT", ".")
"""Words of a category that stand for an empty cell; "none" is a word."""
FEW = 20
"""Rows below which nothing is told from how often words stand."""
IDENTIFIER = re.compile(r"(?:^|_|\b)(?:id|uid|guid|mrn|ssn|accession|identifier)(?:$|_|\b)", re.IGNORECASE)


def typed(cells: pl.Series, kind: Any) -> tuple[pl.Series, dict[str, Any]]:
    """Cells as numbers (or times), null where empty or unreadable, and what could not be read."""
    reader = CellReader(cells.name, kind, lambda _: cells.to_frame().lazy())
    return reader.read(cells), reader.report()


def numbers(table: pl.DataFrame, name: str, where: str, unreadable: float) -> tuple[pl.Series, dict[str, Any]]:
    """A column of numbers; dates, where they are allowed, in years since 1970. Raises SourceError where more than a share of its cells are none; never shows a cell."""
    cells = column(table, name, where)
    if looks_dated(cells):  # allowed, or `refuse_suspects` would have refused it
        times_read, report = typed(cells, pl.Datetime)
        read = times_read.dt.epoch("s") / SECONDS_OF_A_YEAR
    else:
        read, report = typed(cells, pl.Float64)
    if report["unreadable"] > unreadable * max(report["cells"], 1):
        why = f" ({report['why']})" if report["why"] else ""
        raise SourceError(
            f"{where}: {report['unreadable']} of {report['cells']} cells of '{name}' are no numbers, such as {report['form']}{why}; "
            "mend them, name the column under categories, or raise source.unreadable"
        )
    if (read.abs().max() or 0) > LARGEST:  # type: ignore[operator]
        raise SourceError(f"{where}: '{name}' holds a number beyond {LARGEST:.0e}; clear the cell, or mend it")
    return read, report


def words(table: pl.DataFrame, name: str, where: str) -> pl.Series:
    """A column of words; whole numbers stand without a point, so that 1 and 1.0 are one word."""
    cells = column(table, name, where)
    cells = cells.set(cells.is_in(NOTHING), None)
    plain = cells.str.extract(r"^([+-]?\d+)\.0*$", 1)
    return plain.fill_null(cells).alias(name)


def hashed(name: str, word: str) -> float:
    """A word of a column as a whole number below 2⁵²: the same everywhere, and no word that a model would hand on."""
    return float(int.from_bytes(hashlib.sha256(f"{name}\x00{word}".encode()).digest()[:8], "big") >> 12)


def raw_array(
    table: pl.DataFrame, settings: Columns, where: str, unreadable: float, reports: dict[str, Any]
) -> np.ndarray:
    """(row, column) float64, numbers before categories; NaN where a cell is empty. reports: takes what could not be read, by column."""
    parts: list[np.ndarray] = []
    for name in settings.numbers:
        read, reports[name] = numbers(table, name, where, unreadable)
        parts.append(read.to_numpy().astype(np.float64))
    for name in settings.categories or ():
        cells = words(table, name, where)
        known = {word: hashed(name, word) for word in cells.drop_nulls().unique()}
        codes = cells.replace_strict(known, default=None, return_dtype=pl.Float64)
        parts.append(codes.to_numpy().astype(np.float64))
    return np.column_stack(parts)


def looks_numeric(cells: pl.Series) -> bool:
    """Whether all but a few cells are numbers."""
    read, report = typed(cells, pl.Float64)
    return report["cells"] > 0 and report["unreadable"] <= 0.01 * report["cells"] and read.drop_nulls().len() > 0


def looks_dated(cells: pl.Series) -> bool:
    """Whether most cells are dates or times."""
    some = emptied(cells, typed=True).drop_nulls().head(200)
    if not some.len() or some.str.contains(f"^(?:{POINT.pattern})$").mean() > 0.5:  # type: ignore[operator]
        return False
    read = [times.time_of(cell, "day") or times.time_of(cell, "month") for cell in some]
    iso, _, _ = times.iso(some)
    dated = iso.is_not_null() | pl.Series([time is not None for time in read])
    return bool(dated.mean() > MOSTLY)  # type: ignore[operator]


def refuse_suspects(table: pl.DataFrame, columns: Sequence[str], allow: Sequence[str], where: str) -> None:
    """Raise SourceError for an input column that looks like an identifier or a date: it can tell the patient, or the time."""
    for name in columns:
        why = None if name in allow else suspicion(column(table, name, where))
        if why:
            raise SourceError(
                f"{where}: the input column '{name}' {why}; leave it out, or say that it is meant: source.allow: [{name}]"
            )


def suspicion(cells: pl.Series) -> str | None:
    """Why a column should be no input, or None."""
    known = cells.drop_nulls()
    if looks_dated(cells):
        return "holds dates, which tell when rather than what; make an age or a duration of them"
    if known.len() < FEW:
        return None
    distinct = known.n_unique()
    if looks_numeric(cells):
        read = typed(known, pl.Float64)[0].drop_nulls()
        whole = bool((read == read.floor()).all())
        counted = whole and distinct == known.len() and float(read.max() - read.min()) < 2 * known.len()  # type: ignore[operator]
        if whole and distinct > MOSTLY * known.len() and (IDENTIFIER.search(cells.name) or counted):
            return "looks like an identifier: whole numbers, nearly each once"
        return None
    if distinct > MOSTLY * known.len():
        return "looks like an identifier or a free text: nearly every word stands once"
    return f"has {distinct:,} different words, too many for a category" if distinct > MOST_WORDS else None
