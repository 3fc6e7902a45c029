"""Rivals get the budgets that I2M2 gets, and what each cost is said."""

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.config.yaml_source import shipped
from i2m2_med.engine.training.stages import settings_of_stages

RIVALS = sorted(name for name in shipped() if name.startswith("rivals_"))
BUDGET = ("epochs", "learning_rates", "patience", "batch", "optimizer", "scheduler", "select", "modality_dropout")


@pytest.mark.parametrize("name", RIVALS)
def test_every_stage_of_every_rival_has_the_same_budget(name):
    run, _ = load_config(name, ["source.root=."])
    stages = [stage for paradigm in run.paradigms for stage in settings_of_stages(run, paradigm)]
    budgets = [{key: getattr(stage, key) for key in BUDGET} for stage in stages]
    assert all(budget == budgets[0] for budget in budgets)
    assert len(budgets[0]["learning_rates"]) > 1


@pytest.mark.parametrize("name", RIVALS)
def test_every_track_has_every_rival_in_its_primary_comparison(name):
    run, _ = load_config(name, ["source.root=."])
    assert run.evaluation.primary.rivals == ("tokens", "i2moe", "ogm_ge", "stacked")
    assert {"i2m2", "intra", "inter"} < set(run.paradigms)
    assert len(run.seeds) >= 3
    assert run.experts["tokens"].needs == "any"
