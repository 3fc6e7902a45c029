"""The dials of `i2m2 simulate table`, found again by `train` and `diagnose` on the written files; the ideal observer beside them."""

import json
from pathlib import Path

import pandas as pd
import pytest
from i2m2_med.pipelines.diagnose import main as diagnose
from i2m2_med.pipelines.train import main as train

from i2m2_med.simulate.table.write import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def found(place: Path, **dials: float) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Nats of the interaction by kind, of the relation by shuffled modality, and the ideal observer's by paradigm."""
    simulate(place / "data", patients=700, matrix="16x20x16", missing=0.05, seed=4, **dials)
    run = train("table_demo", set_=(f"source.root={place / 'data'}",))["runs"][0]
    diagnose(run, out=place / "diagnosis")
    relation = pd.read_csv(place / "diagnosis" / "dependence.csv").query("kind == 'inter'").set_index("shuffled")
    ideal = json.loads((place / "data" / "ideal.json").read_text(encoding="utf-8"))["nats"]["diagnosis"]
    return pd.read_csv(place / "diagnosis" / "interaction.csv").set_index("kind"), relation, ideal


def test_a_tied_pair_is_found_and_named(tmp_path: Path):
    nats, relation, ideal = found(tmp_path, t1=0.5, clinical=0.5, report=0.0, labs=0.0, between=1.0)
    assert nats.loc["between (excess synergy)", "low"] > 0
    assert 0.5 * ideal["inter"] < nats.loc["total", "value"] < ideal["inter"] + 0.1
    for name in ("t1", "clinical"):
        assert relation.loc[name, "low"] > 0, name
    for name in ("report", "labs"):
        assert relation.loc[name, "low"] <= 0.01, name  # nothing was put there
        assert nats.loc[f"alone: {name}", "low"] <= 0.01, name


def test_what_lies_within_is_not_taken_for_a_relation(tmp_path: Path):
    nats, _, ideal = found(tmp_path, t1=0.9, clinical=0.9, report=0.9, labs=0.0, between=0.0)
    assert nats.loc["between (excess synergy)", "low"] <= 0
    assert 0.5 * ideal["inter"] < nats.loc["total", "value"] < ideal["inter"] + 0.1
    for name in ("t1", "clinical", "report"):
        assert nats.loc[f"alone: {name}", "low"] > 0, name
        assert nats.loc[f"alone: {name}", "value"] < ideal[f"unimodal_{name}"] + 0.1, name
    assert nats.loc["alone: labs", "low"] <= 0.01
