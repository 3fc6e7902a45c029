"""Calibration fitted on validation data, per availability pattern: what a study lacks changes how sure the product is.

Log-probabilities become scale · e^(bend · uncertainty) · log-probabilities + shift, renormalised. Two classes: bend is zero, so
that order is kept (Platt). More: the scale follows the uncertainty (Balanya, Maroñas and Ramos 2022), and every class has its
shift (vector scaling, Guo et al. 2017): a product that is trained jointly leaves open which expert carries a class's offset, so
one that is left alone is biased. A pattern that validation has not (or hardly) seen takes the nearest one's numbers and says
so (`calibrated` is false). Numbers are kept only where they help patients that they were not fitted on. All of it is plain values,
kept as `calibration.json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import log_softmax

from i2m2_med.engine.calibration.conformal import conformal_sets, fit_conformal
from i2m2_med.engine.calibration.many_classes import calibrate_many, fit_many
from i2m2_med.engine.calibration.patterns import FEWEST, FOLDS, SMALLEST_P, STIFFNESS, folds_of, numbers_for
from i2m2_med.engine.calibration.prior import fit_prior, mend_prior
from i2m2_med.errors import SourceError
from i2m2_med.quantiles import quantile_by_patient

STIFFNESS_OF_MORE = 2.0
"""That of bend and shifts where there are more than two classes: of 50 samples of ten classes they cost a hundredth of the loss."""
OWN, NONE = "own numbers", "none"
"""Outcomes of calibration for a pattern and label: numbers fitted on samples of this pattern, or nothing."""

LogProbabilities = Float[np.ndarray, "sample label classes"]


@dataclass(frozen=True)
class Calibrated:
    """A model's calibrated answers."""

    p: Float[np.ndarray, "sample label classes"]
    calibrated: Bool[np.ndarray, "sample"]
    """False where the pattern was not seen in validation: the nearest one's numbers were used."""
    sets: Shaped[np.ndarray, "sample label"]
    """Class numbers of the class-conditional conformal sets, '+'-joined; None where there is none."""
    split_sets: Shaped[np.ndarray, "sample label"]
    decision: Shaped[np.ndarray, "sample label"]
    """The class decided on, as text: two classes by the operating point, more by the largest probability; None without either."""


def fit_calibration(
    table: pd.DataFrame,
    alpha: float = 0.1,
    sensitivity: float = 0.9,
    prior: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """From the prediction table of validation samples. Raises SourceError if it is empty.

    prior: by label, class shares where the model will be used. Returns patterns (scale and shift per label), thresholds on the
    calibrated p of class 1 (None: decide by the likelier class), conformal limits, and the prior that probabilities are mended from and to, if one is given.
    """
    table = table[table["p"].notna()] if len(table) else table
    if not len(table):
        raise SourceError("there is no validation sample to calibrate on; give `split.valid` a share above 0")
    if "log_rest" in table:
        return fit_many(table, alpha, sensitivity)
    log_probs, target, patient, pattern = arrays_of(table)
    patterns: dict[str, Any] = {}
    for name in np.unique(pattern):
        rows = pattern == name
        fitted = [fit_label(log_probs[rows, at], target[rows, at], patient[rows]) for at in range(target.shape[1])]
        patterns[str(name)] = {"samples": int(rows.sum()), "labels": fitted}
    calibration: dict[str, Any] = {"patterns": patterns}
    p = rescale(log_probs, pattern, calibration)[0]
    points = (
        [_threshold(p[:, at], target[:, at], patient, sensitivity) for at in range(target.shape[1])]
        if p.shape[2] == 2
        else None
    )
    if prior:
        calibration["prior"] = fit_prior(target, p.shape[2], list(dict.fromkeys(table["label"])), prior)
    return calibration | {
        "sensitivity": sensitivity,
        "thresholds": points,
        "conformal": fit_conformal(p, target, patient, alpha),
    }


def calibrate(log_probs: LogProbabilities, pattern: Sequence[str], calibration: dict[str, Any]) -> Calibrated:
    """A model's answers as `calibration` (of `fit_calibration`) mends them. pattern: '+'-joined modalities per sample.

    Another prior moves probabilities only: sensitivity, specificity and class-conditional coverage do not depend on class
    shares, so operating points and sets stay those of validation.
    """
    p, known = rescale(log_probs, np.asarray(pattern, dtype=str), calibration)
    limits = calibration["conformal"]
    sets, split_sets = (set_names(conformal_sets(p, limits[kind])) for kind in ("by_class", "split"))
    mended = p
    if prior := calibration.get("prior"):
        with np.errstate(divide="ignore"):
            mended = np.exp(mend_prior(np.log(p), np.array(prior["was"]), np.array(prior["will_be"])))
    decision = mended.argmax(axis=2)
    if calibration["thresholds"] is not None:
        at_least = np.array([0.5 if one is None else one for one in calibration["thresholds"]])
        decision = (p[:, :, 1] >= at_least).astype(np.int64)
    return Calibrated(mended, known, sets, split_sets, decision.astype(str).astype(object))


def calibrate_table(table: pd.DataFrame, calibration: dict[str, Any]) -> pd.DataFrame:
    """A prediction table with `p` calibrated (`uncalibrated` keeps what was), `calibrated`, `set`, `set_split`, `decision`.

    Sets and decisions are class numbers, as in the column `class`; a set is '+'-joined.
    """
    if "log_rest" in table:
        return calibrate_many(table, calibration)
    log_probs, _, _, pattern = arrays_of(table)
    made = calibrate(log_probs, pattern.tolist(), calibration)
    each, classes = log_probs.shape[1] * log_probs.shape[2], log_probs.shape[2]
    refused = table["p"].isna()
    mended = table.assign(
        uncalibrated=table["p"],
        p=made.p.ravel(),
        calibrated=np.repeat(made.calibrated, each),
        set=np.repeat(made.sets.ravel(), classes),
        set_split=np.repeat(made.split_sets.ravel(), classes),
        decision=np.repeat(made.decision.ravel(), classes),
    )
    mended.loc[refused, ["set", "set_split", "decision"]] = None
    mended.loc[refused, "calibrated"] = False
    return mended


def outcome_by_pattern(calibration: dict[str, Any], patterns: Sequence[str]) -> dict[str, str]:
    """Return by pattern how it is calibrated: `own numbers`, `none`, or for how many labels the nearest pattern's were taken."""
    return {name: _outcome(name, calibration.get("patterns", {})) for name in patterns}


def _outcome(name: str, patterns: dict[str, Any]) -> str:
    labels = len(next(iter(patterns.values()))["labels"]) if patterns else 0
    by_label = [numbers_for(name, at, patterns) for at in range(labels)]
    own, fitted = sum(is_own for _, is_own in by_label), sum(numbers is not None for numbers, _ in by_label)
    if labels and own == labels:
        return OWN
    if not fitted:
        return NONE
    parts = [(own, OWN), (fitted - own, "numbers of the nearest pattern"), (labels - fitted, NONE)]
    return f"of {labels} labels " + ", ".join(f"{count} {what}" for count, what in parts if count)


def set_names(sets: Bool[np.ndarray, "sample label classes"]) -> np.ndarray:
    """(sample, label): the classes of each set, '+'-joined; an empty set is an empty string."""
    names = np.empty(sets.shape[:2], dtype=object)
    for place in np.ndindex(*sets.shape[:2]):
        names[place] = "+".join(str(cls) for cls in np.flatnonzero(sets[place]))
    return names


def rescale(
    log_probs: LogProbabilities, pattern: np.ndarray, calibration: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities (sample, label, classes), and whether each sample's own pattern was fitted (sample,)."""
    p, known = np.exp(log_probs), np.zeros(len(log_probs), dtype=bool)
    for name in np.unique(pattern):
        rows = pattern == name
        own = [True] * log_probs.shape[1]
        for at in range(log_probs.shape[1]):
            numbers, own[at] = numbers_for(str(name), at, calibration["patterns"])
            if numbers is not None:
                p[rows, at] = np.exp(_log_p(numbers, log_probs[rows, at]))
        known[rows] = all(own)
    return p, known


def arrays_of(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities (sample, label, classes), target (sample, label), patient numbers and patterns (sample,).

    The table's rows are in the order of `engine/predict.py`: sample, label, class.
    """
    labels, classes = table["label"].nunique(), table["class"].nunique()
    shape = (-1, labels, classes)
    log_probs = np.log(np.maximum(table["p"].to_numpy(dtype=np.float64).reshape(shape), SMALLEST_P))
    target = table["target"].to_numpy(dtype=np.int64).reshape(shape)[:, :, 0]
    first = table.iloc[:: labels * classes]
    return log_probs, target, pd.factorize(first["patient"])[0], first["pattern"].to_numpy(dtype=str)


def uncertainty(log_probs: Float[np.ndarray, "sample classes"]) -> Float[np.ndarray, "sample 1"]:
    """The entropy of each sample's probabilities as a share of the largest possible: 0 (certain) to 1 (uniform)."""
    log_p = log_softmax(log_probs, axis=-1)
    return -(np.exp(log_p) * log_p).sum(axis=-1, keepdims=True) / np.log(log_p.shape[1])


def fit_label(
    log_probs: Float[np.ndarray, "sample classes"],
    target: Int[np.ndarray, "sample"],
    patient: Int[np.ndarray, "sample"],
) -> dict[str, Any] | None:
    """Scale, bend and shift of one label; None where there are too few patients or one class only.

    They are kept where they lower the NLL of patients that they were not fitted on (`FOLDS` folds of patients, stratified by label),
    else the model's own probabilities stay: what 12 to 30 patients say of calibration costs more than it mends where a model is
    calibrated already.
    """
    known = target >= 0
    log_probs, target, patient = log_probs[known], target[known], patient[known]
    if len(np.unique(patient)) < FEWEST or len(np.unique(target)) < 2:
        return None
    fold = folds_of(target, patient)
    gained = 0.0
    for held in range(FOLDS):
        out = fold == held
        if out.any() and len(np.unique(target[~out])) > 1:
            gain = _log_p(_minimise(log_probs[~out], target[~out]), log_probs[out]) - log_probs[out]
            gained += float(gain[np.arange(out.sum()), target[out]].sum())
    if gained <= 0:
        return {"scale": 1.0, "bend": 0.0, "shift": [0.0] * log_probs.shape[1], "kept": False}
    return _minimise(log_probs, target) | {"kept": True}


def _minimise(log_probs: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Scale, bend and shift that minimise NLL on (sample, classes)."""
    from scipy.optimize import minimize

    n_classes, rows = log_probs.shape[1], np.arange(len(target))
    unsure = uncertainty(log_probs)
    fixed, turn, shift = (0.0, 0.0), (-4.0, 4.0), (-12.0, 12.0)
    two = n_classes == 2
    bounds = [turn, *([fixed, fixed, shift] if two else [turn, *[shift] * n_classes])]  # log scale, bend, shifts
    stiff = np.array([STIFFNESS] + [STIFFNESS if two else STIFFNESS_OF_MORE] * (1 + n_classes))

    def cost(at: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = np.exp(at[0] + at[1] * unsure) * log_probs
        log_p = log_softmax(scaled + at[2:], axis=-1)
        slope = np.exp(log_p)
        slope[rows, target] -= 1
        by_scale = (slope * scaled).sum(axis=1)
        gradient = np.array([by_scale.sum(), by_scale @ unsure[:, 0], *slope.sum(axis=0)])
        return -float(log_p[rows, target].sum()) + float(stiff @ at**2), gradient + 2 * stiff * at

    at = minimize(cost, np.zeros(2 + n_classes), jac=True, method="L-BFGS-B", bounds=bounds).x
    return {"scale": float(np.exp(at[0])), "bend": float(at[1]), "shift": at[2:].tolist()}


def _log_p(numbers: dict[str, Any], log_probs: np.ndarray) -> np.ndarray:
    """Calibrated log-probabilities (sample, classes)."""
    scale = numbers["scale"] * np.exp(numbers.get("bend", 0.0) * uncertainty(log_probs))
    return log_softmax(scale * log_probs + numbers["shift"], axis=-1)


def _threshold(p: np.ndarray, target: np.ndarray, patient: np.ndarray, sensitivity: float) -> float | None:
    """The largest threshold on p (sample, 2) of class 1 that a new positive patient reaches with a chance of `sensitivity`.

    None without negatives, or where there are too few positive patients to promise it (`quantiles.py`).
    """
    hits = target == 1
    limit = quantile_by_patient(-p[hits, 1], patient[hits], 1 - sensitivity) if (target == 0).any() else None
    return None if limit is None else -limit
