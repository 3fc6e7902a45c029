"""Two profiles, each a set of flags that can be switched alone."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from i2m2_med.sources.mimic3 import Settings
from i2m2_med.sources.mimic3.settings import CLEAN, COMPAT

from .conftest import Build

CHANGES: dict[str, set[str]] = {
    "unit": {"records", "series"},
    "length": {"records"},
    "origin": {"series"},
    "bins": {"series"},
    "fill": {"series"},
    "items": {"series"},
    "available": {"series"},
    "moments": {"series"},
    "gcs": {"series"},
    "normalise": {"series", "static"},
    "age": {"static"},
    "comorbidities": {"static"},
    "outcome": {"records"},
    "split": {"records"},
}
"""What of the demo each flag moves, from clean to published."""


def test_a_profile_is_its_flags() -> None:
    for name, flags in (("clean", CLEAN), ("i2m2_compat", COMPAT)):
        settings = Settings(root=Path("x"), profile=name)  # type: ignore[arg-type]
        assert {flag: getattr(settings, flag) for flag in flags} == flags
    assert set(CLEAN) == set(COMPAT) == set(CHANGES)


@pytest.mark.parametrize("flag", sorted(CLEAN))
def test_every_flag_can_be_switched_alone(build: Build, demo: Path, flag: str) -> None:
    clean, other = build(demo), build(demo, **{flag: COMPAT[flag]})
    moved = set()
    if not clean.records.drop("_input_hours").equals(other.records.drop("_input_hours")):
        moved.add("records")
    for name, array in clean.arrays.items():
        if array.shape != other.arrays[name].shape or not np.array_equal(array, other.arrays[name], equal_nan=True):
            moved.add(name)
    assert CHANGES[flag] <= moved
    back = build(demo, profile="i2m2_compat", **{flag: CLEAN[flag]})
    assert len(back.records) > 50


def test_what_is_given_wins_over_profile_and_task() -> None:
    settings = Settings(root=Path("x"), profile="i2m2_compat", task="ihm48", unit="every_stay", window_hours=24)
    assert (settings.unit, settings.window_hours, settings.channels, settings.fill) == (
        "every_stay",
        24,
        "benchmark17",
        "whole_stay",
    )
    again = Settings.model_validate(settings.model_dump())
    assert again == settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"profil": "clean"}, "Extra inputs"),
        ({"profile": "cleen"}, "'clean' or 'i2m2_compat'"),
        ({"horizons": [48, 24]}, "rising order"),
        ({"horizons": []}, "rising order"),
        ({"series_channels": ["mask", "mask"]}, "at most once"),
        ({"icd9_group": 21}, "less than or equal to 20"),
        ({"window_hours": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(root=Path("x"), **settings)
