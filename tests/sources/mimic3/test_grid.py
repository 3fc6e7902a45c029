"""The hourly grid: bins, fills, masks and the ratio, by hand on small tables."""

from pathlib import Path

import numpy as np
import pytest

from i2m2_med.sources.mimic3.items import SAPS12

from .conftest import Build
from .small import chart, lab, small_tables, write_tables

NAN = float("nan")


def channel(build: Build, root: Path, name: str, **settings: object) -> list[float]:
    """The first patient's series of one channel."""
    return build(root, **settings).arrays["series"][0, :, SAPS12.index(name)].tolist()


def hourly(values: dict[int, float], hours: int = 6) -> list[float]:
    """Values from the hour they are given for until the next."""
    out, last = [], NAN
    for hour in range(hours):
        last = values.get(hour, last)
        out.append(last)
    return out


@pytest.fixture
def hearts(tmp_path: Path) -> Path:
    times = {0.25: 60.0, 0.75: 80.0, 2.0: 100.0, 3.5: 120.0, 26.0: 40.0}
    rows = [chart(1, 211, hour, value, row=row) for row, (hour, value) in enumerate(times.items())]
    late = [chart(1, 211, 30.0, 40.0, row=9), chart(2, 211, 1.0, 70.0, row=10)]
    return write_tables(tmp_path / "t", small_tables(CHARTEVENTS=[*rows, *late]))


def test_half_open_bins_and_causal_fill(build: Build, hearts: Path) -> None:
    found = channel(build, hearts, "heart_rate", window_hours=6)
    assert found == hourly({0: 70, 2: 100, 3: 120})


def test_closed_bins_count_a_record_on_the_hour_twice(build: Build, hearts: Path) -> None:
    found = channel(build, hearts, "heart_rate", window_hours=6, bins="closed")
    assert found == hourly({0: 70, 1: 100, 2: 100, 3: 120})


def test_first_record_as_origin(build: Build, hearts: Path) -> None:
    found = channel(build, hearts, "heart_rate", window_hours=6, origin="first_record")  # 0.25 h after ICU admission
    assert found == hourly({0: 70, 1: 100, 3: 120})


def test_mask_and_since(build: Build, hearts: Path) -> None:
    series = build(hearts, window_hours=6, series_channels=["value", "mask", "since"]).arrays["series"]
    assert series.shape == (2, 6, 36)
    heart = SAPS12.index("heart_rate")
    assert series[0, :, 12 + heart].tolist() == [1, 0, 1, 1, 0, 0]
    assert series[0, :, 24 + heart].tolist() == [0, 1, 0, 0, 1, 2]
    np.testing.assert_array_equal(series[0, :, 24 + SAPS12.index("bilirubin")], np.full(6, NAN))
    np.testing.assert_array_equal(series[0, :, 12 + SAPS12.index("bilirubin")], np.zeros(6))
    assert series[1, :, heart].tolist()[1:] == [70] * 5


def test_labs_from_before_admission_are_carried_in_with_their_age(build: Build, tmp_path: Path) -> None:
    rows = [
        lab(1, 51006, -4.5, 30.0, row=1),
        lab(1, 51006, -6.5, 99.0, row=2),
        lab(1, 51006, 2.2, 33.0, row=3),
        lab(2, 51006, 1.0, 9.0, row=4),
    ]
    root = write_tables(tmp_path / "t", small_tables(LABEVENTS=rows))
    series = build(root, window_hours=4, series_channels=["value", "mask", "since"]).arrays["series"][0]
    bun = SAPS12.index("bun")
    assert series[:, bun].tolist() == [30, 30, 33, 33]
    assert series[:, 12 + bun].tolist() == [0, 0, 1, 0]
    assert series[:, 24 + bun].tolist() == [5, 6, 0, 1]


def test_whole_stay_fill_takes_from_the_future(build: Build, hearts: Path, tmp_path: Path) -> None:
    found = channel(build, hearts, "heart_rate", window_hours=6, fill="whole_stay")
    assert found == hourly({0: 70, 2: 100, 3: 120})
    rows = [lab(1, 50885, 40.0, 7.0, row=1), lab(2, 51006, 1.0, 9.0, row=2)]
    root = write_tables(tmp_path / "late", small_tables(LABEVENTS=rows))
    assert channel(build, root, "bilirubin", fill="whole_stay") == [7.0] * 24
    assert np.isnan(channel(build, root, "bilirubin")).all()
    output = small_tables()["OUTPUTEVENTS"]
    more = [*output, output[0] | {"ROW_ID": 7, "CHARTTIME": "2150-01-03 12:00:00", "VALUE": 150}]
    root = write_tables(tmp_path / "urine", small_tables(OUTPUTEVENTS=more))
    assert channel(build, root, "urine", window_hours=4, fill="whole_stay") == [100, 100, 50, 100]  # mean of the stay
    assert channel(build, root, "urine", window_hours=4) == pytest.approx([NAN, NAN, 50, 50], nan_ok=True)


def test_ratio_of_arterial_samples(build: Build, tmp_path: Path) -> None:
    gases = [
        lab(1, 50821, 1.2, 90.0, row=1, VALUEUOM="mm Hg"),
        lab(1, 50800, 1.2, None, row=2, VALUE="ART", VALUEUOM=None),
        lab(1, 50821, 3.2, 40.0, row=3, VALUEUOM="mm Hg"),
        lab(1, 50800, 3.2, None, row=4, VALUE="VEN", VALUEUOM=None),
        lab(2, 51006, 1.0, 9.0, row=5),
    ]
    charted = [chart(1, 190, 0.5, 0.45, row=1), chart(2, 211, 1.0, 70.0, row=2)]
    root = write_tables(tmp_path / "t", small_tables(LABEVENTS=gases, CHARTEVENTS=charted))
    assert channel(build, root, "pao2_fio2", window_hours=5) == pytest.approx([NAN, 2, 2, 2, 2], nan_ok=True)
    far = [
        chart(1, 190, -3.0, 0.45, row=1),
        chart(2, 211, 1.0, 70.0, row=2),
    ]  # before admission, by more than 4 h of the sample
    root = write_tables(tmp_path / "far", small_tables(LABEVENTS=gases, CHARTEVENTS=far))
    assert np.isnan(channel(build, root, "pao2_fio2", window_hours=5)).all()


@pytest.mark.parametrize(
    ("parts", "score"),
    [
        ([(0.5, 184, 3.0), (0.5, 454, 5.0), (0.5, 723, 4.0)], {0: 12}),
        ([(0.5, 184, 3.0)], {0: 3 + 6 + 5}),  # others normal
        (
            [(0.5, 184, 3.0), (0.5, 454, 5.0), (0.5, 723, 4.0), (2.5, 184, 1.0)],
            {0: 12, 2: 1 + 5 + 4},
        ),  # others as before
        (
            [(0.5, 184, 3.0), (0.5, 454, 5.0), (0.5, 723, 4.0), (6.6, 184, 1.0)],
            {0: 12, 6: 1 + 6 + 5},
        ),  # but not after 6 h
        ([(0.5, 184, 1.0), (0.5, 723, "1.0 ET/Trach")], {0: 15}),
        ([(0.5, 723, "1.0 ET/Trach"), (1.5, 184, 2.0)], {0: 15, 1: 15}),  # still intubated
        ([(0.5, 723, "1.0 ET/Trach"), (0.5, 454, 1.0), (1.5, 723, 4.0)], {0: 15, 1: 4 + 6 + 4}),  # extubated: afresh
    ],
)
def test_coma_score(build: Build, tmp_path: Path, parts: list, score: dict[int, float]) -> None:
    rows = [
        chart(
            1,
            item,
            hour,
            1.0 if isinstance(value, str) else value,
            row=row,
            **({"VALUE": value} if isinstance(value, str) else {}),
        )
        for row, (hour, item, value) in enumerate(parts)
    ]
    root = write_tables(tmp_path / "t", small_tables(CHARTEVENTS=[*rows, chart(2, 211, 1.0, 70.0, row=99)]))
    found = channel(build, root, "gcs", window_hours=8, gcs="published")
    assert found == pytest.approx(hourly(score, 8), nan_ok=True)


def test_the_verbal_response_of_the_intubated_is_missing(build: Build, tmp_path: Path) -> None:
    """Their total comes from eye and motor, with the verbal response before (within 6 h), else a normal one."""
    rows = [
        *(chart(1, item, 0.5, value, row=item) for item, value in ((184, 3.0), (454, 5.0), (723, 4.0))),
        *(chart(1, item, 2.5, value, row=item + 1) for item, value in ((184, 1.0), (454, 1.0))),
        chart(1, 723, 2.5, 1.0, row=9, VALUE="1.0 ET/Trach"),
        *(chart(2, item, 0.5, value, row=item + 5) for item, value in ((220739, 1.0), (223901, 1.0))),
        chart(2, 223900, 0.5, 1.0, row=10, VALUE="No Response-ETT"),
    ]
    built = build(write_tables(tmp_path / "t", small_tables(CHARTEVENTS=rows)), window_hours=4)
    assert built.arrays["series"][0, :, 0].tolist() == [12, 12, 1 + 1 + 4, 6]
    assert built.arrays["series"][1, :, 0].tolist() == [1 + 1 + 5] * 4
    other = build(built.source.settings.root, window_hours=4, channels="benchmark17")
    assert other.arrays["series"][0, :, 6].tolist() == [4] * 4
    assert np.isnan(other.arrays["series"][1, :, 6]).all()


def test_a_stay_never_measured_is_absent(build: Build, tmp_path: Path) -> None:
    tables = small_tables()
    only_second = {name: tables[name][1:] for name in ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")}
    built = build(write_tables(tmp_path / "t", small_tables(**only_second)), series_channels=["value", "mask"])
    assert built.records["has_series"].to_list() == [False, True]
    assert np.isnan(built.arrays["series"][0]).all()
    assert np.isfinite(built.arrays["series"][1, :, 12:]).all()


def test_benchmark_takes_the_last_value_of_the_hour(build: Build, tmp_path: Path) -> None:
    rows = [
        chart(1, 211, 0.2, 60.0, row=1),
        chart(1, 211, 0.8, 90.0, row=2),
        chart(1, 226531, 1.0, 200.0, row=3),
        chart(2, 211, 1.0, 70.0, row=4),
    ]
    built = build(write_tables(tmp_path / "t", small_tables(CHARTEVENTS=rows)), task="ihm48")
    assert built.arrays["series"].shape == (2, 48, 17)
    assert built.arrays["series"][0, 0, 8] == 90
    assert built.arrays["series"][0, 1, 15] == pytest.approx(90.72, abs=0.01)  # lb to kg


def test_all_samples_z_scores_turn_absence_into_zero(build: Build, hearts: Path) -> None:
    built = build(hearts, normalise="all_samples")
    assert np.isfinite(built.arrays["series"]).all()
    assert built.records["has_series"].all()
    np.testing.assert_allclose(built.arrays["series"].mean(axis=(0, 1)), 0, atol=1e-5)
