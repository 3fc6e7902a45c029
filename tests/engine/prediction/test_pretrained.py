"""First weights come into the named part, bit by bit, stay there where frozen, and hostile files are refused in a line."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from i2m2_med.config.experts import Pretrained
from i2m2_med.config.run import RunConfig
from i2m2_med.config.settings import Settings
from i2m2_med.engine.prediction.pretrained import load_part, load_pretrained, weight_digests
from i2m2_med.errors import ConfigError, UserError
from i2m2_med.model import I2M2


def backbone() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(2))


def network() -> nn.Sequential:
    made = backbone()
    made(torch.zeros(2, 1, 5, 5))
    return made


def other_state(prefix: str = "") -> dict[str, Tensor]:
    """A state dict of the same network with other weights and running statistics."""
    torch.manual_seed(7)
    made = network()
    made.train()(3 + torch.randn(8, 1, 5, 5))
    return {f"{prefix}{name}": tensor.clone() for name, tensor in made.state_dict().items()}


def run_of(*weights: dict[str, Any]) -> RunConfig:
    expert = {"reads": ["x"], "network": {"_target_": "torch.nn.Identity"}, "weights": list(weights)}
    return RunConfig.model_validate(
        {"task": "t", "source": Settings(), "experts": {"a": expert}, "paradigms": {"i2m2": {"experts": ["a"]}}}
    )


def model_of(net: nn.Module) -> I2M2:
    return I2M2({"a": net}, {"a": ("x",)}, nn.Identity(), (1, 2))


SAVED: dict[str, Callable[[dict[str, Tensor], Path], Path]] = {
    "plain": lambda state, folder: saved(state, folder / "a.pt"),
    "in a checkpoint": lambda state, folder: saved({"state_dict": state, "epoch": 3}, folder / "a.pth"),
    "parallel": lambda state, folder: saved({"model": {f"module.{n}": t for n, t in state.items()}}, folder / "a.pt"),
    "safetensors": lambda state, folder: safe(state, folder / "a.safetensors"),
    "bundle": lambda state, folder: saved(state, folder / "models" / "model.pt").parents[1],
    "bundle of safetensors": lambda state, folder: safe(state, folder / "models" / "model.safetensors").parents[1],
}


def saved(content: Any, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    torch.save(content, path)
    return path


def safe(state: dict[str, Tensor], path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_file(state, path)
    return path


@pytest.mark.parametrize("form", SAVED)
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_every_form_gives_the_same_weights(tmp_path: Path, form: str, prefix: str):
    path = SAVED[form](other_state(prefix), tmp_path)
    net = network()
    line = load_part(net, Pretrained(file=path, prefix=prefix), "here")
    for name, tensor in other_state().items():
        torch.testing.assert_close(net.state_dict()[name], tensor, rtol=0, atol=0)
    assert line.startswith(f"9 of 9 tensors are from {path.name if path.is_file() else 'model.'}")


def test_the_prefix_of_parallel_training_may_be_named(tmp_path: Path):
    path = saved(other_state("module.encoder."), tmp_path / "a.pt")
    for prefix in ("module.encoder.", "encoder."):
        assert load_part(network(), Pretrained(file=path, prefix=prefix), "here").startswith("9 of 9")


def test_what_was_loaded_and_what_was_not_is_one_line(tmp_path: Path):
    state = other_state("net.")
    state["projector.weight"] = state.pop("net.4.weight")
    del state["net.4.bias"]
    net = network()
    before = net[4].weight.clone()
    (line,) = load_pretrained(model_of(net), run_of({"file": saved(state, tmp_path / "ssl.pt"), "prefix": "net."}))
    assert line == (
        "experts.a.weights.0: 7 of 9 tensors are from ssl.pt; not in it, so fresh: 4.weight, 4.bias; left out of it: projector.weight"
    )
    torch.testing.assert_close(net[4].weight, before)


def test_a_part_takes_its_own_alone(tmp_path: Path):
    path = saved(other_state("x."), tmp_path / "a.pt")
    net = nn.ModuleDict({"one": network(), "two": network()})
    before = {name: tensor.clone() for name, tensor in net["two"].state_dict().items()}
    load_pretrained(model_of(net), run_of({"file": path, "part": "one", "prefix": "x."}))
    torch.testing.assert_close(net["one"][0].weight, other_state()["0.weight"])
    for name, tensor in net["two"].state_dict().items():
        torch.testing.assert_close(tensor, before[name])
    with pytest.raises(ConfigError, match=r"experts\.a\.weights\.0: the network has no part 'three'; it has one, two"):
        load_pretrained(model_of(net), run_of({"file": path, "part": "three"}))


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_keeps_parameters_statistics_and_drops_nothing(tmp_path: Path, frozen: bool):
    first = {"file": saved(other_state(), tmp_path / "a.pt"), "part": "0", "frozen": frozen}
    net = nn.Sequential(network(), nn.Linear(2, 2))
    model = model_of(net)
    load_pretrained(model, run_of(first))
    model.train()
    x = torch.randn(6, 1, 5, 5)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=0.1, weight_decay=0.5)
    same = torch.equal(net[0](x), net[0](x))
    net(x).square().sum().backward()
    optimizer.step()
    kept = [torch.equal(net[0].state_dict()[name], tensor) for name, tensor in other_state().items()]
    assert all(kept) == same == frozen
    assert len(learnt) == (2 if frozen else 8)


class Runs:
    """A pickle that would run code."""

    def __reduce__(self) -> Any:
        return (print, ("ran",))


def hostile(kind: str, folder: Path) -> Path:
    """A file that is no weights."""
    path = folder / "a.pt"
    if kind == "code":
        path.write_bytes(pickle.dumps({"0.weight": Runs()}))
    elif kind == "huge header":
        path = folder / "a.safetensors"
        path.write_bytes((10 << 40).to_bytes(8, "little") + b"{}")
    elif kind == "cut":
        path.write_bytes(saved(other_state(), path).read_bytes()[:-500])
    elif kind == "cut safetensors":
        path = safe(other_state(), folder / "a.safetensors")
        path.write_bytes(path.read_bytes()[:-50])
    elif kind == "packed":
        saved(other_state(), folder / "b.pt")
        with zipfile.ZipFile(folder / "b.pt") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for entry in old.infolist():
                new.writestr(entry.filename, old.read(entry) + b"\0" * 5000)
    elif kind == "ring":
        path.symlink_to(path)
    elif kind == "nowhere":
        path = folder / "none.pt"
    elif kind == "empty folder":
        path = folder
    elif kind == "link out of a bundle":
        (folder / "bundle" / "models").mkdir(parents=True)
        (folder / "bundle" / "models" / "model.pt").symlink_to(saved(other_state(), folder / "out.pt"))
        path = folder / "bundle"
    elif kind == "text":
        path.write_text("no weights", encoding="utf-8")
    elif kind == "other shape":
        saved({**other_state(), "4.weight": torch.zeros(7, 27)}, path)
    elif kind == "other names":
        saved(other_state("student.backbone."), path)
    elif kind == "nan":
        saved({**other_state(), "0.bias": torch.tensor([0, torch.nan, 0])}, path)
    elif kind == "whole numbers":
        saved({**other_state(), "0.bias": torch.tensor([0, 1, 0])}, path)
    elif kind == "nothing":
        saved({}, path)
    elif kind == "no tensors":
        saved({"0.weight": [1, 2]}, path)
    elif kind == "no memory holds it":
        saved({"0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)
    elif kind == "sparse":
        saved({"4.bias": torch.zeros(2).to_sparse()}, path)
    return path


WHY = {
    "code": "would run code when opened",
    "huge header": "its header is longer than 4 MiB",
    "cut": "is not a whole checkpoint",
    "cut safetensors": "is no whole safetensors file",
    "packed": "is compressed",
    "ring": "can't be looked at|is not there",
    "nowhere": "none.pt is not there",
    "empty folder": "holds neither models/model.safetensors nor models/model.pt",
    "link out of a bundle": "a link out of it",
    "text": "no state dict|not a whole checkpoint|would run code",
    "other shape": r"does not fit: 4\.weight \[7, 27\], the part has \[2, 27\]; name a part without them",
    "other names": r"nothing in a\.pt is called 0\.weight; did you mean prefix: 'student\.backbone\.'\?",
    "nan": r"0\.bias holds values that are no numbers",
    "whole numbers": r"0\.bias is of torch\.int64, the part has torch\.float32",
    "nothing": "nothing in a.pt is called 0.weight; it holds no tensor",
    "no tensors": "holds no state dict",
    "no memory holds it": "does not fit",
    "sparse": r"4\.bias is of|no state dict|would run code",
}


@pytest.mark.parametrize("kind", WHY)
def test_what_is_no_weights_is_refused_in_one_line(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UserError, match=WHY[kind]) as refusal:
        load_pretrained(model_of(network()), run_of({"file": hostile(kind, tmp_path)}))
    assert "\n" not in str(refusal.value)
    assert "ran" not in capsys.readouterr().out


def test_damage_anywhere_is_a_refusal_or_other_numbers(tmp_path: Path):
    """Bytes changed at random never end in another error."""
    whole = saved(other_state(), tmp_path / "a.pt").read_bytes()
    generator = torch.Generator().manual_seed(0)
    for at in torch.randint(len(whole), (150,), generator=generator).tolist():
        (tmp_path / "b.pt").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            load_pretrained(model_of(network()), run_of({"file": tmp_path / "b.pt"}))
        except UserError:
            continue


def test_a_file_counts_by_its_content(tmp_path: Path):
    path = saved(other_state(), tmp_path / "a.pt")
    one = weight_digests(run_of({"file": path}), ["a"])
    path.rename(tmp_path / "b.pt")
    assert weight_digests(run_of({"file": tmp_path / "b.pt"}), ["a"]) == one
    saved(other_state("x."), path)
    assert weight_digests(run_of({"file": path}), ["a"]) != one
