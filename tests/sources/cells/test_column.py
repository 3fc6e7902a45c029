"""Cells as people write them: read alike, or unreadable and counted; never guessed."""

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from i2m2_med.sources.cells.column import CellReader
from i2m2_med.sources.cells.forms import form_of

TIME, NUMBER, WHOLE, MARK = pl.Datetime("us"), pl.Float64(), pl.Int64(), pl.Boolean()
AT = datetime(2150, 1, 31, 21, 5)


def read(kind: Any, cells: list[Any], batches: int = 1) -> tuple[list[Any], dict[str, Any]]:
    """The cells as read, in so many batches, and the column's report."""
    series = pl.Series("X", cells)
    column = CellReader("X", kind, lambda _: series.to_frame().lazy())
    size = -(-len(cells) // batches)
    parts = [column.read(series.slice(start, size)) for start in range(0, len(cells), size)]
    return pl.concat(parts).to_list(), column.report()


@pytest.mark.parametrize(
    "text",
    [
        "2150-01-31 21:05:00", "2150-01-31T21:05:00", "2150-01-31t21:05", "2150-01-31 21:05", "2150-01-31 21:05:00.000",
        "2150-01-31 21:05:00,000000000", "2150-01-31 21:05:00 UTC", "2150-01-31T21:05:00Z", "2150-01-31 21:05:00+00:00",
        "2150-01-31 21:05:00-0500", "2150-01-31 21:05:00-05", " 2150-01-31  21:05:00 ", "2150/01/31 21:05", "2150-1-31 21:05:00",
        "21500131T210500", "21500131210500", "31.01.2150 21:05", "31.1.2150, 21:05:00", "31-Jan-2150 21:05",
        "31JAN2150:21:05:00", "January 31, 2150 9:05 PM", "Jan 31 2150 21:05", "2150-01-31 09:05 pm", "31/01/2150 21:05", "01/31/2150 9:05:00 PM",
        "1/31/2150 9:05 p.m.",
    ],
)  # fmt: skip
def test_one_moment_in_many_forms(text: str) -> None:
    values, report = read(TIME, [text])
    assert values == [AT]
    assert report["unreadable"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "01/31/50 21:05", "50-01-31 21:05", "2150-02-30 10:00:00", "2150-13-01", "2150-01-31 24:00:00", "2150-01-31 21:65",
        "5682344700", "5682344700000", "91345.878472", "0001-01-01 00:00:00", "9999-12-31", "31-Foo-2150", "2150-01-31 21:05 PST", "13/13/2150",
        "21:05:00", "2150-01", "13:05 PM 01/31/2150", "2150-01-31 13:05 PM", "01/02/2150 10:00",
    ],
)  # fmt: skip
def test_what_is_no_time_or_has_two_readings_is_unreadable(text: str) -> None:
    values, report = read(TIME, [text])
    assert values == [None]
    assert (report["cells"], report["unreadable"], report["form"]) == (1, 1, form_of(text))
    assert not any(sign.isdigit() for sign in report["form"])


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_the_whole_column_decides_whether_day_or_month_comes_first(batches: int) -> None:
    first = ["01/02/2150 10:00"] * 4
    months, report = read(TIME, [*first, "12/31/2150 10:00"], batches)
    assert months[0] == datetime(2150, 1, 2, 10)
    days, _ = read(TIME, [*first, "31/12/2150 10:00"], batches)
    assert days[0] == datetime(2150, 2, 1, 10)
    neither, report = read(TIME, [*first, "31/12/2150 10:00", "12/31/2150 10:00"], batches)
    assert set(neither) == {None}
    assert report["why"] == "whether day or month comes first can't be told"


@pytest.mark.parametrize("batches", [1, 2])
def test_several_forms_in_one_column(batches: int) -> None:
    cells = [
        "2150-01-31 21:05:00",
        "01/31/2150 21:05",
        None,
        "2150-01-31T21:05:00Z",
        "",
        "NULL",
        "NaT",
        r"\N",
        "31-Jan-2150 21:05",
    ]
    values, report = read(TIME, cells, batches)
    assert [value for value in values if value] == [AT] * 4
    assert (report["cells"], report["unreadable"], report["zones"]) == (4, 0, ["+00:00"])


def test_twelve_hours_without_am_or_pm_are_seen() -> None:
    cells = [f"2150-01-{day:02d} {hour:02d}:10:00" for day in range(1, 8) for hour in range(1, 13)]
    assert read(TIME, cells)[1]["why"] == "its hours go from 1 to 12 without AM or PM"
    assert read(TIME, [*cells, "2150-01-31 00:10:00"])[1]["unreadable"] == 0
    assert read(TIME, ["2150-01-31 12:00:00"] * 90)[1]["unreadable"] == 0  # always noon


def test_dates_and_zones_are_counted() -> None:
    report = read(TIME, ["2150-01-31", "2150-01-31 00:00:00", "2150-01-31 10:00:00+02:00", "2150-01-31 10:00-02:30"])[1]
    assert (report["dates"], report["zones"]) == (1, ["+02:00", "-02:30"])
    zoned = pl.Series("X", [AT]).dt.replace_time_zone("America/New_York")
    column = CellReader("X", TIME, lambda _: zoned.to_frame().lazy())
    assert column.read(zoned).to_list() == [AT]
    assert column.report()["zones"] == ["America/New_York"]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["80", "80.5", " 7 ", "1e3", ".5", "-3"], [80, 80.5, 7, 1000, 0.5, -3]),
        (["36,6", "80", "1,25"], [36.6, 80, 1.25]),
        (["1.234,5", "36,6"], [1234.5, 36.6]),
        (["1,234", "80.5", "1,234,567.5"], [1234, 80.5, 1234567.5]),
        (["３６．６", "−5", "８０"], [36.6, -5, 80]),
        (["", "NULL", "NA", "NaN", r"\N", "<NA>", None, "5"], [*[None] * 7, 5]),
    ],
)
def test_numbers_as_people_write_them(cells: list[Any], values: list[Any]) -> None:
    found, report = read(NUMBER, cells)
    assert found == values
    assert report["unreadable"] == 0


@pytest.mark.parametrize(
    "cells",
    [
        ["1,234"],
        ["36,6", "36.6"],
        ["1_000"],
        [">60"],
        ["12 %"],
        ["inf"],
        ["10²"],
        ["0x10"],
        ["1 234"],
        ["½"],
        ["٣"],
        ["1,23,456"],
    ],
)
def test_what_is_no_number_or_could_be_two_is_unreadable(cells: list[str]) -> None:
    values, report = read(NUMBER, cells)
    assert values[0] is None
    assert report["unreadable"] >= 1


def test_whole_numbers_and_marks() -> None:
    values, report = read(WHOLE, ["126179.0", "5", "5.5", "1e18", "", "12,5"])
    assert values == [126179, 5, None, 10**18, None, None]
    assert report["unreadable"] == 2
    assert read(WHOLE, [7.0, 7.5, float("nan")])[0] == [7, None, None]
    assert read(MARK, ["1", "0", "1.0", "True", "", None, "N", "maybe"])[0] == [
        True,
        False,
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert read(MARK, ["maybe"])[1]["unreadable"] == 1
    assert read(TIME, [5682344700])[1]["why"] == "numbers stand where times should"
    assert read(pl.String(), ["", r"\N", "NULL", "NA", "x"])[0] == [None, None, None, "NA", "x"]


def test_forms_hold_no_value() -> None:
    assert form_of("2150-01-02T10:20:30Z") == "dddd-dd-ddTdd:dd:ddZ"
    assert form_of("Müller 12.5 mg\n") == "aaaaaa dd.d aa?"
    assert len(form_of("7" * 500)) == 41
