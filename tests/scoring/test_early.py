"""`score --budget`: what is certain is decided without the costly experts, the rest as ever."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2m2_med.console import Progress
from i2m2_med.errors import ModelError, UserError
from i2m2_med.model import I2M2
from i2m2_med.parts import Part
from i2m2_med.scoring.job import model_hash
from i2m2_med.scoring.run import Summary, score, source_of
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine

from .conftest import job_of

BUDGET = 0.2
EXPERTS = ["audio", "image", "joint"]


def plain_numbers() -> dict[str, Any]:
    """A calibration that leaves ten classes as they are."""
    kept = {"scale": 1.0, "bend": 0.0, "shift": [0.0] * 10}
    limits = {"split": [0.9], "by_class": [[0.9] * 10]}
    patterns = {name: {"samples": 9, "labels": [kept]} for name in ("audio", "image", "audio+image")}
    return {"patterns": patterns, "sensitivity": 0.9, "thresholds": None, "conformal": limits}


def with_early(model: Path, folder: Path, margin: float, **changes: Any) -> Path:
    """A copy of the model that stops after image where the two likeliest digits are further apart than `margin`."""
    shutil.copytree(model, folder)
    stops = [{"calibration": plain_numbers(), "margins": [margin] * 100} for _ in range(2)]
    stops[1]["margins"] = [1e9] * 100
    early = {"order": ["image", "audio", "joint"], "flops": [1, 10, 100], "patients": 100, "stops": stops} | changes
    (folder / "calibration.json").write_text(json.dumps(plain_numbers() | {"early": early}), encoding="utf-8")
    return folder


def scored(studies: Path, model: Path, out: Path, budget: float | None) -> tuple[Summary, pd.DataFrame]:
    job = replace(job_of(model, out), budget=budget)
    places = find_studies(str(studies), out, source_of(model))
    summary = score(job, places, local_engine(0, 1, 60.0), Part(), Progress())
    table = pd.read_parquet(out / "scores.parquet")
    return summary, table[table["label"].notna()].set_index(["study", "item", "class"]).sort_index()


def test_items_that_stop_say_what_those_asked_say_and_the_others_what_all_say(
    digits_model: Path, digits_studies: Path, tmp_path: Path
):
    _, before = scored(digits_studies, digits_model, tmp_path / "before", None)
    by_item = np.sort(np.log(before["p_image"].to_numpy().reshape(-1, 10)), axis=1)
    apart = by_item[:, -1] - by_item[:, -2]
    whole = before["pattern"].to_numpy()[::10] == "audio+image"
    limit = float(np.median(apart[whole]))
    model = with_early(digits_model, tmp_path / "model", limit)
    _, full = scored(digits_studies, model, tmp_path / "full", None)
    summary, table = scored(digits_studies, model, tmp_path / "out", BUDGET)
    stops = np.repeat(whole & (apart > limit), 10)
    assert 0 < stops.sum() < 10 * whole.sum()
    np.testing.assert_allclose(table["p"][~stops], full["p"][~stops], atol=1e-12)
    np.testing.assert_allclose(table["p"][stops], full["p_image"][stops], atol=1e-6)
    assert table.loc[stops, ["p_audio", "p_joint"]].isna().all(axis=None)
    assert table.loc[stops, "calibrated"].all()
    pd.testing.assert_frame_equal(table.loc[~stops, full.columns], full[~stops])
    items, stopped = len(whole), int(stops.sum() // 10)
    has = before["pattern"].to_numpy()[::10]
    of = sum({"audio+image": 111, "image": 1, "audio": 10}[one] for one in has)
    assert summary.spared == {"items": items, "stopped": stopped, "flops": of - 110 * stopped, "of": of}


def test_what_is_asked_is_what_validation_was_told(
    digits_model: Path, digits_studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Experts that are surer than a table's probabilities can say stop where margins learnt on such a table say so, not earlier."""
    model = with_early(digits_model, tmp_path / "model", 80.0)  # more than the log of the smallest probability
    said = I2M2.ask

    def surer(self: I2M2, *given: Any) -> Any:
        log_probs, *others = said(self, *given)
        return ((1000 * log_probs).log_softmax(dim=-1), *others)

    monkeypatch.setattr(I2M2, "ask", surer)
    summary, _ = scored(digits_studies, model, tmp_path / "out", BUDGET)
    assert summary.spared["stopped"] == 0


def test_another_budget_is_another_result(digits_model: Path, digits_studies: Path, tmp_path: Path):
    model = with_early(digits_model, tmp_path / "model", 0.0)
    first, _ = scored(digits_studies, model, tmp_path / "out", BUDGET)
    again, _ = scored(digits_studies, model, tmp_path / "out", BUDGET)
    other, _ = scored(digits_studies, model, tmp_path / "out", None)
    assert (again.same, other.same) == (first.studies, 0)
    assert again.spared == first.spared
    assert other.spared == {}


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1, float("nan"), 0.0001])
def test_a_budget_that_can_not_be_kept_is_refused(budget: float, digits_model: Path, tmp_path: Path):
    model = with_early(digits_model, tmp_path / "model", 0.0)
    with pytest.raises(UserError, match="budget"):
        scored(tmp_path, model, tmp_path / "out", budget)


def test_a_model_that_can_not_stop_says_so(digits_model: Path, digits_studies: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no order to stop in"):
        scored(digits_studies, digits_model, tmp_path / "out", BUDGET)


@pytest.mark.parametrize(
    "changes",
    [
        {"order": ["image", "audio", "stranger"]},
        {"order": ["image", "image", "joint"]},
        {"stops": []},
        {"patients": 0},
        {"flops": [1, 2]},
        {"stops": [{"calibration": plain_numbers(), "margins": [0.0] * 201}] * 2},
        {"stops": [{"calibration": plain_numbers() | {"thresholds": [0.5, 0.5]}, "margins": []}] * 2},
        {"stops": [{"calibration": {"patterns": {}}, "margins": [0.0]}] * 2},
        {"stops": [{"calibration": plain_numbers(), "margins": [0.0, 5.0]}] * 2},
        {"patients": 1, "stops": [{"calibration": plain_numbers(), "margins": [0.0, 0.0]}] * 2},
        {"patients": 10**18},
        {"stops": [{"calibration": plain_numbers() | {"prior": "x"}, "margins": []}] * 2},
        {
            "stops": [{"calibration": plain_numbers() | {"prior": {"was": [[0.1]], "will_be": [[0.1]]}}, "margins": []}]
            * 2
        },
        {"stops": [{"calibration": plain_numbers() | {"prior": {"was": [[0.0] * 10]}}, "margins": []}] * 2},
        {"stops": [{"calibration": plain_numbers() | {"classes": 60, "patterns": {}}, "margins": []}] * 2},
        {"stops": [{"calibration": plain_numbers() | {"thresholds": [0.5]}, "margins": []}] * 2},
    ],
)
def test_a_strangers_order_is_checked(changes: dict[str, Any], digits_model: Path, tmp_path: Path):
    model = with_early(digits_model, tmp_path / "model", 0.0, **changes)
    with pytest.raises(ModelError, match=r"calibration\.json"):
        scored(tmp_path, model, tmp_path / "out", BUDGET)
    assert model_hash(model)
