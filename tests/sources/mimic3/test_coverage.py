"""Coverage says of each concept what the arrays hold, and of few samples no number."""

from pathlib import Path

import numpy as np
import pytest

from i2m2_med.sources.mimic3.coverage import FEWEST
from i2m2_med.sources.mimic3.items import BENCHMARK17

from .conftest import Build


def test_shares_are_those_of_the_arrays(demo: Path, build: Build) -> None:
    made = build(demo, task="ihm48")
    known = np.isfinite(made.arrays["series"]).any(axis=1)
    assert [entry.concept for entry in made.flow.coverage] == list(BENCHMARK17)
    for place, entry in enumerate(made.flow.coverage):
        assert entry.share == pytest.approx(known[:, place].mean(), abs=1e-4), entry.concept
        few = known[:, place].sum() < FEWEST
        assert (entry.median is None) == few, entry.concept
    rate = made.flow.coverage[BENCHMARK17.index("heart_rate")]
    assert rate.codes == ("211", "220045")
    assert rate.unit == "bpm"
    assert 60 < (rate.median or 0) < 110


def test_series_that_become_one_are_shown_apart(demo: Path, build: Build) -> None:
    by_name = {entry.concept: entry for entry in build(demo).flow.coverage}
    assert by_name["pao2"].codes == ("50821",)
    assert set(by_name["fio2"].codes) <= {"190", "3420", "3422", "50816", "223835"}
    assert len(by_name["gcs"].codes) == 6
    assert 0 < by_name["pao2"].share < 1
