"""Every statistic of every model as one array, and the tables that are read off it.

Axes of the cube: model (paradigm and seed), label, metric, draw; draw 0 is the sample itself, the others replicates. Macro
means, means over seeds and differences are arithmetic on the cube, so they stay paired. Of a cross-validation further draws leave
out one fold each (`refits.py`); they come last.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.report.statistics.calibration_floor import METRIC as CHANCE_OF_ECE
from i2m2_med.report.statistics.calibration_floor import Floor, chance_of, mean_floor
from i2m2_med.report.statistics.intervals import Interval, metric_interval
from i2m2_med.report.statistics.metrics import metric_names, metrics_of
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.support import Support, mean_support, support

MACRO = "macro"

Cube = Float[np.ndarray, "model label metric draw"]
Row = dict[str, Any]


def replicate_cube(cohort: PairedPredictions, weights: Float[np.ndarray, "patient draw"]) -> Cube:
    """Every metric of every model and label under every draw."""
    names = metric_names(cohort.first)
    cube = np.empty((len(cohort.models), len(cohort.first.labels), len(names), weights.shape[1]))
    for model, predictions in enumerate(cohort.models.values()):
        for label in range(len(predictions.labels)):
            values = metrics_of(predictions, label, weights, cohort.counts_for(label))
            cube[model, label] = np.stack([values[name] for name in names])
    return cube


def metric_rows(cohort: PairedPredictions, cube: Cube, seed: int = 0) -> list[Row]:
    """One row per model, label and metric, then the means over seeds; a macro mean where there are several labels. cube: with folds.

    Average precision is followed by the prevalence that it would be by chance, ECE by the `ece_of_chance` of calibrated models.
    A mean over seeds has the randomness of training in its interval.
    """
    models = list(cohort.models)
    groups: list[tuple[str, int | None, list[int]]] = [(name, number, [at]) for at, (name, number) in enumerate(models)]
    seeds = {paradigm: members(cohort, paradigm) for paradigm in cohort.paradigms}
    groups += [(paradigm, None, which) for paradigm, which in seeds.items() if len(which) > 1]
    supports = supports_of(cohort)
    floors = _floors(cohort, seed)
    rows: list[Row] = []
    for paradigm, number, which in groups:
        for label, metric, draws, used in by_label(cohort, np.moveaxis(cube[which], 0, -1)):
            interval = metric_interval(metric, draws.T, supports[label, metric], len(cohort.folds))
            head = {"paradigm": paradigm, "label": label, "seed": number, "labels_used": used}
            rows.append(head | {"metric": metric, **defined(interval)})
            if metric == "average_precision":
                rows.append(head | {"metric": "prevalence", **defined(_prevalence(cohort, label))})
            if metric == "ece":
                own = mean_floor([floors[at, name] for at in which for name in _labels(cohort, label)])
                rows.append(head | {"metric": CHANCE_OF_ECE, **defined(Interval(*own))})
    return rows


def seed_table(cohort: PairedPredictions, cube: Cube) -> pd.DataFrame:
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


def supports_of(cohort: PairedPredictions) -> dict[tuple[str, str], Support]:
    """By label (and `macro`) and metric."""
    first = cohort.first
    supports: dict[tuple[str, str], Support] = {}
    for metric in metric_names(first):
        each = [
            support(metric, first.target[:, at], first.patient, cohort.counts_for(at))
            for at in range(len(first.labels))
        ]
        supports |= {(label, metric): one for label, one in zip(first.labels, each, strict=True)}
        supports[MACRO, metric] = mean_support(each)
    return supports


def defined(interval: Interval) -> dict[str, float | None]:
    """value, low and high as JSON knows them: None where undefined."""
    return {name: number if np.isfinite(number) else None for name, number in interval._asdict().items()}


def members(cohort: PairedPredictions, paradigm: str) -> list[int]:
    """Return the places of a paradigm's seeds on the model axis."""
    return [at for at, (name, _) in enumerate(cohort.models) if name == paradigm]


def by_label(
    cohort: PairedPredictions, values: Float[np.ndarray, "label metric *draws"]
) -> Iterator[tuple[str, str, np.ndarray, int]]:
    """(label, metric, draws, labels used) of each label, then of their macro mean over the labels that define the metric."""
    labels, names = cohort.first.labels, metric_names(cohort.first)
    for at, label in enumerate(labels):
        yield from ((label, metric, values[at, number], 1) for number, metric in enumerate(names))
    if len(labels) > 1:
        for number, metric in enumerate(names):
            every = values[:, number]
            defined = np.isfinite(every[:, 0]).reshape(len(labels), -1).all(axis=1)
            mean = every[defined].mean(axis=0) if defined.any() else np.full(every.shape[1:], np.nan)
            yield MACRO, metric, mean, int(defined.sum())


def _labels(cohort: PairedPredictions, label: str) -> list[int]:
    """Return the places of a label, or of all labels of the macro mean, on the label axis."""
    labels = cohort.first.labels
    return list(range(len(labels))) if label == MACRO and MACRO not in labels else [labels.index(label)]


def _floors(cohort: PairedPredictions, seed: int) -> dict[tuple[int, int], Floor]:
    """By model and label."""
    return {
        (model, label): chance_of(predictions, label, cohort.counts_for(label), seed)
        for model, predictions in enumerate(cohort.models.values())
        for label in range(len(predictions.labels))
    }


def _prevalence(cohort: PairedPredictions, label: str) -> Interval:
    """The share of class 1, or the mean share of the classes that occur: average precision without any skill."""
    shares: list[float] = []
    for at in _labels(cohort, label):
        known = cohort.first.target[:, at] >= 0
        target, counts = cohort.first.target[known, at], cohort.counts_for(at)
        here = np.unique(target)
        if len(here) < 2:
            continue
        weight = np.ones(len(target)) if counts is None else counts[known]
        two = len(cohort.first.classes) == 2
        shares.append(float(np.average(target == 1, weights=weight)) if two else 1 / len(here))
    return Interval(float(np.mean(shares)) if shares else float("nan"), float("nan"), float("nan"))
