"""How a model bears up under shifts: severity curves, the area under them, which expert gives way, and whether the product
leans away from it. Everything is paired: the same patients and bootstrap draws at every severity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import Interval, difference_interval, draw_weights, metric_interval
from i2m2_med.report.statistics.metrics import SOFT, further, metric_replicates
from i2m2_med.report.statistics.patterns import FEWEST
from i2m2_med.report.statistics.refits import contrast, of_draws
from i2m2_med.report.statistics.subgroups import SUPPRESSED
from i2m2_med.report.statistics.support import Support, mean_support, support
from i2m2_med.report.statistics.table import Predictions, Scores, read_predictions

MODEL = "model"
WHAT = ("auroc", "accuracy", "nll", "ece", SOFT)
COLUMNS = ["shift", "step", "severity", "unit", "who", "metric", "value", "low", "high"]

Draws = Float[np.ndarray, "*seed draw"]


@dataclass(frozen=True)
class Shifted:
    """A model's predictions on shifted samples, one table per seed."""

    shift: str
    step: int
    """1, 2, …: from mild to severe."""
    severity: float
    unit: str
    seeds: Sequence[Predictions]


def shift_tables(
    unshifted: Sequence[pd.DataFrame], shifted: Sequence[Shifted], groups: Mapping[str, Sequence[pd.DataFrame]]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(values, areas) of `severity_table` and the `group_table`, from prediction tables of one paradigm's seeds."""
    values, areas = severity_table([read_predictions(table) for table in unshifted], shifted)
    apart = {name: [read_predictions(table) for table in tables] for name, tables in groups.items()}
    return values, areas, group_table(apart)


def severity_table(
    unshifted: Sequence[Predictions], shifted: Sequence[Shifted], draws: int = 500
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(values per shift, severity and who, area under each severity curve with the drop from none to worst).

    who: `model`, and each expert. Metrics are means over labels and seeds; `divergence` is the mean of KL(expert ‖ model) in
    nats, which grows where the product leans away from the expert; `coverage` is that of the conformal sets. Step 0 is none.
    """
    first = unshifted[0]
    weights = draw_weights(int(first.patient.max()) + 1, draws)
    none = judge(unshifted, weights)
    rows: list[Row] = []
    areas: list[Row] = []
    for name in dict.fromkeys(one.shift for one in shifted):
        steps = sorted((one for one in shifted if one.shift == name), key=lambda one: one.step)
        judged = [none, *(judge(one.seeds, weights) for one in steps)]
        heads = [{"step": 0, "severity": None}, *({"step": one.step, "severity": one.severity} for one in steps)]
        for head, estimate in zip(heads, judged, strict=True):
            for (who, metric), values in estimate.items():
                rows.append(
                    {
                        "shift": name,
                        "unit": steps[0].unit,
                        **head,
                        "who": who,
                        "metric": metric,
                        **interval_of(unshifted, metric, values)._asdict(),
                    }
                )
        for key in none:
            areas += _areas(unshifted, name, key, [estimate[key] for estimate in judged])
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(areas)


def judge(seeds: Sequence[Predictions], weights: Float[np.ndarray, "patient draw"]) -> dict[tuple[str, str], Draws]:
    """Draws of every metric by (who, metric), mean over labels that define it, one line per seed."""
    each = [_judge_one(predictions, weights) for predictions in seeds]
    return {key: np.stack([one[key] for one in each]) for key in each[0]}


def interval_of(seeds: Sequence[Predictions], metric: str, draws: Draws) -> Interval:
    """Of a metric's mean over labels and seeds, with the randomness of patients and of training."""
    return metric_interval(metric, draws, _support(seeds[0], metric))


def _support(predictions: Predictions, metric: str) -> Support:
    return mean_support(
        [
            support(metric, predictions.target[predictions.answered, at], predictions.patient[predictions.answered])
            for at in range(len(predictions.labels))
        ]
    )


def group_table(groups: Mapping[str, Sequence[Predictions]], draws: int = 500) -> pd.DataFrame:
    """The same metrics on samples of one acquisition or database alone, and on what was left out of training.

    A group of fewer than ten patients is named with its metrics suppressed.
    """
    rows: list[Row] = []
    for name, seeds in groups.items():
        patients = len(np.unique(seeds[0].patient))
        if patients < FEWEST:
            rows.append({"samples of": name, "patients": patients, "who": MODEL, "metric": SUPPRESSED})
            continue
        for (who, metric), values in judge(seeds, draw_weights(patients, draws)).items():
            rows.append(
                {
                    "samples of": name,
                    "patients": patients,
                    "who": who,
                    "metric": metric,
                    **interval_of(seeds, metric, values)._asdict(),
                }
            )
    return pd.DataFrame(rows, columns=["samples of", "patients", "who", "metric", "value", "low", "high"])


def _judge_one(predictions: Predictions, weights: Float[np.ndarray, "patient draw"]) -> dict[tuple[str, str], Draws]:
    estimate = {
        (MODEL, metric): values
        for metric, values in _metrics(predictions, predictions.p, weights).items()
        if metric in WHAT
    }
    for name, p in predictions.experts.items() if predictions.places is None else ():
        there = np.asarray(np.isfinite(p).all(axis=(1, 2)))
        estimate[name, "auroc"] = _metrics(predictions, np.where(there[:, None, None], p, 0.5), weights, there)["auroc"]
        estimate[name, "divergence"] = _mean(_kl(p, predictions.p), there & predictions.answered, predictions, weights)
    for sets in predictions.sets.values():
        known = predictions.target >= 0
        inside = np.take_along_axis(sets, np.maximum(predictions.target, 0)[:, :, None], axis=2)[:, :, 0]
        share = np.where(known, inside, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        estimate[MODEL, "coverage"] = _mean(share, known.any(axis=1) & predictions.answered, predictions, weights)
        break
    return estimate


def _metrics(
    predictions: Predictions, p: Scores, weights: np.ndarray, there: np.ndarray | None = None
) -> dict[str, Draws]:
    rows = predictions.answered if there is None else predictions.answered & there
    each = [
        metric_replicates(
            p[rows, at],
            predictions.target[rows, at],
            predictions.patient[rows],
            weights,
            **further(predictions, at, rows),
        )
        for at in range(p.shape[1])
    ]
    estimate: dict[str, Draws] = {}
    for metric in (one for one in WHAT if one in each[0]):
        values = [one[metric] for one in each if np.isfinite(one[metric][0])]
        estimate[metric] = np.mean(values, axis=0) if values else np.full(weights.shape[1], np.nan)
    return estimate


def _mean(values: np.ndarray, rows: np.ndarray, predictions: Predictions, weights: np.ndarray) -> Draws:
    sums = np.bincount(predictions.patient[rows], weights=values[rows], minlength=len(weights)) @ weights
    sizes = np.bincount(predictions.patient[rows], minlength=len(weights)) @ weights
    return sums / np.where(sizes > 0, sizes, np.nan)


def _kl(expert: Scores, model: Scores) -> np.ndarray:
    """(sample,): KL(expert ‖ model), mean over labels."""
    log_ratio = np.log(np.maximum(expert, 1e-12)) - np.log(np.maximum(model, 1e-12))
    return np.nan_to_num((expert * log_ratio).sum(axis=2)).mean(axis=1)


def _areas(seeds: Sequence[Predictions], shift: str, key: tuple[str, str], curve: list[Draws]) -> list[Row]:
    """Area under the severity curve (its mean height over evenly spaced steps), and the change from none to worst."""
    stacked = np.stack(curve)
    area = (stacked[1:] + stacked[:-1]).mean(axis=0) / 2
    head = {"shift": shift, "who": key[0], "metric": key[1]}
    stands = _support(seeds[0], key[1])
    change = contrast([(1.0, of_draws(stacked[-1] - stacked[0]))], stands.freedom)
    parts = {
        "area under the curve": metric_interval(key[1], area, stands),
        "worst minus none": difference_interval(key[1], change, stands),
    }
    return [head | {"what": what, **estimate._asdict()} for what, estimate in parts.items()]
