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


def of_modalities(samples: Samples, kept: frozenset[str], pattern: Sequence[str]) -> Samples:
    """Return those samples that have all of `kept`, with nothing but `kept`. pattern: each sample's own, as of `patterns`."""

    def withhold(own: Batch) -> Batch:
        present = {name: there if name in kept else torch.zeros_like(there) for name, there in own.present.items()}
        return replace(own, present=present)

    return samples.take(np.flatnonzero([kept <= set(one.split("+")) for one in pattern])).changed_by(withhold)


def fit_withheld(predictor: Predictor, samples: Samples) -> dict[str, Any]:
    """Calibration by pattern, for patterns that the model can answer and that its calibration has no numbers for.

    samples: the validation split that the model's calibration was fitted on.
    """
    bare, by_sample = replace(predictor, calibration={}), patterns(samples)
    fitted: dict[str, Any] = {}
    for kept in answerable(predictor, sorted(set("+".join(by_sample).split("+")))):
        name = "+".join(sorted(kept))
        if all(predictor.calibration["patterns"].get(name, {"labels": [None]})["labels"]):
            continue
        part = of_modalities(samples, kept, by_sample)
        if len(part):
            fitted[name] = fit_calibration(bare.predict(part))["patterns"][name]
    return fitted


def withhold(predictor: Predictor, samples: Samples, without: Sequence[str]) -> Samples:
    """The samples without some modalities. Raises ConfigError for a name that there is not, or where no expert could answer."""
    for name in without:
        if name not in samples.modalities:
            raise ConfigError(f"there is no modality '{name}' to leave out{nearest(name, samples.modalities)}")
    kept = frozenset(samples.modalities) - set(without)
    if kept not in answerable(predictor, sorted(kept)):
        raise ConfigError(f"no expert of this model can answer without {' and '.join(without)}")
    return of_modalities(samples, kept, patterns(samples))


def answerable(predictor: Predictor, modalities: Sequence[str]) -> Iterator[frozenset[str]]:
    """Every choice of `modalities` that at least one expert can read."""
    model = predictor.model
    for count in range(1, len(modalities) + 1):
        for kept in combinations(modalities, count):
            if any(model.can_answer(name, kept) for name in model.names):
                yield frozenset(kept)
