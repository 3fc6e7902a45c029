"""Numbers as text: decimal points, decimal commas where a column has no points, separated thousands, full-width digits.

1_000, >60, 12 % and the like are no numbers.
"""

import re
from typing import Literal

import polars as pl

Comma = Literal["decimal", "thousands"]
WIDE = str.maketrans("０１２３４５６７８９．，－＋−", "0123456789.,-+-")
POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
DECIMAL = re.compile(r"[+-]?(?:\d*|\d{1,3}(?:\.\d{3})+),\d+", re.ASCII)
DECIMAL_FOR_SURE = r"^\s*[+-]?(?:0,\d+|\d*,\d{1,2}|\d*,\d{4,}|\d{4,},\d+|\d{1,3}(?:\.\d{3})+,\d+)\s*$"
POINT_FOR_SURE = r"^\s*[+-]?(?:\d*\.\d+|\d{1,3}(?:,\d{3})+\.\d+)\s*$"
UNDECIDED = "whether its commas are decimal can't be told"


def comma_of(cells: pl.LazyFrame, column: str) -> Comma | None:
    """Return the meaning of a comma in a whole column: decimal if some can be nothing else and no cell has a decimal
    point, thousands if it has decimal points and no such comma; None where the cells contradict each other or don't say."""
    text = pl.col(column)
    decimal, point = (text.str.contains(sure).any() for sure in (DECIMAL_FOR_SURE, POINT_FOR_SURE))
    has = cells.select(decimal=decimal, point=point).collect(engine="streaming").row(0)
    return {(True, False): "decimal", (False, True): "thousands"}.get(has)  # type: ignore[return-value]


def number_of(text: str, comma: Comma | None) -> float | None:
    """The number that a text stands for, None if for none.

    >>> number_of("1,234.5", "thousands"), number_of("36,6", "decimal"), number_of("３６.６", None), number_of("1_000", None)
    (1234.5, 36.6, 36.6, None)
    """
    plain = text.translate(WIDE)
    if POINT.fullmatch(plain):
        return float(plain)
    if comma == "thousands" and THOUSANDS.fullmatch(plain):
        return float(plain.replace(",", ""))
    if comma == "decimal" and DECIMAL.fullmatch(plain):
        return float(plain.replace(".", "").replace(",", "."))
    return None
