"""Shuffled inputs: who gives to whom, and what stays."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2m2_med.engine.prediction.permuted import Trade, conditions, swapped, trade
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

LABELS = Labels(("sick", "old"), ("no", "yes"))
N = 37


@pytest.fixture
def samples() -> Samples:
    """Every modality holds its own row number; each fifth sample lacks `b`; three samples per patient."""
    rng = np.random.default_rng(0)
    row = np.arange(N, dtype=np.float32)
    b = np.stack([row, row], axis=1)
    b[::5] = np.nan
    records = pl.DataFrame(
        {
            "patient": [f"p{i // 3}" for i in range(N)],
            "label_sick": rng.integers(0, 2, N),
            "label_old": rng.integers(-1, 2, N),
        }
    )
    return Samples(records, LABELS, ["a", "b"], {"a": row[:, None].copy(), "b": b})


@pytest.fixture
def dealer(samples):
    import pandas as pd

    pattern = ["a" if i % 5 == 0 else "a+b" for i in range(N)]
    return Trade(samples, pd.DataFrame({"pattern": np.repeat(pattern, 4)}), np.random.default_rng(1))


@settings(max_examples=60, deadline=None)
@given(patients=st.integers(2, 9), per=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_trade_is_a_permutation_among_others(patients, per, seed):
    rows = np.arange(100, 100 + patients * per)
    patient = np.repeat(np.arange(patients), per)
    given_rows = trade(rows, patient, np.random.default_rng(seed))
    assert sorted(given_rows) == rows.tolist()
    assert (patient[given_rows - 100] != patient).all()


def test_one_patient_alone_trades_with_itself():
    rows = np.arange(4)
    assert sorted(trade(rows, np.zeros(4, dtype=int), np.random.default_rng(0))) == [0, 1, 2, 3]
    assert len(trade(rows[:0], rows[:0], np.random.default_rng(0))) == 0


@pytest.mark.parametrize("label", [None, 0, 1])
def test_donors_have_the_modality_and_the_label(samples, dealer, label):
    donors = dealer.donors("b", label)
    there = np.arange(N) % 5 != 0
    assert there[donors[there]].all()
    if label is not None:
        target = samples.target[:, label].numpy()
        assert (target[donors] == target).all()


def test_swapped_samples_keep_targets_and_what_is_absent(samples, dealer):
    donors = dealer.donors("b", None)
    rows = [4, 0, 9, 33]
    own, other = samples.__getitems__(rows), swapped(samples, {"b": donors}).__getitems__(rows)
    torch.testing.assert_close(other.inputs["a"], own.inputs["a"])
    torch.testing.assert_close(other.target, own.target)
    assert other.present["b"].tolist() == [True, False, True, True]
    assert other.inputs["b"][[0, 2, 3], 0].tolist() == donors[[4, 9, 33]].tolist()
    assert other.inputs["b"][1].isnan().all()


def test_the_conditions_are_those_the_report_asks_for():
    from i2m2_med.report.dependence.conditions import ALL, among, only, within

    names = {name for name, _, _ in conditions(("a", "b"), ("sick", "old"))}
    modalities = ("a", "b", ALL)
    assert names == {
        *(among(m) for m in modalities),
        *(within(label, m) for label in ("sick", "old") for m in modalities),
        *(only(m) for m in ("a", "b")),
    }
