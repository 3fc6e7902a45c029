"""Validation samples with modalities withheld: patterns that validation lacks are calibrated before a study brings them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import torch

from i2m2_med.config.run import nearest
from i2m2_med.engine.calibration.calibrate import fit_calibration
from i2m2_med.engine.prediction.predict import patterns
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import ConfigError
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples


class Withheld(Samples):
    """Those samples that have all of `kept`, with nothing but `kept`."""

    def __init__(self, samples: Samples, kept: frozenset[str], found: Sequence[str]) -> None:
        """found: each sample's own pattern, as of `patterns`."""
        self.__dict__.update(samples.__dict__)
        self.whole, self.kept = samples, kept
        self.chosen = np.flatnonzero([kept <= set(pattern.split("+")) for pattern in found])
        self.records = samples.records[self.chosen]
        self.target = samples.target[torch.from_numpy(self.chosen)]

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The chosen samples of `rows`, without what is withheld."""
        own = self.whole.__getitems__(self.chosen[list(rows)].tolist())
        present = {name: there if name in self.kept else torch.zeros_like(there) for name, there in own.present.items()}
        return Batch(own.inputs, present, own.target, torch.as_tensor(rows, dtype=torch.int64))


def fit_withheld(predictor: Predictor, samples: Samples) -> dict[str, Any]:
    """Calibration by pattern, for patterns that the model can answer and that its calibration has no numbers for.

    samples: the validation split that the model's calibration was fitted on.
    """
    bare, found = replace(predictor, calibration={}), patterns(samples)
    fitted: dict[str, Any] = {}
    for kept in answerable(predictor, sorted(set("+".join(found).split("+")))):
        name = "+".join(sorted(kept))
        if all(predictor.calibration["patterns"].get(name, {"labels": [None]})["labels"]):
            continue
        part = Withheld(samples, kept, found)
        if len(part):
            fitted[name] = fit_calibration(bare.predict(part))["patterns"][name]
    return fitted


def withhold(predictor: Predictor, samples: Samples, without: Sequence[str]) -> Withheld:
    """The samples without some modalities. Raises ConfigError for a name that there is not, or where no expert could answer."""
    for name in without:
        if name not in samples.modalities:
            raise ConfigError(f"there is no modality '{name}' to leave out{nearest(name, samples.modalities)}")
    kept = frozenset(samples.modalities) - set(without)
    if kept not in answerable(predictor, sorted(kept)):
        raise ConfigError(f"no expert of this model can answer without {' and '.join(without)}")
    return Withheld(samples, kept, patterns(samples))


def answerable(predictor: Predictor, modalities: Sequence[str]) -> Iterator[frozenset[str]]:
    """Every choice of `modalities` that at least one expert can read."""
    reads = [set(names) for names in predictor.model.reads.values()]
    for count in range(1, len(modalities) + 1):
        for kept in combinations(modalities, count):
            if any(wanted <= set(kept) for wanted in reads):
                yield frozenset(kept)
