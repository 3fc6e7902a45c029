"""2,000 bootstrap draws by patient beside as many calls of scikit-learn."""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.metrics import metric_replicates
from tests.benchmarks.figures import Figures

ROWS, PATIENTS, LABELS, MODELS, DRAWS = 10_000, 2_500, 4, 6, 2_000


@pytest.mark.quick
def test_bootstrap_of_every_metric(figures: Figures) -> None:
    rng = np.random.default_rng(0)
    patient = rng.integers(0, PATIENTS, ROWS)
    target = (rng.random((ROWS, LABELS)) < 0.2).astype(np.int64)
    score = rng.random((MODELS, ROWS, LABELS)) * 0.7 + 0.3 * target
    weights = draw_weights(PATIENTS)

    def every() -> float:
        start = time.process_time()
        for model in range(MODELS):
            for label in range(LABELS):
                p = score[model, :, label]
                metric_replicates(np.stack([1 - p, p], axis=1), target[:, label], patient, weights)
        return time.process_time() - start

    def library() -> float:
        start = time.process_time()
        for draw in range(1, 6):
            w = weights[patient, draw]
            roc_auc_score(target[:, 0], score[0, :, 0], sample_weight=w)
            average_precision_score(target[:, 0], score[0, :, 0], sample_weight=w)
        return (time.process_time() - start) / 5 * DRAWS * LABELS * MODELS

    what = "every metric of 10,000 rows, 2,000 draws × 4 labels × 6 models"
    figures.beside("bootstrap", what, every, "scikit-learn's AUROC and AUPRC, from 5 draws", library, repeats=2)
