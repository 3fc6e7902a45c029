"""The quantile of a calibration sample that holds for one patient more, in finite samples.

Samples of one patient are not exchangeable, patients are. So each patient's samples share one weight and one more patient's
weight stands at infinity (hierarchical conformal prediction, Lee, Barber and Willett 2023). With one sample per patient it is the
⌈(1 − α)(n + 1)⌉-th smallest score.
"""

import numpy as np
from jaxtyping import Float, Int


def quantile_by_patient(
    score: Float[np.ndarray, "sample"], patient: Int[np.ndarray, "sample"], alpha: float
) -> float | None:
    """The least score that at most `alpha` of the patients' weight exceeds, one patient more being unknown; None = infinity."""
    if len(score) == 0:
        return None
    _, code, size = np.unique(patient, return_inverse=True, return_counts=True)
    order = np.argsort(score)
    mass = np.cumsum(1 / size[code[order]]) / (len(size) + 1)
    enough = mass >= 1 - alpha - 1e-9
    return float(score[order[int(enough.argmax())]]) if enough.any() else None
