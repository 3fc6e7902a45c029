"""One paradigm against another on the same patients."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from i2m2_med.config.evaluation import PrimaryComparison
from i2m2_med.report.statistics.bootstrap import MACRO, Cube, Row, by_label, members, supports_of
from i2m2_med.report.statistics.intervals import auroc_interval, difference_interval, smallest_p
from i2m2_med.report.statistics.paired import delong, holm, mcnemar, mean_influence, patient_scores
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.refits import Estimate, Refits, contrast, of_draws, pseudo_values
from i2m2_med.report.statistics.support import NOBODY, Support, mean_support
from i2m2_med.report.statistics.table import Predictions, log_odds

COLUMNS = [
    "paradigm", "reference", "label", "metric", "difference", "low", "high", "p", "p_floor", "p_holm", "role", "scope", "test",
    "refit_share",
]  # fmt: skip
PRIMARY, EXPLORATORY = "primary", "exploratory"
PARADIGMS, THESE_MODELS = "the paradigms", "these trained models"
"""The scope of a difference: with two seeds or more of either, training is part of its error; with one it is not."""
PATIENT_AUROC = "patient_max_auroc"
"""The AUROC of each patient's highest score: another quantity than that of samples."""
BY_PATIENT, DELONG, MCNEMAR = "t by patient", "DeLong", "McNemar by patient"


def paired_table(
    cohort: PairedPredictions, cube: Cube, reference: str, primary: PrimaryComparison | None = None
) -> pd.DataFrame:
    """The reference minus each other paradigm, averaged over seeds, with p of no difference.

    p is of Student's t with the randomness of patients and of training (`refits.py`), never below the floor that so few patients
    can support. Holm's adjustment is over the named primary comparison only; all else is exploratory and unadjusted. Beside it
    stand DeLong's test of patients' highest scores and McNemar's of calls. Empty without the reference.
    """
    if reference not in cohort.paradigms:
        return pd.DataFrame(columns=COLUMNS)
    rows: list[Row] = []
    supports = supports_of(cohort)
    ours = np.moveaxis(cube[members(cohort, reference)], 0, -1)
    for other in cohort.paradigms:
        if other == reference:
            continue
        both = np.concatenate([ours, np.moveaxis(cube[members(cohort, other)], 0, -1)], axis=-1)
        for label, metric, draws, _ in by_label(cohort, both):
            head = {"paradigm": other, "reference": reference, "label": label}
            sides = of_draws(draws.T, len(cohort.folds)).parted(ours.shape[-1])
            own = supports[label, metric]
            rows.append(head | {"metric": metric, "test": BY_PATIENT} | _difference(metric, *sides, own, cohort))
            if label != MACRO:
                rows += [head | row for row in _named_tests(cohort, reference, other, label, metric)]
    return _with_roles(pd.DataFrame(rows, columns=COLUMNS), primary, cohort)


def difference_rows(paired: pd.DataFrame) -> list[Row]:
    """Return the differences by patient as rows of metrics: of `auroc`, `auroc_difference` of each paradigm that is not the reference."""
    kept = paired[paired["test"] == BY_PATIENT]
    return [
        {
            "paradigm": row["paradigm"],
            "label": row["label"],
            "metric": f"{row['metric']}_difference",
            "value": row["difference"],
            "low": row["low"],
            "high": row["high"],
            "seed": None,
        }
        for row in kept.to_dict("records")
    ]


def patient_table(cohort: PairedPredictions) -> pd.DataFrame:
    """AUROC of each patient's highest score, averaged over seeds; classes are macro-averaged."""
    rows: list[Row] = []
    for paradigm in cohort.paradigms if cohort.first.places is None else ():
        for label in cohort.first.labels:
            own = _patient_aurocs(cohort, paradigm, label)
            estimate = auroc_interval(contrast([(1.0, own.refits)], own.support.freedom), own.support)
            row = {"paradigm": paradigm, "label": label, "metric": PATIENT_AUROC, **estimate._asdict()}
            rows.append(row | {"patients": own.patients})
    return pd.DataFrame(rows)


def _difference(metric: str, ours: Refits, theirs: Refits, own: Support, cohort: PairedPredictions) -> Row:
    """Columns of a difference between two paradigms' means over seeds."""
    estimate = contrast([(1.0, ours), (-1.0, theirs)], own.freedom)
    value, low, high = difference_interval(metric, estimate, own)
    floor = smallest_p(min(own.everyone, float(len(np.unique(cohort.first.patient)))))
    p = estimate.p_zero(floor) if np.isfinite(low) else float("nan")
    return {"difference": value, "low": low, "high": high, "p": p, "p_floor": floor} | _scope(estimate)


def _scope(estimate: Estimate) -> Row:
    return {"scope": PARADIGMS if estimate.repeated else THESE_MODELS, "refit_share": estimate.refit_share}


def _with_roles(table: pd.DataFrame, primary: PrimaryComparison | None, cohort: PairedPredictions) -> pd.DataFrame:
    """Who is primary, and Holm's p over those; a named rival that is not there counts among the tests all the same."""
    table["role"], table["p_holm"] = EXPLORATORY, np.nan
    if primary is None:
        return table
    overall = cohort.first.labels[0] if len(cohort.first.labels) == 1 else MACRO
    rivals = list(primary.rivals) or list(dict.fromkeys(table["paradigm"]))
    chosen = table["paradigm"].isin(rivals) & (table["metric"] == primary.metric) & (table["label"] == overall)
    chosen &= table["test"] == BY_PATIENT
    absent = [1.0] * (len(rivals) - int(chosen.sum()))
    adjusted = holm(np.array([*table.loc[chosen, "p"].to_numpy(dtype=np.float64), *absent]))
    table.loc[chosen, "role"] = PRIMARY
    table.loc[chosen, "p_holm"] = adjusted[: int(chosen.sum())]
    return table


def _named_tests(cohort: PairedPredictions, reference: str, other: str, label: str, metric: str) -> list[Row]:
    """DeLong's test of patients' highest scores beside AUROC, McNemar's beside accuracy."""
    if metric == "auroc" and cohort.first.places is None:
        ours, theirs = (_patient_aurocs(cohort, name, label) for name in (reference, other))
        estimate = _difference("auroc", ours.refits, theirs.refits, ours.support, cohort)
        return [{"metric": PATIENT_AUROC, "test": DELONG} | estimate]
    if metric != "accuracy" or cohort.counts_for(cohort.first.labels.index(label)) is not None:
        return []
    known = cohort.first.target[:, cohort.first.labels.index(label)] >= 0
    ours, theirs = _hits(cohort, reference, label), _hits(cohort, other, label)
    p = mcnemar(ours[known], theirs[known], cohort.first.patient[known])
    floor = smallest_p(float(len(np.unique(cohort.first.patient[known]))))
    hits = len(cohort.seeds(reference)), len(cohort.seeds(other))
    value = float((ours[known] / hits[0] - theirs[known] / hits[1]).mean()) if known.any() else float("nan")
    row = {"difference": value, "p": p, "p_floor": floor, "scope": THESE_MODELS}
    return [{"metric": "accuracy", "test": MCNEMAR} | row]


class PatientAurocs(NamedTuple):
    """The AUROC of patients' highest scores: one value per seed, what each patient adds to its error, and how many there are."""

    refits: Refits
    support: Support
    patients: int


def _patient_aurocs(cohort: PairedPredictions, paradigm: str, label: str) -> PatientAurocs:
    """Of a paradigm: one refit per seed, a mean over classes against the rest where there are several."""
    each = [_of_seed(predictions, label) for predictions in cohort.of_paradigm(paradigm)]
    values = np.array([one.refits.values[0] for one in each])
    moves = np.concatenate([one.refits.moves for one in each])
    without = [
        [_of_seed(predictions.take(predictions.fold != fold), label).refits.values[0] for fold in cohort.folds]
        for predictions in cohort.of_paradigm(paradigm)
    ]
    return PatientAurocs(
        Refits(values, moves, pseudo_values(values, np.array(without))), each[0].support, each[0].patients
    )


def _of_seed(predictions: Predictions, label: str) -> PatientAurocs:
    at = predictions.labels.index(label)
    known = predictions.target[:, at] >= 0
    odds, target, patient = (
        log_odds(predictions.p[known, at]),
        predictions.target[known, at],
        predictions.patient[known],
    )
    ranks = [1] if len(predictions.classes) == 2 else [int(each) for each in np.unique(target)]
    if not known.any():
        return PatientAurocs(Refits(np.array([np.nan]), np.full((1, 1), np.nan)), NOBODY, 0)
    scored = [patient_scores(odds[:, rank], target == rank, patient) for rank in ranks]
    estimate = mean_influence([delong(score, positive) for score, positive in scored])
    counts = [(float(positive.sum()), float((~positive).sum())) for _, positive in scored]
    own = mean_support([Support(one, one) for one in counts if min(one) > 0])
    return PatientAurocs(Refits(np.array([estimate.value]), estimate.each[None]), own, len(scored[0][0]))


def _hits(cohort: PairedPredictions, paradigm: str, label: str) -> np.ndarray:
    """(sample,): how many of the paradigm's seeds took the true class."""
    at = cohort.first.labels.index(label)
    right = [
        predictions.p[:, at].argmax(axis=1) == predictions.target[:, at] for predictions in cohort.of_paradigm(paradigm)
    ]
    return np.sum(right, axis=0)
