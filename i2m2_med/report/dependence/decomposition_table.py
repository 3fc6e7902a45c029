"""Redundant and unique nats of every pair of modalities, and the excess of their synergy over independent evidence.

Evidence that is independent given the label already has synergy in the sense of Bertschinger et al. (2014), so what is shown is
the excess over a surrogate whose modalities are independent given the label (`within` all). The surrogate keeps every (X_i, Y),
on which the union information depends, so the excess is the loss that making them independent costs.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from i2m2_med.report.dependence.broja import Parts, decompose
from i2m2_med.report.dependence.conditions import ALL, PAIRED, Shuffled, judged, within
from i2m2_med.report.dependence.information import Amount, amount, of_first_seed
from i2m2_med.report.dependence.retemper import by_fold, heard, loss, prior_loss_of, retemper, validation
from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.table import Predictions

Reads = Mapping[str, Sequence[str]]
"""By expert: the modalities it reads."""

DRAWS = 100
"""Each is a decomposition of its own; a standard error needs no more."""
EXCESS_DRAWS = 1000
FEWEST_SEEDS = 2
FEWEST_SAMPLES = 300
"""Test samples and seeds below which the excess is not shown: it comes out too large, or with one training's luck in it."""
SHOWN = ("redundant", "unique_first", "unique_second")
PARTS = (*SHOWN, "excess_synergy")
COLUMNS = ["label", "first", "second", *(f"{name}{end}" for name in PARTS for end in ("", "_low", "_high"))]


def decomposition_table(
    seeds: Sequence[Shuffled], reads: Reads, alone: Mapping[str, Predictions], draws: int = DRAWS
) -> pd.DataFrame:
    """A row per label and pair of modalities, on test samples: each part's value, low and high.

    What a modality says alone comes from a model trained on it alone where there is one, else from the experts that read
    only it; what a pair says together, from the experts that read nothing else. Of three modalities or more each pair is
    decomposed by itself, as if the others were not there. A pair lacks where no expert reads one of it by itself. Labels of many
    classes, of which only the likeliest are known, are not decomposed: the joint distribution needs all of them.
    """
    rows: list[Row] = []
    predictions = [seed[PAIRED] for seed in seeds]
    if predictions[0].places is not None:
        return pd.DataFrame(columns=COLUMNS)
    modalities = list(dict.fromkeys(modality for names in reads.values() for modality in names))
    for first, second in combinations(modalities, 2):
        together = [name for name, names in reads.items() if set(names) <= {first, second}]
        single = {each: [name for name, names in reads.items() if set(names) == {each}] for each in (first, second)}
        if not all(single[each] or each in alone for each in single) or not together:
            continue
        for at, label in enumerate(predictions[0].labels):
            each = [
                _parts(one, at, single=single, together=together, alone=alone, draws=draws if number == 0 else 0)
                for number, one in enumerate(predictions)
            ]
            test = predictions[0].samples["split"].to_numpy(dtype=str) == "test"
            patients = len(np.unique(predictions[0].patient[test]))
            amounts = {name: _amount([getattr(parts, name) for parts in each], patients) for name in SHOWN}
            amounts["excess_synergy"] = _excess(seeds, at, together)
            rows.append({"label": label, "first": first, "second": second, **_columns(amounts)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _excess(seeds: Sequence[Shuffled], label: int, together: Sequence[str]) -> Amount:
    """Nats that the pair's experts save beyond what they save of modalities independent given the label; NaN from too little."""
    first = seeds[0][PAIRED]
    test, patient, weights = judged(first, EXCESS_DRAWS)
    if len(seeds) < FEWEST_SEEDS or int((first.target[test, label] >= 0).sum()) < FEWEST_SAMPLES:
        return Amount(float("nan"), float("nan"), float("nan"))
    name = within(first.labels[label], ALL)
    saved = [
        np.where(_all_heard(seed[PAIRED], together), _gain(seed[PAIRED], label, together), np.nan)
        - _gain(seed[name], label, together)
        for seed in seeds
    ]
    return amount([each[test] for each in saved], patient, weights)


def _parts(
    predictions: Predictions,
    label: int,
    *,
    single: Mapping[str, Sequence[str]],
    together: Sequence[str],
    alone: Mapping[str, Predictions],
    draws: int,
) -> Parts:
    """Of one seed, per draw."""
    known = (predictions.samples["split"].to_numpy(dtype=str) == "test") & (predictions.target[:, label] >= 0)
    each = [
        _opinion(alone[name], label, ()) if name in alone else _opinion(predictions, label, experts)
        for name, experts in single.items()
    ]
    for one in (*single.values(), together):
        known &= _all_heard(predictions, one)
    target, patient = predictions.target[known, label], np.unique(predictions.patient[known], return_inverse=True)[1]
    weights = draw_weights(int(patient.max()) + 1, draws)
    gain = _gain(predictions, label, together)[known]
    return decompose(
        np.exp(each[0][known]), np.exp(each[1][known]), target, gain=gain, patient=patient, weights=weights
    )


def _amount(seeds: Sequence[np.ndarray], patients: int) -> Amount:
    """The mean over seeds; patients are drawn for the first seed only, whose sampling error stands for all."""
    return of_first_seed(seeds[0], [float(draws[0]) for draws in seeds], patients)


def _columns(amounts: Mapping[str, Amount]) -> Row:
    row: Row = {}
    for name, each in amounts.items():
        row |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return row


def _all_heard(predictions: Predictions, experts: Sequence[str]) -> np.ndarray:
    """(sample,): where none of the experts was absent."""
    there = [np.isfinite(predictions.experts[name]).all(axis=(1, 2)) for name in experts if name in predictions.experts]
    return np.logical_and.reduce(there) if there else np.ones(len(predictions.samples), dtype=bool)


def _opinion(predictions: Predictions, label: int, experts: Sequence[str]) -> np.ndarray:
    """Log-probabilities (sample, classes) of some experts together (none named: of all), re-tempered on validation."""

    def of_part(part: Predictions, _: np.ndarray) -> np.ndarray:
        logs = heard(part, label)
        return retemper(np.stack([logs[name] for name in experts or logs]), part.target[:, label], validation(part))

    return by_fold(predictions, of_part)


def _gain(predictions: Predictions, label: int, experts: Sequence[str]) -> np.ndarray:
    """(sample,): nats that some experts save against knowing the class shares only."""
    return prior_loss_of(predictions, label) - loss(_opinion(predictions, label, experts), predictions.target[:, label])
