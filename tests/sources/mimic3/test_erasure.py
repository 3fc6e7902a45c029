"""Time is tested by erasure: without any row from after the input, the inputs are the same bytes, or the profile is not clean."""

from pathlib import Path

import pytest

from i2m2_med.errors import SourceError
from i2m2_med.simulate.mimic3.write import simulate
from i2m2_med.sources.mimic3.settings import CLEAN, COMPAT

from .conftest import Build
from .erasure import changed, erase

KINDS = ["value", "mask", "since"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "tables"
    simulate(out, patients=150, seed=5)
    return out


@pytest.mark.parametrize(
    "settings",
    [
        {"series_channels": KINDS},
        {"task": "icd9", "icd9_group": 7},
        {"task": "ihm48", "series_channels": KINDS},
        {"window_hours": 12, "gap_hours": 6},
        {"unit": "first_admission"},
    ],
)
def test_clean_inputs_of_the_demo_know_nothing_of_the_future(
    build: Build, thin: Path, tmp_path: Path, settings: dict
) -> None:
    before = build(thin, **settings)
    assert before.source.settings.claims_clean
    assert changed(thin, before, build(erase(thin, tmp_path / "erased", before), **settings)) == {}


@pytest.mark.parametrize("settings", [{"series_channels": KINDS}, {"task": "icd9"}, {"task": "ihm48"}])
def test_clean_inputs_of_all_three_modalities(build: Build, simulated: Path, tmp_path: Path, settings: dict) -> None:
    before = build(simulated, notes={}, **settings)
    assert before.records["has_notes"].sum() > 50
    assert changed(simulated, before, build(erase(simulated, tmp_path / "erased", before), notes={}, **settings)) == {}


def test_i2m2_compat_fails_and_says_where(build: Build, thin: Path, tmp_path: Path) -> None:
    before = build(thin, profile="i2m2_compat", normalise="train")
    assert not before.source.settings.claims_clean
    erased = erase(thin, tmp_path / "erased", before)
    with pytest.raises(
        SourceError, match="no sample is left"
    ):  # to be a sample at all takes a record from after the input
        build(erased, profile="i2m2_compat", normalise="train")
    rest = changed(thin, before, build(erased, profile="i2m2_compat", normalise="train", length="stay"))
    assert rest == {
        "samples gone": 7,  # in the ICU for less than the window, on the ward for longer
        "series: gcs": 3,
        "series: sbp": 33,  # charted in the input's last hours, stored after it
        "series: heart_rate": 30,
        "series: temperature": 12,
        "series: pao2_fio2": 8,
        "series: urine": 82,  # filled with the mean of the whole stay
        "series: bilirubin": 10,  # first measured after the input, and carried back
        "static: hematologic_malignancy": 6,  # discharge codes
        "static: metastatic_cancer": 15,
    }


LEAKS = {
    "fill": "series: urine",
    "comorbidities": "static: metastatic_cancer",
    "length": "samples gone",
    "available": "series: urine",
}


@pytest.mark.parametrize("flag", sorted(set(CLEAN)))
def test_each_flag_alone_leaks_or_does_not(build: Build, thin: Path, tmp_path: Path, flag: str) -> None:
    """From clean to compat by one flag. Statistics over all samples are the one leak that erasing a patient's rows can't show."""
    settings = {flag: COMPAT[flag]}
    before = build(thin, **settings)
    erased = erase(thin, tmp_path / "erased", before)
    found = changed(thin, before, build(erased, **settings))
    assert LEAKS[flag] in found if flag in LEAKS else found == {}
    assert before.source.settings.claims_clean == (flag not in LEAKS and flag != "normalise")
