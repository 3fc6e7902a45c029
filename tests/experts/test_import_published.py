"""Published state dicts become ours: same logits, nothing unpickled, mistakes named."""

import json

import pytest
import torch
from i2m2_med.pipelines.import_published import main
from safetensors.torch import load_file

from i2m2_med.errors import ModelError, UserError
from i2m2_med.experts import LateFusion, LeNet, LowRankFusion, PreActResNet18, SeriesGRU, StaticMLP, StaticSeriesJoint

SYSTEMS = {
    "mimic3": {
        "static": ("unimodal_0.", lambda: StaticMLP(classes=2)),
        "series": ("unimodal_1.", lambda: SeriesGRU(classes=2)),
        "joint": ("inter.", lambda: StaticSeriesJoint(classes=2)),
    },
    "avmnist": {
        "image": ("unimodal_0.", lambda: LeNet(28)),
        "audio": ("unimodal_1.", lambda: LeNet(112)),
        "joint": ("lf.", LateFusion),
        "joint_lowrank": ("lrtf.", LowRankFusion),
    },
    "knee": {
        "magnitude": ("model_imag.", lambda: PreActResNet18(1)),
        "joint": ("model_cat.", lambda: PreActResNet18(2)),
    },
}


def published_state(network: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    names = network.published_names()
    return {prefix + names[ours]: tensor for ours, tensor in network.state_dict().items()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_expert_is_imported_bit_by_bit(system, tmp_path):
    networks = {name: (prefix, build()) for name, (prefix, build) in SYSTEMS[system].items()}
    state = {"inter": torch.zeros(())}
    for prefix, network in networks.values():
        state |= published_state(network, prefix) | {f"{prefix}dead.weight": torch.zeros(1)}
    torch.save(state, tmp_path / "best.pt")
    result = main(tmp_path / "best.pt", tmp_path / "out", network=system)
    assert json.loads((tmp_path / "out" / "imported.json").read_text(encoding="utf-8")).items() <= result.items()
    assert {path.stem for path in (tmp_path / "out").glob("*.safetensors")} == set(networks)
    for name, (_, network) in networks.items():
        assert result["experts"][name]["unused"] == ["dead.weight"]
        weights = load_file(tmp_path / "out" / f"{name}.safetensors")
        assert weights.keys() == network.state_dict().keys()
        assert all(torch.equal(weights[key], tensor) for key, tensor in network.state_dict().items())


def test_low_rank_factors_that_were_never_saved_leave_that_expert_out(tmp_path):
    fusion = {name: value for name, value in published_state(LowRankFusion(), "lrtf.").items() if "factors" not in name}
    torch.save({"state_dict": published_state(LeNet(28), "unimodal_0.") | fusion}, tmp_path / "best.pt")
    result = main(tmp_path / "best.pt", tmp_path / "out", network="avmnist")
    assert list(result["experts"]) == ["image"]
    assert "never saved" in result["left_out"]["joint_lowrank"]


def test_one_expert_alone_has_no_prefix(tmp_path):
    torch.save(published_state(LeNet(112), ""), tmp_path / "audio.pt")
    with pytest.raises(ModelError, match="--expert"):
        main(tmp_path / "audio.pt", tmp_path / "out", network="avmnist")
    result = main(tmp_path / "audio.pt", tmp_path / "out", network="avmnist", expert="audio")
    assert list(result["experts"]) == ["audio"]


class Evil:
    def __reduce__(self):
        return eval, ("1/0",)


def broken(path, kind):
    if kind == "module":
        torch.save(LeNet(28), path)
    elif kind == "code":
        torch.save({"weight": Evil()}, path)
    elif kind == "text":
        path.write_text("not a checkpoint", encoding="utf-8")
    elif kind == "truncated":
        torch.save(published_state(LeNet(28), "unimodal_0."), path)
        path.write_bytes(path.read_bytes()[:4000])
    elif kind == "list":
        torch.save([torch.zeros(1)], path)
    elif kind == "other network":
        torch.save(published_state(StaticMLP(classes=10), "unimodal_0."), path)
    elif kind == "other shape":
        torch.save(published_state(LeNet(28, width=4), "unimodal_0."), path)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("module", "state_dict"),
        ("code", "state_dict"),
        ("text", "torch.save|state_dict"),
        ("truncated", "save it again"),
        ("list", "no state dict"),
        ("other network", "lacks unimodal_0.0.convs"),
        ("other shape", r"where the network has"),
        ("missing", "is not there"),
    ],
)
def test_anything_else_is_one_clear_line_and_nothing_is_written(kind, says, tmp_path):
    broken(tmp_path / "best.pt", kind)
    with pytest.raises(UserError, match=says) as caught:
        main(tmp_path / "best.pt", tmp_path / "out", network="avmnist")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
