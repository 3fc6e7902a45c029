"""Performance per subgroup (`group_<name>` columns), and how often conformal sets hold the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.calibration_floor import METRIC as CHANCE_OF_ECE
from i2m2_med.report.statistics.calibration_floor import chance_of
from i2m2_med.report.statistics.intervals import difference_interval, draw_weights, metric_interval
from i2m2_med.report.statistics.metrics import SOFT, metrics_of
from i2m2_med.report.statistics.operating import by_fold, choose_threshold
from i2m2_med.report.statistics.patterns import FEWEST
from i2m2_med.report.statistics.refits import Estimate, of_draws
from i2m2_med.report.statistics.shares import share_by_patient
from i2m2_med.report.statistics.support import NOBODY, Support, support
from i2m2_med.report.statistics.table import Codes, Mask, Predictions, log_odds

COLUMNS = ["group", "value_of_group", "label", "patients", "samples", "metric", "value", "low", "high"]
EVERYONE = "everyone"
OF_CLASS = {"sensitivity": 1, "specificity": 0}
"""Shares of the samples of one class."""
SUPPRESSED = f"suppressed: fewer than {FEWEST} patients"


def subgroup_table(
    every: Predictions,
    split: str = "test",
    sensitivity: float = 0.9,
    draws: int = 1000,
    importance: Float[np.ndarray, "sample label"] | None = None,
) -> pd.DataFrame:
    """AUROC, sensitivity, specificity and ECE per subgroup and label, with intervals by patient, and each group minus the rest.

    Yes/no calls use the threshold for `sensitivity` chosen on all validation samples (p = ½ where there is none). Groups of fewer
    than ten patients are named with their metrics suppressed; a difference needs ten on either side. ECE has no interval and no
    difference: `ece_of_chance` stands beside it. importance: of the samples of `split`. Empty where there are no groups.
    """
    predictions = every.of(split)
    thresholds = _thresholds(every.of("valid"), predictions, sensitivity)
    rows: list[Row] = []
    for head, members in group_members(predictions):
        own, rest = (
            members & predictions.answered,
            ~members & predictions.answered & _has_group(predictions, head["group"]),
        )
        group, others = (_side(predictions, kept, importance, thresholds, draws) for kept in (own, rest))
        for at, label in enumerate(predictions.labels):
            named = head | {"label": label, "patients": group.patients, "samples": int(own.sum())}
            if group.patients < FEWEST:
                rows.append(named | {"metric": SUPPRESSED})
                continue
            rows += [named | row for row in group.rows(at)]
            if others.patients >= FEWEST:
                rows += [named | row for row in _against_rest(group, others, at)]
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Side:
    """The samples of a group, or of all other groups, under its own bootstrap draws."""

    part: Predictions
    patients: int
    importance: Float[np.ndarray, "sample label"] | None
    values: tuple[dict[str, Float[np.ndarray, "draw"]], ...]
    """By label: the draws of every metric."""

    def counts_for(self, label: int) -> Float[np.ndarray, "sample"] | None:
        """Return the importance of each sample."""
        return None if self.importance is None else self.importance[:, label]

    def support(self, label: int, metric: str) -> Support:
        """Return how many patients a metric stands on."""
        target, patient = self.part.target[:, label], self.part.patient
        if metric in OF_CLASS:
            chosen = target == OF_CLASS[metric]
            return support("accuracy", target[chosen], patient[chosen]) if chosen.any() else NOBODY
        return support(metric, target, patient, self.counts_for(label))

    def rows(self, label: int) -> list[Row]:
        """Metrics with intervals, and what chance alone would give as ECE."""
        made: list[Row] = [
            {"metric": metric, **metric_interval(metric, draws, self.support(label, metric))._asdict()}
            for metric, draws in self.values[label].items()
        ]
        floor = chance_of(self.part, label, self.counts_for(label))
        return [*made, {"metric": CHANCE_OF_ECE, **floor._asdict()}]


def _side(
    predictions: Predictions,
    rows: Mask,
    importance: np.ndarray | None,
    thresholds: Float[np.ndarray, "sample label"],
    draws: int,
) -> Side:
    part, kept = predictions.take(rows), None if importance is None else importance[rows]
    patients = len(np.unique(part.patient))
    if patients < FEWEST:
        return Side(part=part, patients=patients, importance=kept, values=())
    weights = draw_weights(patients, draws)
    values = [
        _metrics(part, at, thresholds[rows, at], weights, None if kept is None else kept[:, at])
        for at in range(len(predictions.labels))
    ]
    return Side(part=part, patients=patients, importance=kept, values=tuple(values))


def _against_rest(own: Side, rest: Side, label: int) -> list[Row]:
    """The group minus all others of known group: other patients, so their errors add."""
    rows: list[Row] = []
    for metric in own.values[label]:
        if metric == "ece":
            continue
        sides = [(one.values[label][metric], one.support(label, metric)) for one in (own, rest)]
        parts = [(of_draws(draws[None]), stands) for draws, stands in sides]
        errors = [float(np.square(one.moves).sum()) for one, _ in parts]
        value, variance = float(parts[0][0].values[0] - parts[1][0].values[0]), sum(errors)
        freedom = (
            variance**2 / sum(each**2 / stands.freedom for each, (_, stands) in zip(errors, parts, strict=True))
            if variance > 0
            else 1.0
        )
        smaller = min((stands for _, stands in parts), key=lambda one: one.size)
        estimate = Estimate(value, float(np.sqrt(variance)), freedom, False)
        rows.append({"metric": f"{metric}, minus the rest", **difference_interval(metric, estimate, smaller)._asdict()})
    return rows


def _has_group(predictions: Predictions, group: str) -> Mask:
    return predictions.samples[f"group_{group}"].notna().to_numpy(dtype=bool)


def coverage_table(
    predictions: Predictions, importance: Float[np.ndarray, "sample label"] | None = None
) -> pd.DataFrame:
    """Coverage and mean size of the conformal sets: everyone, per true class, and per subgroup. Empty without sets."""
    rows: list[Row] = []
    for kind, sets in predictions.sets.items():
        for at, label in enumerate(predictions.labels):
            known = predictions.answered & (predictions.target[:, at] >= 0)
            weight = np.ones(len(known)) if importance is None else importance[:, at]
            for head, members in [*_everyone(predictions), *_classes(predictions, at), *group_members(predictions)]:
                rows += [
                    {"sets": kind, **head, "label": label, **row}
                    for row in _coverage(predictions, sets[:, at], at, known & members, weight)
                ]
    return pd.DataFrame(rows, columns=["sets", *COLUMNS])


def group_members(predictions: Predictions) -> Iterator[tuple[Row, Mask]]:
    """Every value of every group column, and who has it; unknown values are no group."""
    for column in predictions.samples.columns:
        if str(column).startswith("group_"):
            values = predictions.samples[column]
            for value in sorted(values.dropna().unique(), key=str):
                yield {"group": str(column)[6:], "value_of_group": str(value)}, (values == value).to_numpy(dtype=bool)


def _everyone(predictions: Predictions) -> list[tuple[Row, Mask]]:
    return [({"group": EVERYONE, "value_of_group": ""}, np.ones(len(predictions.samples), dtype=bool))]


def _classes(predictions: Predictions, label: int) -> list[tuple[Row, Mask]]:
    here = range(len(predictions.classes)) if predictions.places is None else ()
    return [
        ({"group": "true class", "value_of_group": predictions.classes[cls]}, predictions.target[:, label] == cls)
        for cls in here
    ]


def _coverage(predictions: Predictions, sets: np.ndarray, label: int, rows: Mask, importance: np.ndarray) -> list[Row]:
    patients = len(np.unique(predictions.patient[rows]))
    head = {"patients": patients, "samples": int(rows.sum())}
    if patients < FEWEST:
        return [head | {"metric": SUPPRESSED}] if patients else []
    inside = np.take_along_axis(sets[rows], predictions.target[rows, label][:, None], axis=1)[:, 0].astype(np.float64)
    size = sets[rows].sum(axis=1).astype(np.float64)
    made = {
        "coverage": share_by_patient(inside, predictions.patient[rows], importance[rows])[0],
        "set size": share_by_patient(size, predictions.patient[rows], importance[rows], most=float(sets.shape[1]))[0],
    }
    return [head | {"metric": name, **estimate._asdict()} for name, estimate in made.items()]


def _metrics(
    part: Predictions,
    label: int,
    threshold: Float[np.ndarray, "sample"],
    weights: Float[np.ndarray, "patient draw"],
    importance: Float[np.ndarray, "sample"] | None,
) -> dict[str, Float[np.ndarray, "draw"]]:
    values = metrics_of(part, label, weights, importance)
    kept = {name: values[name] for name in ("auroc", "ece")}
    if len(part.classes) != 2:
        return kept | {name: values[name] for name in ("accuracy", SOFT) if name in values}
    known = part.target[:, label] >= 0
    p, target, patient = part.p[known, label], part.target[known, label], part.patient[known]
    called = log_odds(p)[:, 1] >= threshold[known] if known.any() else np.zeros(0, dtype=bool)
    right = called == (target == 1)
    return kept | {name: _rate(right[target == cls], patient[target == cls], weights) for name, cls in OF_CLASS.items()}


def _rate(
    right: Bool[np.ndarray, "sample"], patient: Codes, weights: Float[np.ndarray, "patient draw"]
) -> Float[np.ndarray, "draw"]:
    """The share of samples that were called right, per draw; NaN where there is none."""
    hits = np.bincount(patient, weights=right.astype(np.float64), minlength=len(weights)) @ weights
    total = np.bincount(patient, minlength=len(weights)) @ weights
    return hits / np.where(total > 0, total, np.nan)


def _thresholds(valid: Predictions, judged: Predictions, sensitivity: float) -> Float[np.ndarray, "sample label"]:
    """On log-odds, for each judged sample; 0 (p = ½) where validation can't tell."""

    def choose(part: Predictions, label: int) -> float:
        known = part.answered & (part.target[:, label] >= 0)
        if len(part.classes) != 2 or not known.any():
            return 0.0
        score = log_odds(part.p[known, label])[:, 1]
        positive = part.target[known, label] == 1
        chosen = choose_threshold(score, positive, part.patient[known], "sensitivity", sensitivity)
        return 0.0 if np.isnan(chosen) else chosen

    each = [by_fold(valid, judged, partial(choose, label=label))[0] for label in range(len(judged.labels))]
    return np.stack(each, axis=1)
