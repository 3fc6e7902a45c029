"""Validation samples with modalities withheld: patterns that validation lacks are calibrated before a study brings them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
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


def fit_withheld(known: Mapping[str, Any], asked: Sequence[tuple[Predictor, Samples]]) -> dict[str, Any]:
    """Calibration by pattern, for patterns that a model can answer and that `known` (calibration by pattern) has no numbers for.

    asked: the model with the samples that its calibration was fitted on; of a cross-validation each fold's.
    """
    bare = [(replace(predictor, calibration={}), samples, patterns(samples)) for predictor, samples in asked]
    seen = sorted({name for _, _, by_sample in bare for pattern in by_sample for name in pattern.split("+")})
    fitted: dict[str, Any] = {}
    for kept in answerable(asked[0][0], seen):
        name = "+".join(sorted(kept))
        if all(known.get(name, {"labels": [None]})["labels"]):
            continue
        parts = [(model, of_modalities(samples, kept, by_sample)) for model, samples, by_sample in bare]
        tables = [model.predict(part) for model, part in parts if len(part)]
        if tables:
            fitted[name] = fit_calibration(pd.concat(tables, ignore_index=True))["patterns"][name]
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
