"""`calibration.json` of a model folder, typed: a stranger's of another form is refused before it is used."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2m2_med.console import plain
from i2m2_med.engine.calibration.early import KEPT
from i2m2_med.predictions import MANY

Limits = list[float | None]
Shift = Annotated[float, Field(ge=-1e9, le=1e9)]
"""Of a log-probability: larger ones are no probabilities any more."""
Share = Annotated[float, Field(gt=0, le=1)]


class Strict(BaseModel):
    """Typed strictly, numbers finite. Names that are not listed are kept: another version may say more."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class LabelCalibration(Strict):
    """One label's numbers in one availability pattern."""

    scale: Annotated[float, Field(gt=0, le=1e9)]
    bend: Shift = 0.0
    shift: list[Shift]


class Pattern(Strict):
    """One availability pattern: what was fitted per label, and on how many samples."""

    samples: Annotated[int, Field(ge=0)]
    labels: list[LabelCalibration | None]


class Conformal(Strict):
    """Limits of conformal sets, per label, and per label and class."""

    split: Limits
    by_class: list[Limits]


class Prior(Strict):
    """Class shares that probabilities are mended from and to, per label and class (engine/calibration/prior.py)."""

    was: list[list[Share]]
    will_be: list[list[Share]]


class Calibration(Strict):
    """The file of a model that is calibrated."""

    patterns: dict[str, Pattern]
    thresholds: list[Annotated[float, Field(ge=0, le=1)] | None] | None
    conformal: Conformal
    prior: Prior | None = None
    classes: Annotated[int, Field(gt=MANY, le=1_000_000)] | None = None
    """Of labels of many classes: how many; then there are no shifts, and no limits by class."""


class Stop(Strict):
    """A place where a sample may stop (engine/calibration/early.py)."""

    calibration: Calibration
    margins: Annotated[list[Annotated[float, Field(ge=0)]], Field(max_length=KEPT)]


class Early(Strict):
    """What `score --budget` needs."""

    order: Annotated[list[str], Field(min_length=2)]
    flops: list[Annotated[int, Field(ge=0, le=10**18)]]
    patients: Annotated[int, Field(ge=1, le=10**12)]
    stops: list[Stop]

    def misfit(self) -> str | None:
        """Return the mistake in it; None where there is none."""
        if not len(self.order) == len(set(self.order)) == len(self.flops) == len(self.stops) + 1:
            return "does not say of each expert when it is asked"
        each = [stop.margins for stop in self.stops]
        if any(len(margins) > self.patients or margins != sorted(margins, reverse=True) for margins in each):
            return "has margins that are not the largest of its patients"
        return None


class Whole(Calibration):
    """The file: a calibration, and where the model has several experts what stopping early needs."""

    early: Early | None = None


def misfit(about: Mapping[str, Any], calibration: dict[str, Any]) -> str | None:
    """Return the mistake in a model's calibration, beside `model.json`; None where there is none, or no calibration."""
    labels, classes = len(about["labels"]), len(about["classes"])
    if not calibration:
        return None
    try:
        typed = Whole.model_validate(calibration)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = plain(".".join(map(str, first["loc"]))).replace("\n", " ")[:80]
        return f"is not a calibration ({place}: {first['msg']})"
    early = typed.early
    if wrong := early and early.misfit():
        return wrong
    fitted = [typed, *(stop.calibration for stop in early.stops)] if early else [typed]
    if all(fits(one, labels, classes) for one in fitted) and not (early and typed.classes):
        return None
    return "has not the labels and classes of model.json"


def fits(typed: Calibration, labels: int, classes: int) -> bool:
    """Whether a calibration is of this many labels and classes."""
    limits, patterns = typed.conformal, typed.patterns.values()
    each = classes if typed.classes is None else 0
    shares = [] if typed.prior is None else [typed.prior.was, typed.prior.will_be]
    return (
        (typed.classes is not None) == (classes > MANY)
        and (typed.classes or 0) <= classes
        and (typed.thresholds is None or classes == 2)
        and all([len(row) for row in one] == [each] * labels for one in shares)
        and all(len(pattern.labels) == labels for pattern in patterns)
        and all(len(one.shift) == each for pattern in patterns for one in pattern.labels if one)
        and len(limits.split) == labels
        and [len(row) for row in limits.by_class] == [each] * labels
        and len(typed.thresholds or limits.split) == labels
    )
