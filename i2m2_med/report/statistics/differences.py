"""One paradigm against another on the same patients."""

import numpy as np
import pandas as pd

from i2m2_med.report.statistics.bootstrap import MACRO, Cube, Row, by_label, members
from i2m2_med.report.statistics.intervals import interval, two_sided_p
from i2m2_med.report.statistics.paired import Influence, delong, holm, mcnemar, mean_influence, patient_scores
from i2m2_med.report.statistics.paired_predictions import Cohort
from i2m2_med.report.statistics.table import Predictions, log_odds


def paired_table(cohort: Cohort, cube: Cube, reference: str) -> pd.DataFrame:
    """The reference minus each other paradigm, averaged over seeds; Holm over labels × paradigms for each metric.

    AUROC has DeLong's p on patient-level scores beside the bootstrap's, accuracy McNemar's. Empty without the reference.
    """
    columns = ["paradigm", "reference", "label", "metric", "difference", "low", "high", "p", "p_holm", "test"]
    if reference not in cohort.paradigms:
        return pd.DataFrame(columns=columns)
    ours = cube[members(cohort, reference)].mean(axis=0)
    rows: list[Row] = []
    for other in cohort.paradigms:
        if other == reference:
            continue
        difference = ours - cube[members(cohort, other)].mean(axis=0)
        for label, metric, draws, _ in by_label(cohort, difference):
            value, low, high = interval(draws)
            row = {"paradigm": other, "reference": reference, "label": label, "metric": metric}
            row |= {"difference": value, "low": low, "high": high}
            rows.append(row | {"p": two_sided_p(draws), "test": "bootstrap by patient"})
            if label != MACRO and (extra := _named_test(cohort, reference, other, label, metric)):
                rows.append(row | extra)
    table = pd.DataFrame(rows, columns=columns)
    families = table.groupby(["metric", "test", table["label"] == MACRO])["p"]
    table["p_holm"] = families.transform(lambda p: holm(p.to_numpy(dtype=np.float64)))
    return table


def patient_table(cohort: Cohort) -> pd.DataFrame:
    """AUROC of each patient's highest score, averaged over seeds, with DeLong's interval; classes are macro-averaged."""
    rows: list[Row] = []
    for paradigm in cohort.paradigms:
        for label in cohort.first.labels:
            found = _influence(cohort, paradigm, label)
            low, high = found.interval_of_share()
            row = {"paradigm": paradigm, "label": label, "metric": "patient_auroc", "value": found.value}
            rows.append(row | {"low": low, "high": high, "patients": len(found.each)})
    return pd.DataFrame(rows)


def _named_test(cohort: Cohort, reference: str, other: str, label: str, metric: str) -> Row:
    """DeLong's or McNemar's p, where the metric has one."""
    if metric == "auroc":
        gap = _influence(cohort, reference, label).minus(_influence(cohort, other, label))
        low, high = gap.interval()
        found = {"difference": gap.value, "low": low, "high": high}
        return found | {"p": gap.p_zero(), "test": "DeLong on patients' highest scores"}
    if metric == "accuracy":
        known = cohort.first.target[:, cohort.first.labels.index(label)] >= 0
        ours, theirs = _hits(cohort, reference, label), _hits(cohort, other, label)
        p = mcnemar(ours[known], theirs[known], cohort.first.patient[known])
        return {"p": p, "test": "McNemar by patient"}
    return {}


def _influence(cohort: Cohort, paradigm: str, label: str) -> Influence:
    """Patient-level AUROC of a paradigm: the mean over its seeds, and over classes against the rest where there are several."""
    parts = [_influences(cohort.models[paradigm, seed], label) for seed in cohort.seeds(paradigm)]
    return mean_influence([part for each in parts for part in each])


def _influences(said: Predictions, label: str) -> list[Influence]:
    at = said.labels.index(label)
    known = said.target[:, at] >= 0
    odds, target, patient = log_odds(said.p[known, at]), said.target[known, at], said.patient[known]
    ranks = [1] if len(said.classes) == 2 else [int(each) for each in np.unique(target)]
    return [delong(*patient_scores(odds[:, rank], target == rank, patient)) for rank in ranks]


def _hits(cohort: Cohort, paradigm: str, label: str) -> np.ndarray:
    """(sample,): how many of the paradigm's seeds took the true class."""
    at = cohort.first.labels.index(label)
    right = [said.p[:, at].argmax(axis=1) == said.target[:, at] for said in cohort.of_paradigm(paradigm)]
    return np.sum(right, axis=0)
