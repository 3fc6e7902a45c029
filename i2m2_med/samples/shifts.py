"""Test samples as another scanner, ward or hour would have given them: suites of shifts with growing severity.

A suite belongs to a data set, whose `Source` names it. `shift.change(samples, severity)` gives the same samples, with patients,
targets and rows unchanged; what a shift draws at random depends on the sample and the shift only, never on the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from i2m2_med.config.run import nearest
from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Source


@dataclass(frozen=True)
class Shift:
    """One way that data may differ."""

    severities: tuple[float, ...]
    """From mild to severe, in `unit`."""
    unit: str
    change: Callable[[Samples, float], Samples]


@dataclass(frozen=True)
class Suite:
    """The shifts of a data set. Its module calls it `SUITE`."""

    name: str
    """Its name for `--shifts`."""
    shifts: Mapping[str, Shift]


def suite_for(name: str, source: Source) -> Mapping[str, Shift]:
    """The shifts of the suite `name`, or the one that `suite.shift` names. Raises ConfigError if the data set has none of that name."""
    asked, _, only = name.partition(".")
    if source.shifted_by is None:
        raise ConfigError(f"there are no shifts for data of '{source.name}'; leave --shifts away")
    suite: Suite = import_module(source.shifted_by).SUITE
    if asked != suite.name:
        raise ConfigError(f"the shifts '{asked}' are not for data of '{source.name}'{nearest(asked, [suite.name])}")
    if only and only not in suite.shifts:
        raise ConfigError(f"the suite '{suite.name}' has no shift '{only}'{nearest(only, suite.shifts)}")
    return {only: suite.shifts[only]} if only else suite.shifts


def groups_apart(samples: Samples, column: str | None) -> dict[str, Samples]:
    """The samples of each value of a column of records alone, by 'only VALUE'; empty where there are fewer than two values."""
    if column not in samples.records.columns:
        return {}
    values = samples.records[column].drop_nulls().unique().sort().to_list()
    held = {f"only {value}": (samples.records[column] == value).fill_null(False).to_numpy() for value in values}
    return {name: samples.take(np.flatnonzero(rows)) for name, rows in held.items()} if len(values) > 1 else {}
