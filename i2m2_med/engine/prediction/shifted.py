"""Predictions on shifted samples, shift by shift, and on groups of samples apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.preparing import open_source
from i2m2_med.samples.shifts import Shift, groups_apart


@dataclass(frozen=True)
class ShiftedTables:
    """One shift at one severity: a prediction table per model, or why there is none."""

    name: str
    step: int
    severity: float
    tables: tuple[pd.DataFrame, ...] = ()
    skipped: str = ""


def shifted_predictions(
    models: Sequence[Predictor], samples: Sequence[Samples], suite: Mapping[str, Shift]
) -> Iterator[ShiftedTables]:
    """Every shift of the suite at every severity. samples: one per model, as it reads them.

    In a suite of several, a shift that these data can't undergo (one coil, no notes) is skipped with its reason; alone it raises.
    """
    for name, shift in suite.items():
        for step, severity in enumerate(shift.severities, start=1):
            try:
                pairs = zip(models, samples, strict=True)
                tables = tuple(model.predict(shift.change(one, severity)) for model, one in pairs)
            except (ConfigError, RuntimeError) as error:
                reason = unfit(error)
                if reason is None or len(suite) == 1:
                    raise
                yield ShiftedTables(name, step, severity, skipped=f"{name} was left out: {reason}")
                break
            yield ShiftedTables(name, step, severity, tables)


def unfit(error: BaseException) -> ConfigError | None:
    """The ConfigError behind an error (MONAI wraps what a transform raises), or None where it is something else."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ConfigError):
        seen = seen.__cause__ or seen.__context__
    return seen


def group_predictions(models: Sequence[Predictor], samples: Sequence[Samples]) -> dict[str, list[pd.DataFrame]]:
    """Predictions on the samples of each group that the data set holds apart (`Source.held_apart_by`), one table per model."""
    by_group: dict[str, list[pd.DataFrame]] = {}
    for model, one in zip(models, samples, strict=True):
        for name, part in groups_apart(one, open_source(model.run).held_apart_by).items():
            by_group.setdefault(name, []).append(model.predict(part))
    return by_group
