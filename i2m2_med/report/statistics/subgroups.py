"""Performance per subgroup (`group_<name>` columns), and how often conformal sets hold the truth."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import draw_weights, metric_interval
from i2m2_med.report.statistics.metrics import metric_replicates
from i2m2_med.report.statistics.operating import choose_threshold, decision_replicates
from i2m2_med.report.statistics.patterns import FEWEST
from i2m2_med.report.statistics.table import Mask, Predictions, log_odds

COLUMNS = ["group", "value_of_group", "label", "patients", "samples", "metric", "value", "low", "high"]
EVERYONE = "everyone"
SUPPRESSED = f"suppressed: fewer than {FEWEST} patients"


def subgroup_table(
    every: Predictions, split: str = "test", sensitivity: float = 0.9, draws: int = 1000
) -> pd.DataFrame:
    """AUROC, sensitivity, specificity and ECE per subgroup and label, with intervals by patient.

    Yes/no calls use the threshold that reaches `sensitivity` on all validation samples (p = ½ where there are none). Groups
    of fewer than ten patients are named with their metrics suppressed. Empty where there are no groups.
    """
    thresholds = _thresholds(every.of("valid"), sensitivity)
    said = every.of(split)
    rows: list[Row] = []
    for head, members in group_members(said):
        part = said.take(members & said.answered)
        patients = len(np.unique(part.patient))
        for at, label in enumerate(said.labels):
            named = head | {"label": label, "patients": patients, "samples": len(part.samples)}
            if patients < FEWEST:
                rows.append(named | {"metric": SUPPRESSED})
                continue
            weights = draw_weights(patients, draws)
            for metric, found in _metrics(part, at, thresholds[at], weights).items():
                rows.append(named | {"metric": metric, **metric_interval(metric, found)._asdict()})
    return pd.DataFrame(rows, columns=COLUMNS)


def coverage_table(said: Predictions, draws: int = 1000) -> pd.DataFrame:
    """Coverage and mean size of the conformal sets: everyone, per true class, and per subgroup. Empty without sets."""
    rows: list[Row] = []
    for kind, sets in said.sets.items():
        for at, label in enumerate(said.labels):
            known = said.answered & (said.target[:, at] >= 0)
            for head, members in [*_everyone(said), *_classes(said, at), *group_members(said)]:
                rows += [
                    {"sets": kind, **head, "label": label, **row}
                    for row in _coverage(said, sets[:, at], at, known & members, draws)
                ]
    return pd.DataFrame(rows, columns=["sets", *COLUMNS])


def group_members(said: Predictions) -> Iterator[tuple[Row, Mask]]:
    """Every value of every group column, and who has it; unknown values are no group."""
    for column in said.samples.columns:
        if str(column).startswith("group_"):
            values = said.samples[column]
            for value in sorted(values.dropna().unique(), key=str):
                yield {"group": str(column)[6:], "value_of_group": str(value)}, (values == value).to_numpy(dtype=bool)


def _everyone(said: Predictions) -> list[tuple[Row, Mask]]:
    return [({"group": EVERYONE, "value_of_group": ""}, np.ones(len(said.samples), dtype=bool))]


def _classes(said: Predictions, label: int) -> list[tuple[Row, Mask]]:
    here = range(len(said.classes))
    return [
        ({"group": "true class", "value_of_group": said.classes[cls]}, said.target[:, label] == cls) for cls in here
    ]


def _coverage(said: Predictions, sets: np.ndarray, label: int, rows: Mask, draws: int) -> list[Row]:
    patient = np.unique(said.patient[rows], return_inverse=True)[1]
    patients = int(patient.max()) + 1 if len(patient) else 0
    head = {"patients": patients, "samples": int(rows.sum())}
    if patients < FEWEST:
        return [head | {"metric": SUPPRESSED}] if patients else []
    weights = draw_weights(patients, draws)
    total = np.bincount(patient) @ weights
    inside = np.take_along_axis(sets[rows], said.target[rows, label][:, None], axis=1)[:, 0]
    found = {"coverage": inside, "set size": sets[rows].sum(axis=1)}
    return [
        head
        | {"metric": name, **metric_interval(name, np.bincount(patient, weights=value) @ weights / total)._asdict()}
        for name, value in found.items()
    ]


def _metrics(
    part: Predictions, label: int, threshold: float, weights: Float[np.ndarray, "patient draw"]
) -> dict[str, Float[np.ndarray, "draw"]]:
    known = part.target[:, label] >= 0
    p, target, patient = part.p[known, label], part.target[known, label], part.patient[known]
    found = metric_replicates(p, target, patient, weights)
    kept = {name: found[name] for name in ("auroc", "ece")}
    if len(part.classes) != 2:
        return kept | {"accuracy": found["accuracy"]}
    calls = decision_replicates(log_odds(p)[:, 1] >= threshold, target == 1, patient, weights)
    return kept | {name: calls[name] for name in ("sensitivity", "specificity")}


def _thresholds(valid: Predictions, sensitivity: float) -> list[float]:
    """One per label, on log-odds; 0 (p = ½) where validation can't tell."""
    found: list[float] = []
    for at in range(len(valid.labels)):
        known = valid.answered & (valid.target[:, at] >= 0)
        if len(valid.classes) != 2 or not known.any():
            found.append(0.0)
            continue
        score = log_odds(valid.p[known, at])[:, 1]
        chosen = choose_threshold(score, valid.target[known, at] == 1, "sensitivity", sensitivity)
        found.append(0.0 if np.isnan(chosen) else chosen)
    return found
