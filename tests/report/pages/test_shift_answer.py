"""The page of shifts begins with what moves the model most."""

import pandas as pd

from i2m2_med.report.pages.shifts import worst_shift
from i2m2_med.report.statistics.shifts import MODEL

ROWS = [("noise", -0.1, -0.2, 0.0), ("blur", -0.3, -0.4, -0.2), ("motion", float("nan"), float("nan"), float("nan"))]
AREAS = pd.DataFrame(ROWS, columns=["shift", "value", "low", "high"]).assign(
    who=MODEL, metric="auroc", what="worst minus none"
)


def test_the_shift_that_moves_furthest_down_is_named() -> None:
    assert worst_shift(AREAS) == (
        "At its worst, blur moves the model's AUROC by -0.300 [-0.400, -0.200], the furthest down of 2 shifts."
    )
    assert worst_shift(AREAS[:1]) == "At its worst, noise moves the model's AUROC by -0.100 [-0.200, 0.000]."


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert worst_shift(AREAS[2:]) == ""
    assert worst_shift(pd.DataFrame()) == ""
    assert worst_shift(AREAS.assign(metric="nll")) == ""
