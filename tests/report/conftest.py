"""Prediction tables with known strengths, made from logits."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


def long_table(
    p: np.ndarray, target: np.ndarray, patient: np.ndarray, split: np.ndarray, **columns: object
) -> pd.DataFrame:
    """One row per sample × label × class of p (sample, label, class), as the engine writes it."""
    labels = p.shape[1]
    row, label, cls = (axis.ravel() for axis in np.indices(p.shape))
    table = pd.DataFrame(
        {
            "patient": np.char.add("P", patient.astype(str))[row],
            "study": np.char.add("S", patient.astype(str))[row],
            "item": row,
            "split": split[row],
            "label": np.array([f"label{i}" for i in range(labels)])[label],
            "class": cls,
            "p": p.ravel(),
            "target": target[row, label],
            "pattern": "magnitude+phase",
            "calibrated": True,
            "status": "ok",
        }
    )
    for name, values in columns.items():
        values = np.asarray(values)
        table[name] = values.ravel() if values.shape == p.shape else values[row]
    return table


@pytest.fixture
def make_table() -> Callable[..., pd.DataFrame]:
    """make_table(signal=1.0, seed=0, …): a model whose log-odds are `signal` × truth plus noise, calibrated for two classes."""

    def make(
        signal: float = 1.0, seed: int = 0, patients: int = 60, per: int = 3, labels: int = 3, classes: int = 2
    ) -> pd.DataFrame:
        world = np.random.default_rng(7)
        n = patients * per
        patient = np.repeat(np.arange(patients), per)
        target = world.integers(0, classes, size=(n, labels))
        split = np.where(patient % 3 == 0, "valid", "test")
        logits = np.random.default_rng(seed).normal(size=(n, labels, classes)) + signal * np.eye(classes)[target]
        p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        return long_table(p, target, patient, split)

    return make


@pytest.fixture(name="long_table", scope="session")
def long_table_fixture() -> Callable[..., pd.DataFrame]:
    """`long_table` itself."""
    return long_table
