"""Test samples as another scanner, ward or hour would have given them: suites of shifts with growing severity.

A suite belongs to a data set. `shifted(samples, shift, severity)` gives the same samples, with patients, targets and rows
unchanged; what a shift draws at random depends on the sample and the shift only, never on the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from i2m2_med.config.run import nearest
from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.knee.shifts import KNEE
from i2m2_med.samples.mimic3.shifts import MIMIC3


@dataclass(frozen=True)
class Shift:
    """One way that data may differ."""

    severities: tuple[float, ...]
    """From mild to severe, in `unit`."""
    unit: str
    change: Callable[[Samples, float], Samples]


SUITES: Mapping[str, Mapping[str, Shift]] = {
    suite: {
        name: Shift(tuple(map(float, severities)), unit, change) for name, (severities, unit, change) in shifts.items()
    }
    for suite, shifts in (("knee", KNEE), ("mimic3", MIMIC3))
}
TRACKS = {"fastmri": "knee", "mimic3": "mimic3"}
"""By source: the suite that fits."""
LEFT_OUT = {"fastmri": "group_acquisition", "mimic3": "group_source"}
"""By source: the column whose values are evaluated apart, as if all others had been left out."""


def suite_for(name: str, source: str) -> Mapping[str, Shift]:
    """The suite `name`, or one shift of it (`knee.noise`). Raises ConfigError if there is none, or it is for another data set."""
    suite, _, only = name.partition(".")
    if suite not in SUITES:
        raise ConfigError(f"there is no suite of shifts '{suite}'{nearest(suite, SUITES)}")
    if TRACKS.get(source) != suite:
        raise ConfigError(f"the shifts '{suite}' are not for data of '{source}'; {_fitting(source)}")
    if only and only not in SUITES[suite]:
        raise ConfigError(f"the suite '{suite}' has no shift '{only}'{nearest(only, SUITES[suite])}")
    return {only: SUITES[suite][only]} if only else SUITES[suite]


def groups_apart(samples: Samples, source: str) -> dict[str, Samples]:
    """The samples of each acquisition (knee) or database source (MIMIC-III) alone; empty where there are fewer than two."""
    column = LEFT_OUT.get(source, "")
    if column not in samples.records.columns:
        return {}
    values = samples.records[column].drop_nulls().unique().sort().to_list()
    held = {f"only {value}": (samples.records[column] == value).fill_null(False).to_numpy() for value in values}
    return {name: subset(samples, np.flatnonzero(rows)) for name, rows in held.items()} if len(values) > 1 else {}


def subset(samples: Samples, rows: np.ndarray) -> Samples:
    """Some rows of the samples."""
    part = Samples.__new__(Samples)
    part.__dict__.update(samples.__dict__)
    part.cached = None  # its rows have other numbers
    part.records = samples.records[rows]
    part.arrays = {name: array[rows] for name, array in samples.arrays.items()}
    part.target = samples.target[rows]
    part.presence = {name: present[rows] for name, present in samples.presence.items()}
    return part


def _fitting(source: str) -> str:
    return f"use '{TRACKS[source]}'" if source in TRACKS else "there is no suite for it yet"
