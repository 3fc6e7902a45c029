"""The folds of a cross-validation one by one, beside all of them pooled."""

import numpy as np
import pandas as pd

from i2m2_med.report.statistics.bootstrap import Cube, Row, by_label, members, replicate_cube
from i2m2_med.report.statistics.paired_predictions import PairedPredictions

SHOWN = ("auroc", "accuracy", "nll")


def fold_table(cohort: PairedPredictions, cube: Cube) -> pd.DataFrame:
    """Per paradigm, label and metric: pooled, each fold's own value, and their mean where all define it; means over seeds.

    cube: of all folds together. Empty outside of a cross-validation.
    """
    if not cohort.folds:
        return pd.DataFrame()
    parts = [cohort.take(cohort.first.fold == fold) for fold in cohort.folds]
    each = [replicate_cube(part, np.ones((int(part.first.patient.max()) + 1, 1))) for part in parts]
    together = np.concatenate([cube[..., :1], *each], axis=-1)
    rows: list[Row] = []
    for paradigm in cohort.paradigms:
        for label, metric, values, _ in by_label(cohort, together[members(cohort, paradigm)].mean(axis=0)):
            if metric in SHOWN:
                named = {"pooled": values[0], "mean of folds": values[1:].mean()}
                named |= {f"fold {fold}": value for fold, value in zip(cohort.folds, values[1:], strict=True)}
                rows.append({"paradigm": paradigm, "label": label, "metric": metric, **named})
    return pd.DataFrame(rows)
