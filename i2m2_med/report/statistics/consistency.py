"""Consistency: the share of studies all of whose items are decided right (Suhr et al. 2019: one sentence on several pictures)."""

import numpy as np
import pandas as pd

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.shares import share_by_patient


def consistency_table(cohort: PairedPredictions) -> pd.DataFrame:
    """Return paradigm, label, studies, items, value, low, high: intervals by patient, mean over seeds. Unknown targets are left out."""
    rows: list[Row] = []
    for paradigm in cohort.paradigms:
        for at, label in enumerate(cohort.first.labels):
            known = cohort.first.target[:, at] >= 0
            study = np.unique(cohort.first.samples["study"].astype(str)[known], return_inverse=True)[1]
            right = [
                (one.p[known, at].argmax(axis=1) == one.target[known, at]).astype(np.float64)
                for one in cohort.of_paradigm(paradigm)
            ]
            items = np.bincount(study)
            whole = np.mean([np.bincount(study, weights=hit) == items for hit in right], axis=0)
            patient = np.zeros(len(items), dtype=np.int64)
            patient[study] = cohort.first.patient[known]
            interval, _ = share_by_patient(whole, patient)
            head = {"paradigm": paradigm, "label": label, "studies": len(items), "items": int(known.sum())}
            rows.append(head | interval._asdict())
    return pd.DataFrame(rows)
