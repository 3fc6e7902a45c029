"""2,000 bootstrap draws by patient beside as many calls of scikit-learn, in one run."""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.metrics import metric_replicates

ROWS, PATIENTS, LABELS, MODELS = 10_000, 2_500, 4, 6


@pytest.mark.benchmark(group="bootstrap")
def test_bootstrap_of_every_metric(benchmark):
    rng = np.random.default_rng(0)
    patient = rng.integers(0, PATIENTS, ROWS)
    target = (rng.random((ROWS, LABELS)) < 0.2).astype(np.int64)
    score = rng.random((MODELS, ROWS, LABELS)) * 0.7 + 0.3 * target
    weights = draw_weights(PATIENTS)

    def every() -> None:
        for model in range(MODELS):
            for label in range(LABELS):
                p = score[model, :, label]
                metric_replicates(np.stack([1 - p, p], axis=1), target[:, label], patient, weights)

    benchmark.pedantic(every, rounds=1)
    start = time.perf_counter()
    for draw in range(1, 6):
        w = weights[patient, draw]
        roc_auc_score(target[:, 0], score[0, :, 0], sample_weight=w)
        average_precision_score(target[:, 0], score[0, :, 0], sample_weight=w)
    library = (time.perf_counter() - start) / 5 * 2000 * LABELS * MODELS
    ours = benchmark.stats["mean"] if benchmark.stats else float("nan")
    benchmark.extra_info.update(ours_seconds=ours, library_seconds=library, ratio=library / ours)
    print(
        f"\nbootstrap 2000 × 4 labels × 6 models × 10,000 rows: {ours:.1f} s, scikit-learn (two metrics) {library:.0f} s, ratio {library / ours:.0f}"
    )
