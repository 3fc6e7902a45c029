"""Scores of many classes whose truth came later, and is not among those that were kept: what is exact is judged, nothing is guessed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.predictions import SCORED
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.metrics import metrics_of
from i2m2_med.report.statistics.table import read_predictions

KEPT, CLASSES, STUDIES = 20, 300, 60
RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.full(CLASSES, 0.05), STUDIES)
TARGET = np.where(RNG.random(STUDIES) < 0.5, P.argmax(axis=1), RNG.integers(0, CLASSES, STUDIES))
"""Right answers by half; of the others many are outside of the twenty likeliest."""


def table(split: str = SCORED, *, own: bool = False) -> pd.DataFrame:
    """own: with the row of each target, as training and evaluation have it."""
    rows: list[dict[str, Any]] = []
    for study, (p, target) in enumerate(zip(P, TARGET.tolist(), strict=True)):
        kept = set(np.argsort(-p)[:KEPT].tolist()) | ({target} if own else set())
        rest = np.log(max(1 - p[list(kept)].sum(), 1e-12))
        rows += [
            {"patient": f"p{study}", "study": f"s{study}", "item": 0, "split": split, "label": "answer", "class": cls, "p": p[cls],
             "p_joint": p[cls], "target": target, "log_rest": rest, "classes": CLASSES, "set": f"{target}+…",
             "score": 0.6 if cls == target else 0.3 if cls == (target + 1) % CLASSES else 0.0}
            for cls in sorted(kept)
        ]  # fmt: skip
    return pd.DataFrame(rows)


def metrics(frame: pd.DataFrame) -> dict[str, float]:
    predictions = read_predictions(frame)
    return {name: float(draws[0]) for name, draws in metrics_of(predictions, 0, np.ones((STUDIES, 1))).items()}


def test_decisions_are_judged_as_if_every_row_were_there():
    hidden, whole = metrics(table()), metrics(table(own=True))
    for name in ("accuracy", "soft_accuracy", "ece"):
        assert hidden[name] == pytest.approx(whole[name], abs=1e-12), name
    assert np.isnan([hidden["nll"], hidden["brier"]]).all()
    assert np.isfinite([whole["nll"], whole["brier"]]).all()
    assert whole["accuracy"] < 0.9


def test_where_every_truth_is_kept_likelihoods_are_judged_too():
    seen = read_predictions(table()).places
    assert seen is not None
    assert seen.hidden.sum() > 10
    kept = [f"s{at}" for at in np.flatnonzero(~seen.hidden[:, 0])]
    part = metrics(table()[lambda frame: frame["study"].isin(kept)])
    assert np.isfinite([part["nll"], part["brier"]]).all()


def test_what_is_not_judged_is_said_and_sets_are_left_out():
    frame = table()
    assert read_predictions(frame).sets == {}
    assert set(read_predictions(table(own=True)).sets) == {"set"}
    notes = compare_tables({("i2m2", 0): frame}, split=SCORED, replicates=20).notes
    [said] = [note for note in notes if "not among the likeliest" in note]
    assert said.startswith(f"{int((~np.isfinite(hidden_rows(frame))).sum())} of {STUDIES} true answers")
    assert "NLL, Brier score and conformal sets are not judged" in said


def hidden_rows(frame: pd.DataFrame) -> np.ndarray:
    """By study, 1 where the target has a row, NaN where it has none."""
    held = frame[frame["class"] == frame["target"]]["study"].unique()
    return np.array([1.0 if f"s{at}" in set(held) else np.nan for at in range(STUDIES)])


def test_a_table_that_should_hold_its_targets_is_still_refused():
    with pytest.raises(SourceError, match="lacks the rows of some targets"):
        read_predictions(table("test"))
