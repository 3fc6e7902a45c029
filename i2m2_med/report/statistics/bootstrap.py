"""Every statistic of every model as one array, and the tables that are read off it.

Axes of the cube: model (paradigm and seed), label, metric, draw; draw 0 is the sample itself, the others replicates. Macro
means, means over seeds and differences are arithmetic on the cube, so they stay paired.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.report.statistics.intervals import Interval, metric_interval
from i2m2_med.report.statistics.metrics import METRICS, metric_replicates
from i2m2_med.report.statistics.paired_predictions import Cohort

MACRO = "macro"

Cube = Float[np.ndarray, "model label metric draw"]
Row = dict[str, Any]


def replicate_cube(cohort: Cohort, weights: Float[np.ndarray, "patient draw"]) -> Cube:
    """Every metric of every model and label under every draw."""
    patient = cohort.first.patient
    cube = np.empty((len(cohort.models), len(cohort.first.labels), len(METRICS), weights.shape[1]))
    for model, predictions in enumerate(cohort.models.values()):
        for label in range(len(predictions.labels)):
            found = metric_replicates(predictions.p[:, label], predictions.target[:, label], patient, weights)
            cube[model, label] = np.stack([found[name] for name in METRICS])
    return cube


def metric_rows(cohort: Cohort, cube: Cube) -> list[Row]:
    """One row per model, label and metric, then the means over seeds; a macro mean where there are several labels."""
    models = list(cohort.models)
    groups: list[tuple[str, int | None, list[int]]] = [(name, seed, [at]) for at, (name, seed) in enumerate(models)]
    seeds = {paradigm: members(cohort, paradigm) for paradigm in cohort.paradigms}
    groups += [(paradigm, None, which) for paradigm, which in seeds.items() if len(which) > 1]
    rows: list[Row] = []
    for paradigm, seed, which in groups:
        for label, metric, draws, used in by_label(cohort, cube[which].mean(axis=0)):
            found = defined(metric_interval(metric, draws))
            rows.append(
                {"paradigm": paradigm, "label": label, "metric": metric, **found, "seed": seed, "labels_used": used}
            )
    return rows


def seed_table(cohort: Cohort, cube: Cube) -> pd.DataFrame:
    """Per paradigm, label and metric: the mean and standard deviation over seeds, apart from one seed's sampling error."""
    rows: list[Row] = []
    for paradigm in cohort.paradigms:
        own = cube[members(cohort, paradigm)]
        for label, metric, draws, _ in by_label(cohort, np.moveaxis(own, 0, -1)):
            itself, replicates = draws[0], draws[1:]
            spread = float(itself.std(ddof=1)) if len(itself) > 1 else float("nan")
            error = float(np.nanmean(np.nanstd(replicates, axis=0))) if np.isfinite(replicates).any() else float("nan")
            row = {"paradigm": paradigm, "label": label, "metric": metric, "seeds": len(itself)}
            rows.append(row | {"mean": float(itself.mean()), "seed_sd": spread, "sampling_error": error})
    return pd.DataFrame(rows)


def defined(found: Interval) -> dict[str, float | None]:
    """value, low and high as JSON knows them: None where undefined."""
    return {name: number if np.isfinite(number) else None for name, number in found._asdict().items()}


def members(cohort: Cohort, paradigm: str) -> list[int]:
    """Where a paradigm's seeds stand on the model axis."""
    return [at for at, (name, _) in enumerate(cohort.models) if name == paradigm]


def by_label(
    cohort: Cohort, values: Float[np.ndarray, "label metric *draws"]
) -> Iterator[tuple[str, str, np.ndarray, int]]:
    """(label, metric, draws, labels used) of each label, then of their macro mean over the labels that define the metric."""
    labels = cohort.first.labels
    for at, label in enumerate(labels):
        yield from ((label, metric, values[at, number], 1) for number, metric in enumerate(METRICS))
    if len(labels) > 1:
        for number, metric in enumerate(METRICS):
            every = values[:, number]
            defined = np.isfinite(every[:, 0]).reshape(len(labels), -1).all(axis=1)
            mean = every[defined].mean(axis=0) if defined.any() else np.full(every.shape[1:], np.nan)
            yield MACRO, metric, mean, int(defined.sum())
