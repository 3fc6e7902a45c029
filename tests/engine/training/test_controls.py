"""Controls are what they say: as many parameters as all of I2M2's experts, as many epochs, as many networks."""

import pytest
import torch

from i2m2_med.config.reader import load_config
from i2m2_med.engine.prediction.build import build_model, training_of
from i2m2_med.samples.preparing import open_source

TASKS = ["knee_controls", "mimic3_controls", "mimic3_controls source.task=mortality", "avmnist_controls"]


@pytest.mark.parametrize("task", TASKS)
def test_a_wider_inter_has_the_parameters_of_all_experts(task):
    name, *settings = task.split()
    run, _ = load_config(name, ["source.root=.", *settings])
    labels = open_source(run).labels

    def count(paradigm: str) -> int:
        with torch.device("meta"):  # nothing is allocated
            model = build_model(run, run.paradigms[paradigm].experts, labels, 0)
        return sum(parameter.numel() for parameter in model.parameters())

    within = 0.05 if name == "avmnist_controls" else 0.01  # a LeNet's width is a small whole number
    assert count("inter_wide") == pytest.approx(count("i2m2"), rel=within)
    assert count("inter") < 0.8 * count("i2m2")


@pytest.mark.parametrize("name", ["knee_controls", "mimic3_controls"])
def test_a_longer_inter_has_the_epochs_of_all_experts(name):
    run, _ = load_config(name, ["source.root=."])
    experts = len(run.paradigms["i2m2"].experts)
    long, usual = (training_of(run, run.paradigms[paradigm]) for paradigm in ("inter_long", "i2m2"))
    assert (long.epochs, long.patience) == (experts * usual.epochs, experts * usual.patience)
    assert long.model_copy(update={"epochs": usual.epochs, "patience": usual.patience}) == usual
    assert len(run.paradigms["ensemble_joint"].experts) == experts
