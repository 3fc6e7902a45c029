"""What holds at one moment: known in time, which of several values, of what blood; and stays out of order."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.items import BENCHMARK17, SAPS12

from .conftest import Build
from .small import at, chart, lab, small_tables, write_tables

HEART, SPO2 = SAPS12.index("heart_rate"), BENCHMARK17.index("spo2")


def test_what_was_stored_after_the_input_was_not_known(build: Build, tmp_path: Path) -> None:
    rows = [
        chart(1, 211, 1.0, 60.0, row=1, STORETIME=at(1.2)),
        chart(1, 211, 23.5, 90.0, row=2, STORETIME=at(24.5)),
        chart(2, 211, 1.0, 70.0, row=3, STORETIME=at(24.0)),
        chart(2, 211, 2.0, 75.0, row=4, STORETIME=None),
    ]
    root = write_tables(tmp_path / "t", small_tables(CHARTEVENTS=rows))
    stored, charted = build(root), build(root, available="charted")
    assert stored.arrays["series"][0, 23, HEART] == 60
    assert charted.arrays["series"][0, 23, HEART] == 90
    assert stored.arrays["series"][1, :, HEART].tolist()[1:] == [70] + [75] * 22
    assert stored.flow.audits["stored after the input"] == {"values": 1, "samples": 1}
    assert stored.flow.audits["available"] == {
        "CHARTEVENTS": "STORETIME",
        "LABEVENTS": "CHARTTIME: the table has no STORETIME",
        "OUTPUTEVENTS": "CHARTTIME: the table has no STORETIME",
    }
    assert build(root, gap_hours=6).arrays["series"][0, 23, HEART] == 60  # a gap gives no time to read it
    assert not charted.source.settings.claims_clean


@pytest.mark.parametrize("channels", ["saps12", "benchmark17"])
def test_of_several_values_at_one_moment(build: Build, tmp_path: Path, channels: str) -> None:
    """The one stored last, else the median; not the largest, nor the mean."""
    rows = [
        *(chart(1, 211, 1.5, value, row=row, STORETIME=at(stored)) for row, (value, stored) in enumerate([(90.0, 1.6), (70.0, 1.9), (80.0, 1.7)])),
        *(chart(2, 211, 1.5, value, row=10 + row, STORETIME=None) for row, value in enumerate([60.0, 100.0, 62.0])),
    ]  # fmt: skip
    root = write_tables(tmp_path / "t", small_tables(CHARTEVENTS=rows))
    heart = (SAPS12 if channels == "saps12" else BENCHMARK17).index("heart_rate")
    assert build(root, channels=channels).arrays["series"][:, 1, heart].tolist() == [70, 62]
    published = build(root, channels=channels, moments="published").arrays["series"][:, 1, heart]
    assert published.tolist() == pytest.approx([80, 74] if channels == "saps12" else [90, 100])


def test_a_saturation_counts_by_its_specimen(build: Build, tmp_path: Path) -> None:
    called = {1.5: "ART", 2.5: "MIX", 3.5: None, 4.5: "ART."}
    rows = []
    for row, (hour, specimen) in enumerate(called.items()):
        rows.append(lab(1, 50817, hour, 90.0 + row, row=2 * row, VALUEUOM="%"))
        item = 52033 if specimen == "ART." else 50800
        rows.append(lab(1, item, hour, None, row=2 * row + 1, VALUE=specimen, VALUEUOM=None))
    root = write_tables(tmp_path / "t", small_tables(LABEVENTS=[*rows, lab(2, 50931, 1.0, 100.0, row=99)]))
    found = build(root, channels="benchmark17", window_hours=6).arrays["series"][0, :, SPO2]
    np.testing.assert_array_equal(found, [np.nan, 90, 90, 90, 93, 93])
    published = build(root, channels="benchmark17", window_hours=6, items="published").arrays["series"][0, :, SPO2]
    np.testing.assert_array_equal(published, [np.nan, 90, 91, 92, 93, 93])


def test_urine_of_the_operating_room_is_asked_for(build: Build, tmp_path: Path) -> None:
    first = small_tables()["OUTPUTEVENTS"][0]
    more = [first | {"ROW_ID": 10 + item, "ITEMID": item, "VALUE": 100} for item in (226627, 40061, 41184, 40086)]
    root = write_tables(tmp_path / "t", small_tables(OUTPUTEVENTS=[*small_tables()["OUTPUTEVENTS"], *more]))
    urine = {
        items: build(root, items=items).arrays["series"][0, 2, SAPS12.index("urine")]
        for items in ("checked", "all_urine", "published")
    }
    assert urine == {"checked": 50, "all_urine": 350, "published": 150}  # 40086 is a drain


def two_stays(**first: object) -> dict[str, list[dict[str, object]]]:
    """Patient 1 with a second stay, five days after the first one."""
    stays = small_tables()["ICUSTAYS"]
    second = stays[0] | {"ICUSTAY_ID": 9, "INTIME": at(120), "OUTTIME": at(180)}
    return {"ICUSTAYS": [stays[0] | first, second, stays[1]]}


@pytest.mark.parametrize("first", [{"OUTTIME": at(-1)}, {"INTIME": None}])
def test_a_second_stay_is_not_promoted_to_first(build: Build, tmp_path: Path, first: dict) -> None:
    root = write_tables(tmp_path / "t", small_tables(**two_stays(**first)))
    built = build(root)
    assert built.records["patient"].to_list() == ["2"]
    assert built.steps["ICU stays: in order of time"] == (1, 1)
    assert build(root, unit="every_stay").records["study"].to_list() == ["9", "2002"]
    assert build(root, unit="single_stay").records["study"].to_list() == ["2002"]
    assert build(root, unit="first_admission", length="stay").records["study"].to_list() == ["1002"]
    whole = build(write_tables(tmp_path / "whole", small_tables(**two_stays())))
    assert whole.records["study"].to_list() == ["2001", "2002"]


def test_times_that_fit_nobody_are_refused(build: Build, tmp_path: Path) -> None:
    tables = small_tables()
    far = {
        name: [row | {"CHARTTIME": at(9_000)} for row in tables[name]]
        for name in ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")
    }
    with pytest.raises(SourceError, match="no stay has a single value of the series"):
        build(write_tables(tmp_path / "t", small_tables(**far)))


def test_channels_that_nobody_has_are_named(build: Build, tmp_path: Path) -> None:
    remarks = build(write_tables(tmp_path / "t", small_tables())).flow.remarks
    unseen = [name for name in SAPS12 if name not in ("heart_rate", "bun", "urine")]
    assert remarks == [f"Nobody has a value of {', '.join(unseen)}."]


def test_an_undecidable_date_of_birth_is_refused(build: Build, tmp_path: Path) -> None:
    tables = small_tables()
    tables["PATIENTS"] = [row | {"DOB": "03/04/2100"} for row in tables["PATIENTS"]]
    with pytest.raises(
        SourceError, match=r"DOB can't be read as a time in 100 % .*form dd/dd/dddd, whether day or month"
    ):
        build(write_tables(tmp_path / "t", tables))


def test_an_optional_flag_alone_says_that_somebody_died(build: Build, tmp_path: Path) -> None:
    tables = small_tables()
    tables["PATIENTS"] = [row | {"EXPIRE_FLAG": flag} for row, flag in zip(tables["PATIENTS"], (1, 0), strict=True)]
    records = build(write_tables(tmp_path / "t", tables)).records
    assert records["label_mortality"].to_list() == [-1, 0]
    assert records["_censored"].to_list() == [False, True]
    assert records["_hours"].is_null().to_list() == [True, False]
    assert pl.Series(records["_event"]).to_list() == [False, False]
