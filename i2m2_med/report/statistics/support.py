"""How many patients and samples a metric's value stands on: what an interval may not claim to be better than."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Support(NamedTuple):
    """Patients and (effective) samples by class where a metric is a mean or a comparison of classes, else one number each."""

    patients: tuple[float, ...]
    samples: tuple[float, ...]

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance over patients: patients − 1, or Welch's of as many groups as there are classes."""
        count = np.array(self.patients)
        if not len(count) or (count <= 0).any():
            return 1.0
        return float((1 / count).sum() ** 2 / (1 / (count**2 * np.maximum(count - 1, 1.0))).sum())

    @property
    def size(self) -> float:
        """Patients of one class that would estimate a share as well as these classes their mean."""
        return equal_size(self.patients)

    @property
    def most(self) -> float:
        """The same of samples: each for itself, as if none were alike."""
        return equal_size(self.samples)

    @property
    def everyone(self) -> float:
        """All patients, those in several classes counted in each."""
        return float(sum(self.patients))


NOBODY = Support((), ())


def equal_size(counts: Sequence[float]) -> float:
    """K² / Σ 1 / count."""
    each = np.array(counts, dtype=np.float64)
    return float(len(each) ** 2 / (1 / each).sum()) if len(each) and (each > 0).all() else 0.0


def support(
    metric: str,
    target: Int[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
    importance: Float[np.ndarray, "sample"] | None = None,
) -> Support:
    """Return the support of a metric of one label on samples of known target.

    Balanced accuracy: by class. AUROC and average precision: (positives, the others); of more classes, those of a class of mean
    size. Others: of all. importance: how much each sample counts; then samples are effective ones (Kish).
    """
    known = target >= 0
    target, patient = target[known], patient[known]
    weight = np.ones(len(target)) if importance is None else importance[known]
    if metric not in {"auroc", "average_precision", "balanced_accuracy"}:
        return Support((float(len(np.unique(patient))),), (_kish(weight),))
    classes = [target == one for one in np.unique(target)]
    patients = [float(len(np.unique(patient[rows]))) for rows in classes]
    samples = [_kish(weight[rows]) for rows in classes]
    if len(classes) < 2:
        return NOBODY
    if metric == "balanced_accuracy":
        return Support(tuple(patients), tuple(samples))
    if len(classes) == 2:
        return Support(tuple(reversed(patients)), tuple(reversed(samples)))
    one = equal_size(patients) / len(patients), equal_size(samples) / len(samples)
    return Support((one[0], len(np.unique(patient)) - one[0]), (one[1], _kish(weight) - one[1]))


def mean_support(parts: Sequence[Support]) -> Support:
    """Return the support of a mean over labels of the same patients: as a label of (harmonic) mean size; samples add up."""
    parts = [part for part in parts if part.size > 0]
    if not parts:
        return NOBODY
    if len({len(part.patients) for part in parts}) > 1:
        parts = [Support((part.size,), (part.most,)) for part in parts]
    patients = np.array([part.patients for part in parts])
    samples = np.array([part.samples for part in parts])
    return Support(tuple((len(parts) / (1 / patients).sum(axis=0)).tolist()), tuple(samples.sum(axis=0).tolist()))


def _kish(weight: Float[np.ndarray, "sample"]) -> float:
    return float(weight.sum() ** 2 / np.square(weight).sum()) if len(weight) else 0.0
