"""Stopping early: experts are asked in the order of their cost, and the rest is left out where it would hardly change the decision.

After each expert but the last, the combination of those asked so far is calibrated by itself, and a sample stops where its margin
(how far its calibrated probabilities are from another decision) exceeds a threshold. Thresholds are learnt on validation: the
least one for which Clopper and Pearson's upper bound of the share of patients whose decision would be another one than that of all
experts stays within the budget. That share falls as the threshold rises, so that the least passing one may be taken (fixed-sequence
testing: Angelopoulos et al. 2021, *Learn then Test*). Budget and error are shared evenly by the places where a sample may stop.

What is kept is a part of `calibration.json`: `order` and `flops` (of one sample) of the experts, `patients`, and for each stop its
`calibration` and the largest `margins` of patients whose decision would change.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from scipy import special

from i2m2_med.engine.calibration.calibrate import LogProbabilities, arrays_of, calibrate, rescale
from i2m2_med.engine.calibration.patterns import SMALLEST_P
from i2m2_med.types import LogProbs, Present, StackedLogProbs

ERROR = 0.05
"""Chance that the share of patients with another decision exceeds the budget."""
KEPT = 200
"""Margins kept of a stop: more patients than that may not be wrong."""

Combine = Callable[[StackedLogProbs, Present], LogProbs]
Fit = Callable[[pd.DataFrame], dict[str, Any]]


class Followed(NamedTuple):
    """What stopping early does to samples."""

    asked: Int[np.ndarray, "sample"]
    """How many experts each was put to."""
    differs: Shaped[np.ndarray, "sample"]
    """Whether a decision is another one than that of all experts."""


class Told(NamedTuple):
    """The samples of a calibrated prediction table to which every expert has an answer."""

    experts: StackedLogProbs
    patient: Int[np.ndarray, "sample"]
    pattern: Shaped[np.ndarray, "sample"]
    decision: Shaped[np.ndarray, "sample label"]
    table: pd.DataFrame


def fit_early(
    table: pd.DataFrame, names: Sequence[str], flops: Mapping[str, int], combine: Combine, fit: Fit
) -> dict[str, Any]:
    """Return what stopping early needs, from the calibrated prediction table of validation; empty where no sample has several experts.

    names: the model's experts in its order. flops: of one sample, by expert. combine: the model's combiner. fit: table → calibration.
    """
    told = told_by_all(table, names)
    if len(names) < 2 or not len(told.patient):
        return {}
    order = sorted(names, key=lambda name: (flops[name], names.index(name)))
    stops: list[dict[str, Any]] = []
    for count in range(1, len(order)):
        log_probs = combined(told, names, order[:count], combine)
        calibration = fit(told.table.assign(p=np.exp(log_probs).ravel()))
        decided = calibrate(log_probs, told.pattern.tolist(), calibration).decision
        wrong = (decided != told.decision).any(axis=1)
        by_patient = pd.Series(margins(log_probs, told.pattern, calibration)[wrong]).groupby(told.patient[wrong]).max()
        largest = np.sort(by_patient.to_numpy())[::-1][:KEPT].tolist()
        stops.append({"calibration": calibration, "margins": largest})
    patients = len(np.unique(told.patient))
    return {"order": order, "flops": [int(flops[name]) for name in order], "patients": patients, "stops": stops}


def thresholds(early: Mapping[str, Any], budget: float) -> list[float]:
    """Return for each stop the margin that a sample has to exceed: infinite where validation is too small to promise the budget.

    budget: the share of patients whose decision may be another one.
    """
    stops, patients = early["stops"], int(early["patients"])
    counts = np.arange(min(KEPT, patients))
    bound = special.betaincinv(counts + 1, patients - counts, 1 - ERROR / len(stops))
    allowed = int((bound <= budget / len(stops)).sum()) - 1
    if allowed < 0:
        return [np.inf] * len(stops)
    largest = [stop["margins"] for stop in stops]
    return [each[allowed] if allowed < len(each) else 0.0 for each in largest]


def follow(
    table: pd.DataFrame, names: Sequence[str], early: Mapping[str, Any], combine: Combine, budget: float
) -> tuple[Followed, Told]:
    """Return what stopping early does to the samples of a calibrated prediction table that have every expert, and those samples."""
    told = told_by_all(table, names)
    asked, decision = np.full(len(told.patient), len(names)), told.decision.copy()
    for at, limit in reversed(list(enumerate(thresholds(early, budget)))):
        calibration = early["stops"][at]["calibration"]
        log_probs = combined(told, names, early["order"][: at + 1], combine)
        stopped = margins(log_probs, told.pattern, calibration) > limit
        asked[stopped] = at + 1
        decision[stopped] = calibrate(log_probs, told.pattern.tolist(), calibration).decision[stopped]
    return Followed(asked, (decision != told.decision).any(axis=1)), told


def told_by_all(table: pd.DataFrame, names: Sequence[str]) -> Told:
    """Return the samples of a calibrated prediction table to which every expert has an answer."""
    labels, classes = table["label"].nunique(), table["class"].nunique()
    shape = (-1, labels, classes)
    experts = table[[f"p_{name}" for name in names]].to_numpy(dtype=np.float64).T.reshape(len(names), *shape)
    there = np.isfinite(experts).all(axis=(0, 2, 3)) & table["p"].notna().to_numpy().reshape(shape).all(axis=(1, 2))
    log_experts = torch.from_numpy(np.log(np.maximum(experts[:, there], SMALLEST_P)))
    _, _, patient, pattern = arrays_of(table)
    decision = table["decision"].to_numpy().reshape(shape)[there, :, 0]
    rows = table[np.repeat(there, labels * classes)]
    return Told(log_experts, patient[there], pattern[there], decision, rows)


def at_least_smallest(log_experts: StackedLogProbs) -> StackedLogProbs:
    """Return what experts say, as far as validation kept it: a table's probabilities go no lower, and margins were learnt on those."""
    return log_experts.clamp_min(math.log(SMALLEST_P))


def combined(told: Told, names: Sequence[str], asked: Sequence[str], combine: Combine) -> LogProbabilities:
    """Return what the experts `asked` say together."""
    heard = torch.tensor([name in asked for name in names])[:, None].expand(told.experts.shape[:2])
    with torch.no_grad():
        return combine(told.experts, heard).double().numpy()


def margins(
    log_probs: LogProbabilities, pattern: np.ndarray, calibration: dict[str, Any]
) -> Float[np.ndarray, "sample"]:
    """Return how far each sample is from another decision, over its labels the least: two classes in log-odds from the operating
    point, more in log-probability from the likeliest class to the next."""
    log_p = np.log(np.maximum(rescale(log_probs, pattern, calibration)[0], SMALLEST_P))
    if calibration["thresholds"] is None:
        best = np.sort(log_p, axis=2)
        return (best[:, :, -1] - best[:, :, -2]).min(axis=1)
    points = np.array([0.5 if one is None else one for one in calibration["thresholds"]])
    return np.abs(log_p[:, :, 1] - log_p[:, :, 0] - special.logit(points)).min(axis=1)
