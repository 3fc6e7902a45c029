"""Settings of how training is computed: what cancels each other is refused, what is learnt stays the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from i2m2_med.config.modalities import Modalities
from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.config.settings import Settings
from i2m2_med.config.training import Training, apply_training
from i2m2_med.engine.training.devices import (
    bfloat16,
    channels_last,
    check_execution,
    fused,
    scaled_half,
    settings_that_need_less,
    within_memory,
)
from i2m2_med.errors import UserError

from . import sharded

GPU = torch.cuda.is_available()


def run(cache: Any = False) -> RunConfig:
    expert = {"reads": ["a"], "network": {"_target_": "torch.nn.Linear"}}
    return RunConfig(task="t", source=Settings(), experts={"a": expert}, modalities=Modalities(cache=cache))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "cache", "words"),
    [
        ({"workers": 2}, True, "modalities.cache: disk, or training.workers: 0"),
        ({"accumulate": 5, "batch": 4}, False, "5 parts of a batch of 4"),
        ({"compile": True, "memory": "one_expert"}, False, "training.compile goes with neither"),
        ({"compile": True, "accumulate": 2}, False, "training.compile goes with neither"),
        ({"precision": "fp16", "device": "cpu"}, False, "fp16 is for a GPU"),
        pytest.param(
            {"device": "cuda", "precision": "fp16"}, False, "which has 0", marks=pytest.mark.skipif(GPU, reason="a GPU")
        ),
    ],
)
def test_settings_that_cancel_each_other_are_refused(settings: dict[str, Any], cache: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_execution(run(cache), Training(**settings))
    check_execution(run("disk"), Training(workers=2, accumulate=2, memory="one_expert"))
    check_execution(run("disk"), Training(precision="bf16", device="cpu"))


def test_amp_of_older_configs_is_a_precision() -> None:
    assert Training.model_validate({"amp": True}).precision == "auto"
    assert Training.model_validate({"amp": False}).precision == "fp32"
    assert apply_training(Training(), {"amp": False}).precision == "fp32"
    with pytest.raises(ValidationError):
        Training.model_validate({"amp": "yes"})


def test_a_cpu_computes_in_float32_and_optimizers_step_in_one_pass_that_can() -> None:
    for precision in ("auto", "fp32"):
        assert not scaled_half(Training(precision=precision), "cpu")
    assert scaled_half(Training(), "cuda:1")
    assert not scaled_half(Training(precision="bf16"), "cuda")
    assert fused(Training(), ()) == {"fused": True}
    assert fused(Training(optimizer={"_target_": "torch.optim.AdamW", "foreach": True}), ()) == {}
    assert fused(Training(optimizer={"_target_": "torch.optim.Rprop"}), ()) == {}


def test_channels_last_says_the_same() -> None:
    torch.manual_seed(0)
    for convolution, shape in ((nn.Conv2d, (2, 3, 9, 8)), (nn.Conv3d, (2, 3, 5, 6, 7))):
        network, images = nn.Sequential(convolution(3, 4, 3), nn.ReLU()), torch.randn(shape)
        before = network(images)
        channels_last(network)
        torch.testing.assert_close(network(images), before)
        assert not next(network.parameters()).is_contiguous()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_names_what_needs_less(error: RuntimeError) -> None:
    with (
        pytest.raises(UserError, match=r"accumulate=2 or -s training.memory=one_expert; .* --resume"),
        within_memory(Training()),
    ):
        raise error
    with pytest.raises(RuntimeError, match="shape"), within_memory(Training()):
        raise RuntimeError("shape")


@pytest.mark.parametrize("settings", ["", "training.compile=true", "training.batch=1", "training.memory=one_expert"])
def test_what_needs_less_is_not_refused(settings: str) -> None:
    given = ("source.root=nowhere", *filter(None, [settings]))
    for setting in settings_that_need_less(load_config("mimic3_demo", given)[0].training):
        run = load_config("mimic3_demo", (*given, *setting.split(" -s ")))[0]
        check_execution(run, run.training)
    alone = Training(batch=1, memory="one_expert")
    assert settings_that_need_less(alone) == []
    with pytest.raises(UserError, match="smaller samples"), within_memory(alone):
        raise MemoryError


def test_fp32_is_what_auto_is_on_a_cpu(tmp_path: Path) -> None:
    auto, fp32 = (sharded.trained(tmp_path / kind, epochs=1, precision=kind)[1] for kind in ("auto", "fp32"))
    assert auto == fp32


@pytest.mark.parametrize(
    "settings", [{}, {"memory": "one_expert"}, {"mode": "joint+aux", "clip": 0.5, "modality_dropout": 0.3}], ids=str
)
def test_bf16_on_a_cpu_learns_the_same_within_a_hundredth(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Weights, what experts say and the loss of each of 30 steps are in float32; losses are those of float32 within 1 %."""
    runs = [sharded.trained(tmp_path / kind, epochs=3, precision=kind, **settings) for kind in ("fp32", "bf16")]
    assert runs[0][1] != runs[1][1]
    assert runs[1][1] == pytest.approx(runs[0][1], rel=0.01)
    assert {tensor.dtype for tensor in runs[1][0].parameters()} == {torch.float32}


def test_what_experts_say_in_bf16_are_probabilities_in_float32() -> None:
    model = sharded.model().eval()
    batch = sharded.samples(20, 0).__getitems__(list(range(20)))
    with torch.no_grad():
        exact = model(batch.inputs, batch.present)
        with bfloat16(Training(precision="bf16"), "cpu"):
            rough = model(batch.inputs, batch.present)
    assert rough.log_probs.dtype == rough.experts.dtype == torch.float32
    torch.testing.assert_close(rough.log_probs.exp().sum(-1), torch.ones(20, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(rough.log_probs, exact.log_probs, atol=0.05, rtol=0)
    assert not torch.equal(rough.log_probs, exact.log_probs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_experts_learn_the_same(tmp_path: Path) -> None:
    plain, compiled = (sharded.trained(tmp_path / str(kind), epochs=1, compile=kind)[1] for kind in (False, True))
    assert compiled == pytest.approx(plain, abs=1e-4)
