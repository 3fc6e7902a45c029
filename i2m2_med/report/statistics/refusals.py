"""Predictions that no evidence can come from: said in a line, before a page full of dashes is written."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.errors import SourceError
from i2m2_med.report.statistics.paired_predictions import Model, PairedPredictions, model_name, pair_predictions
from i2m2_med.report.statistics.table import Predictions


def refuse_splits(manifest: Mapping[str, Any]) -> None:
    """Before anything is trained: raise SourceError if validation or test hold one patient, or no label with two classes."""
    parts = [(name, manifest["splits"][name]) for name in ("valid", "test") if name in manifest["splits"]]
    parts += [(f"valid (fold {at})", fold["splits"]["valid"]) for at, fold in enumerate(manifest.get("folds", ()))]
    for name, part in parts:
        _refuse_patients(name, part["patients"])
        _refuse_classes(name, {label: sum(n > 0 for n in counts.values()) for label, counts in part["classes"].items()})


def refuse_tables(
    tables: Mapping[Model, pd.DataFrame],
    split: str,
    reference: str,
    fingerprints: Mapping[Model, str] | None = None,
) -> None:
    """Raise SourceError if no statement can be made about `split`: it lacks validation samples, or has one patient, one class
    of every label, a NaN, or one score for all from the reference."""
    every = pair_predictions(tables, fingerprints)
    judged = every.of(split)
    if not len(judged.first.samples):
        there = ", ".join(dict.fromkeys(every.first.samples["split"]))
        raise SourceError(f"there are no predictions on a split '{split}'; there are on {there}")
    if not len(every.first.of("valid").samples):
        raise SourceError(
            "the run holds no predictions on validation samples, which operating points and calibration are chosen on; "
            "train again with a share for `split.valid`"
        )
    for name in ("valid", split):
        part = every.first.of(name)
        _refuse_patients(name, part.samples["patient"].nunique())
    _refuse_classes(split, classes_seen(judged.first))
    _refuse_constant(judged, reference)


def classes_seen(predictions: Predictions) -> dict[str, int]:
    """By label: how many of its classes occur."""
    target = predictions.truth
    return {label: len(np.unique(target[target[:, at] >= 0, at])) for at, label in enumerate(predictions.labels)}


def _refuse_patients(split: str, patients: int) -> None:
    if patients == 1:
        raise SourceError(
            f"the {split} split holds one patient: intervals resample patients, so nothing can be said; use more patients, "
            f"or a larger share for `split.{split.split()[0]}`"
        )


def _refuse_classes(split: str, seen: Mapping[str, int]) -> None:
    if seen and max(seen.values()) < 2:
        raise SourceError(
            f"the {split} split holds one class only of {', '.join(seen)} (no positives, or nothing else): there is nothing to "
            "tell apart; use more patients, or another label"
        )


def _refuse_constant(judged: PairedPredictions, reference: str) -> None:
    for model, predictions in judged.models.items():
        if model[0] == reference and all(map(predictions.same_for_all, range(len(predictions.labels)))):
            raise SourceError(
                f"{model_name(model)} gives every sample the same scores, so it ranks nobody; its training failed: train it again "
                "with a lower learning rate"
            )
