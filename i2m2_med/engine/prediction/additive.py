"""The additive projection of a model (EMAP; Hessel and Lee, EMNLP 2020): what it says without any interaction of modalities.

f̂(x) = Σᵢ E[f | xᵢ] − (m − 1) E[f] needs the model's mean log-probabilities with one modality kept and all others drawn from a
fixed set of donors. The donors are the same for every sample, so their choice moves the additive part by a constant only.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples

DONORS = 12
"""Samples that lend their modalities; the projection's interacting part is a mean over so many."""
KEY = ["patient", "study", "item", "label"]


class Donated(Samples):
    """The same samples, with some modalities of one other sample wherever they have those modalities."""

    def __init__(self, samples: Samples, given: Mapping[str, Tensor]) -> None:
        self.__dict__.update(samples.__dict__)
        self.given = given

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        own = super().__getitems__(rows)
        inputs = dict(own.inputs)
        for name, one in self.given.items():
            here = own.present[name].view(-1, *[1] * (inputs[name].ndim - 1))
            inputs[name] = torch.where(here, one, inputs[name])
        return Batch(inputs, own.present, own.target, own.rows)


def additive_tables(
    predictor: Predictor, splits: Sequence[Samples], seed: int = 0, donors: int = DONORS
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(`additive:<modality>`, prediction table over all `splits`) for every modality; donors come from the first split.

    p is the normalised geometric mean over donors. Nothing where no sample of the first split holds every modality.
    """
    lent = lenders(splits[0], predictor.modalities, donors, seed)
    for kept in predictor.modalities if lent else ():
        given = [{name: one[name] for name in predictor.modalities if name != kept} for one in lent]
        parts = [geometric_mean([predictor.predict(Donated(samples, each)) for each in given]) for samples in splits]
        yield f"additive:{kept}", pd.concat(parts, ignore_index=True)


def lenders(samples: Samples, modalities: Sequence[str], donors: int, seed: int) -> list[dict[str, Tensor]]:
    """By modality the inputs (1, …) of up to `donors` samples, of different patients, that hold all of `modalities`."""
    order = np.random.default_rng(seed).permutation(len(samples))
    patient = samples.records["patient"].to_list()
    lent: dict[str, dict[str, Tensor]] = {}
    for row in order:
        if patient[row] in lent:
            continue
        one = samples[int(row)]
        if all(bool(one.present[name]) for name in modalities):
            lent[patient[row]] = {name: one.inputs[name] for name in modalities}
        if len(lent) == donors:
            break
    return list(lent.values())


def geometric_mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The first table with p the geometric mean of all tables' p, normalised over the classes of a sample's label."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.stack([table["p"].to_numpy(dtype=np.float64) for table in tables]))
    p = np.exp(np.maximum(logs, -60.0).mean(axis=0))  # a refused sample's NaN stays
    kept = [name for name in tables[0].columns if not name.startswith("p_")]
    table = tables[0][kept].assign(p=p)
    total = table.groupby(KEY, sort=False)["p"].transform("sum")
    return table.assign(p=table["p"] / total)
