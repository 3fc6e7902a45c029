"""Calibration of labels of many classes, from the rows that their tables keep (`log_rest`): one scale per pattern and label.

The classes without a row are taken to share their mass evenly, before and after scaling: of a class of which no more is known
than that it is not among the likeliest, nothing else can be said, and what comes out is a distribution over all classes. Shifts of
single classes have too few samples each. A conformal set is split conformal; class-conditional ones would need samples of
each class. A set that may go on among classes without a row ends in '+…'. Class shares of another population are refused.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from i2m2_med.engine.calibration.patterns import FEWEST, FOLDS, SMALLEST_P, STIFFNESS, folds_of, numbers_for
from i2m2_med.places import Places, places_of, true_place
from i2m2_med.predictions import KEPT
from i2m2_med.quantiles import quantile_by_patient

GOES_ON = "…"
WIDEST = 4.0
"""Of the log of a scale."""

Logs = Float[np.ndarray, "sample place"]
Rest = Float[np.ndarray, "sample"]
Left = Int[np.ndarray, "sample"]
"""How many classes are without a row."""


def fit_many(table: pd.DataFrame, alpha: float, sensitivity: float) -> dict[str, Any]:
    """As `fit_calibration`, of a table with `log_rest`. Adds `classes`, the number of classes that the rest is shared among."""
    places = rows_in(table)
    classes = int(table["classes"].iloc[0])
    logs, rest = _logs(table, places)
    cls = places.dense(table["class"], -1.0).astype(np.int64)
    first = places.first()
    target = table["target"].to_numpy(dtype=np.int64)[first]
    patient = pd.factorize(table["patient"].to_numpy()[first[:, 0]])[0]
    pattern = table["pattern"].to_numpy(dtype=str)[first[:, 0]]
    truth = true_place(cls, target)
    left = classes - (cls >= 0).sum(axis=2)
    patterns: dict[str, Any] = {}
    for name in np.unique(pattern):
        rows = pattern == name
        each = [(logs[rows, at], rest[rows, at], left[rows, at], truth[rows, at]) for at in range(truth.shape[1])]
        fitted = [_fit_label(*one, patient[rows]) for one in each]
        patterns[str(name)] = {"samples": int(rows.sum()), "labels": fitted}
    made = _rescaled(table, places, {"patterns": patterns, "classes": classes})
    limits: list[float | None] = []
    for at in range(truth.shape[1]):
        known = truth[:, at] >= 0
        own = made.p[known, at][np.arange(int(known.sum())), truth[known, at]]
        limits.append(quantile_by_patient(1 - own, patient[known], alpha))
    conformal = {"alpha": alpha, "split": limits, "by_class": [[] for _ in limits]}
    return {
        "patterns": patterns,
        "classes": classes,
        "sensitivity": sensitivity,
        "thresholds": None,
        "conformal": conformal,
    }


def calibrate_many(table: pd.DataFrame, calibration: dict[str, Any]) -> pd.DataFrame:
    """As `calibrate_table`, of a table with `log_rest`, which is calibrated too."""
    places = rows_in(table)
    made = _rescaled(table, places, calibration)
    cls = places.dense(table["class"], -1.0).astype(np.int64)
    decision = np.take_along_axis(cls, made.p.argmax(axis=2)[..., None], axis=2)[..., 0]
    refused = table["p"].isna()
    mended = table.assign(
        uncalibrated=table["p"],
        p=places.spread(made.p),
        log_rest=places.spread(np.log(np.maximum(made.rest, SMALLEST_P))),
        calibrated=places.spread(np.broadcast_to(made.own[:, None], decision.shape)),
        set_split=places.spread(_sets(made, cls, calibration["conformal"]["split"])),
        decision=places.spread(decision.astype(str).astype(object)),
    )
    mended.loc[refused, ["p", "log_rest", "set_split", "decision"]] = None
    mended.loc[refused, "calibrated"] = False
    return mended


def rows_in(table: pd.DataFrame) -> Places:
    """Return the places of a table's rows, which are in the order of sample, label, class."""
    label, _ = pd.factorize(table["label"])
    key = table[["study", "item"]].ne(table[["study", "item"]].shift()).any(axis=1).to_numpy()
    return places_of(np.cumsum(key) - 1, label.astype(np.int64), table["class"].to_numpy(dtype=np.int64))


class _Made:
    """Calibrated probabilities by place, of the rest, and whether a sample's own pattern was fitted."""

    def __init__(self, p: np.ndarray, rest: np.ndarray, left: np.ndarray, own: np.ndarray) -> None:
        self.p, self.rest, self.left, self.own = p, rest, left, own


def _rescaled(table: pd.DataFrame, places: Places, calibration: dict[str, Any]) -> _Made:
    logs, rest = _logs(table, places)
    used = places.dense(pd.Series(np.ones(len(table)))) > 0
    left = calibration["classes"] - used.sum(axis=2)
    pattern = table["pattern"].to_numpy(dtype=str)[places.first()[:, 0]]
    p, p_rest, known = np.exp(logs), np.exp(rest), np.zeros(len(pattern), dtype=bool)
    for name in np.unique(pattern):
        rows = pattern == name
        own = [True] * logs.shape[1]
        for at in range(logs.shape[1]):
            numbers, own[at] = numbers_for(str(name), at, calibration["patterns"])
            if numbers is not None:
                p[rows, at], p_rest[rows, at] = scaled(logs[rows, at], rest[rows, at], left[rows, at], numbers["scale"])
        known[rows] = all(own)
    return _Made(p, p_rest, left, known)


def scaled(logs: Logs, rest: Rest, left: Left, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return p^scale of the classes with a row and of the rest, whose `left` classes share its mass evenly; together one."""
    each = np.log(np.maximum(left, 1))
    of_rest = np.where(left > 0, scale * (rest - each) + each, -np.inf)
    top = np.maximum((scale * logs).max(axis=1), of_rest)
    p, p_rest = np.exp(scale * logs - top[:, None]), np.exp(of_rest - top)
    total = p.sum(axis=1) + p_rest
    return p / total[:, None], p_rest / total


def _logs(table: pd.DataFrame, places: Places) -> tuple[np.ndarray, np.ndarray]:
    p = places.dense(table["p"])
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(p, SMALLEST_P))
        logs[places.dense(pd.Series(np.ones(len(table)))) == 0] = -np.inf
    return logs, table["log_rest"].to_numpy(dtype=np.float64, na_value=np.nan)[places.first()]


def _fit_label(logs: Logs, rest: Rest, left: Left, truth: np.ndarray, patient: np.ndarray) -> dict[str, Any] | None:
    """Return the scale of one label, kept where it helps patients it was not fitted on; None where there are too few."""
    known = truth >= 0
    logs, rest, left, truth, patient = (each[known] for each in (logs, rest, left, truth, patient))
    if len(np.unique(patient)) < FEWEST or len(np.unique(truth)) < 2:
        return None
    fold = folds_of(np.zeros(len(truth), dtype=np.int64), patient)

    def nll(at: float, rows: np.ndarray) -> float:
        p, _ = scaled(logs[rows], rest[rows], left[rows], float(np.exp(at)))
        return -float(np.log(np.maximum(p[np.arange(len(p)), truth[rows]], SMALLEST_P)).sum())

    def best(rows: np.ndarray) -> float:
        bounds = (-WIDEST, WIDEST)
        return float(minimize_scalar(lambda at: nll(at, rows) + STIFFNESS * at**2, bounds=bounds, method="bounded").x)  # pyright: ignore[reportAttributeAccessIssue]

    gained = sum(nll(0.0, fold == held) - nll(best(fold != held), fold == held) for held in range(FOLDS))
    scale = float(np.exp(best(np.ones(len(truth), dtype=bool)))) if gained > 0 else 1.0
    return {"scale": scale, "bend": 0.0, "shift": [], "kept": gained > 0}


def _sets(made: _Made, cls: np.ndarray, limits: list[float | None]) -> np.ndarray:
    """(sample, label): classes with a row whose 1 − p is within the limit, '+'-joined; '…' where classes without one may be too."""
    names = np.empty(cls.shape[:2], dtype=object)
    for label, limit in enumerate(limits):
        least = 0.0 if limit is None else 1 - limit - 1e-12
        p = made.p[:, label]
        inside = (p >= least) & (cls[:, label] >= 0)
        likeliest_left = np.minimum(made.rest[:, label], np.sort(p, axis=1)[:, -min(KEPT, p.shape[1])])
        further = (made.left[:, label] > 0) & (likeliest_left >= least)
        for row in range(len(names)):
            each = [str(one) for one in cls[row, label][inside[row]]]
            names[row, label] = "+".join([*each, GOES_ON] if further[row] else each)
    return names
