"""Settings of how runs are judged."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from i2m2_med.config.settings import Settings


class PrimaryComparison(Settings):
    """The one comparison that was chosen before any result was seen: its p-values alone are adjusted and may be concluded from."""

    metric: Literal["auroc", "average_precision", "accuracy", "balanced_accuracy", "nll", "brier", "soft_accuracy"] = (
        "auroc"
    )
    """Of samples; the mean over labels where there are several."""
    rivals: tuple[str, ...] = ()
    """Paradigms that the reference is tested against, with Holm's adjustment over them; every other one where none is named."""


class Evaluation(Settings):
    """How runs are judged."""

    came_later = ("consistency", "pictures")
    bootstrap: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    """Replicates, resampled by patient."""
    sensitivity: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """The operating point is chosen on validation so that patients not seen are found with at least this chance: the report shows
    what it reaches on test. It takes ⌈s/(1 − s)⌉ positive patients of validation, 9 for 0.9; with fewer there is none."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Conformal sets miss the truth in at most this share."""
    calibrate: bool = True
    """Fit scales and shifts of log-probabilities per availability pattern on validation."""
    prior: dict[str, tuple[Annotated[float, Field(gt=0, lt=1)], ...]] = {}
    """By label, the share of each class where the model will be used, such as `{acl: [0.95, 0.05]}`: probabilities are mended
    from the shares of validation to these. Operating points and conformal sets don't depend on shares and stay."""
    volumes: Literal["none", "max", "mean", "noisy_or"] = "none"
    """Report on studies too: how items (slices) are put together."""
    consistency: bool = False
    """Report the share of studies all of whose items are decided right, such as one sentence on several pictures, and of those all
    of whose items are decided alike, such as paraphrases of one question."""
    pictures: bool = True
    """Reports (and so the store of runs) show a handful of test samples as the model saw them; never a note, a date, or a name."""
    reference: str = "i2m2"
    """The paradigm that the others are paired with."""
    primary: PrimaryComparison | None = None
    """The comparison that conclusions rest on, such as `{metric: auroc, rivals: [intra, inter]}`; without it all are exploratory."""

    @model_validator(mode="after")
    def check_prior(self) -> "Evaluation":
        """Raise ValueError where a prior is given without calibration: there are no class shares to mend from."""
        if self.prior and not self.calibrate:
            raise ValueError("evaluation.prior needs evaluation.calibrate: it mends calibrated probabilities")
        return self
