"""Samples under other inputs: modalities taken from other patients, so that a model's use of them can be measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from i2m2_med.engine.prediction.additive import additive_tables
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.predictions import MANY
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples

Donors = Mapping[str, Int[np.ndarray, "sample"]]
"""By modality: the row each sample takes it from; a modality that is not named stays."""


def swapped(samples: Samples, donors: Donors) -> Samples:
    """Return the same samples with some modalities of other rows. Targets, patients and what is absent stay."""
    given_by = {name: torch.as_tensor(rows, dtype=torch.int64) for name, rows in donors.items()}

    def swap(own: Batch) -> Batch:
        inputs = dict(own.inputs)
        for name, rows in given_by.items():
            given = samples.__getitems__(rows[own.rows].tolist())
            there = own.present[name].view(-1, *[1] * (inputs[name].ndim - 1))
            inputs[name] = torch.where(there, given.inputs[name], inputs[name])
        return replace(own, inputs=inputs)

    return samples.changed_by(swap)


def permuted_tables(
    predictor: Predictor, splits: Sequence[Samples], seed: int = 0
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(condition, prediction table over all `splits`) for every condition of `report/dependence.py`, `paired` first.

    Patients trade within their split only. Tables are uncalibrated: the report re-tempers each condition alike.
    """
    bare = replace(predictor, calibration={})
    paired = [bare.predict(samples) for samples in splits]
    yield "paired", pd.concat(paired, ignore_index=True)
    modalities = predictor.modalities
    rng = np.random.default_rng(seed)
    trades = [Trade(samples, table, rng) for samples, table in zip(splits, paired, strict=True)]
    for name, moved, label in conditions(modalities, predictor.labels.names):
        parts = [
            bare.predict(swapped(samples, {modality: trade.donors(modality, label) for modality in moved}))
            for samples, trade in zip(splits, trades, strict=True)
        ]
        yield name, pd.concat(parts, ignore_index=True)
    if len(predictor.labels.classes) <= MANY:  # a mean over donors needs every class of every sample
        yield from additive_tables(bare, splits, seed)


def conditions(modalities: Sequence[str], labels: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...], int | None]]:
    """(name, modalities that are shuffled, label number or None for among all)."""
    groups = {**{name: (name,) for name in modalities}, "all": tuple(modalities)}
    for group, moved in groups.items():
        yield f"among:{group}", moved, None
        for at, label in enumerate(labels):
            yield f"within:{label}:{group}", moved, at
    for kept in modalities:
        yield f"only:{kept}", tuple(name for name in modalities if name != kept), None


class Trade:
    """Permutations of samples of one split: a donor gives its modality to another sample."""

    def __init__(self, samples: Samples, table: pd.DataFrame, rng: np.random.Generator) -> None:
        by_sample = table.drop_duplicates(["study", "item"]) if "log_rest" in table else table
        each = len(by_sample) // max(1, len(samples))
        self.has = [set(str(name).split("+")) for name in by_sample["pattern"].iloc[::each]]
        self.patient = pd.factorize(samples.records["patient"].to_numpy())[0]  # in order of rows: names depend on a key
        self.target = samples.target.numpy()
        self.rng = rng

    def donors(self, modality: str, label: int | None) -> np.ndarray:
        """For each sample a row of another patient that has the modality, of the same value of `label` where one is named."""
        rows = np.arange(len(self.has))
        there = np.array([modality in has for has in self.has])
        group = np.zeros(len(rows), dtype=np.int64) if label is None else self.target[:, label]
        for value in np.unique(group):
            members = rows[there & (group == value)]
            rows[members] = trade(members, self.patient[members], self.rng)
        return rows


def trade(
    rows: Int[np.ndarray, "sample"], patient: Int[np.ndarray, "sample"], rng: np.random.Generator
) -> Int[np.ndarray, "sample"]:
    """A permutation of `rows` in which nobody gets a row of the same patient, as far as others are enough.

    Patients stand in random order, each with its rows together, and everyone takes the row one largest patient further on.
    """
    if len(rows) == 0:
        return rows
    order = np.lexsort((rng.random(len(rows)), rng.permutation(patient.max() + 1)[patient]))
    largest = int(np.bincount(patient).max())
    step = int(rng.integers(largest, max(largest, len(rows) - largest) + 1))
    given = np.empty_like(rows)
    given[order] = rows[np.roll(order, step)]
    return given
