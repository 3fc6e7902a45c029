"""Spellings of an empty cell."""

import polars as pl

IN_TEXT = ("", r"\N", "NULL", "<NA>")
"""Of a text column: what databases and data frames write for nothing, and no word."""
IN_TYPED = (*IN_TEXT, "null", "Null", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NaT", "None", "none", ".")
"""Of a column of numbers, times or marks; "." is how SAS writes it."""


def emptied(cells: pl.Series, typed: bool) -> pl.Series:
    """Null where a text cell is a spelling of nothing; blanks around it don't count in typed columns."""
    if not typed:
        blank = cells.is_in(IN_TEXT)
        return cells.set(blank, None) if blank.any() else cells
    bare = cells.str.strip_chars()
    return bare.set(bare.is_in(IN_TYPED), None)
