"""No string in a config runs, fetches or reads anything: every listed class, every argument, every hostile value."""

import importlib.util
import inspect
import json
import time
from contextlib import suppress
from pathlib import Path
from pydoc import locate
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from i2m2_med.config.allow_list import allowed, refusals
from i2m2_med.config.kinds import judge
from i2m2_med.config.reader import load_config
from i2m2_med.config.targets import build
from i2m2_med.config.training import Training
from i2m2_med.config.trust import VARIABLE
from i2m2_med.console import plain
from i2m2_med.engine.prediction.model_files import read_portable
from i2m2_med.errors import ConfigError, ModelError

HOSTILE = (
    *("os.system", "builtins.eval", "subprocess.Popen", "monai.data.NumpyReader", "torch.hub.load", "a.b"),
    *("https://example.org/x", "file:///etc/passwd", "s3://bucket/key", "hf://name"),
    *("/etc/passwd", "../../secret", "~/.ssh/id_rsa", "C:\\x", "a/b", "//host/share"),
    *(
        "$__import__('os').system('x')",
        "@experts",
        "%other.yaml::key",
        "${HOME}",
        "",
        " ",
        "a b",
        "\x00",
        "a\nb",
        "\ud800",
        "x" * 70,
    ),
)
"""What no name, choice or number is."""

FOREIGN = tuple(
    value for value in HOSTILE if value[:1] in {"$", "@", "%", "~", ""} or "://" in value or value in {"\x00", "a\nb"}
)
"""What no path of a user's own config is either."""


def signatures() -> ModuleType:
    """The script that made the lists."""
    path = Path(__file__).with_name("signatures.py")
    spec = importlib.util.spec_from_file_location("signatures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def accepted(target: str, **arguments: Any) -> bool:
    """Whether the list lets a block through."""
    needed = {name: False for name, kind in allowed()[target].items() if kind == "false!"}
    return next(refusals({"_target_": target, **needed, **arguments}), None) is None


def test_the_lists_are_what_the_signatures_say():
    """A new class or argument of ours is listed by `python tests/config/signatures.py`; look through what it adds."""
    made = {name: found for listed in signatures().everything().values() for name, found in listed.items()}
    assert made == allowed()


@pytest.mark.parametrize("target", sorted(allowed()))
def test_no_string_argument_is_a_name_of_code_a_path_or_a_url(target: str):
    cls: Any = locate(target)
    names = {
        *inspect.signature(cls).parameters,
        *allowed()[target],
        "command",
        "reader",
        "func",
        "pretrained",
        "cache_dir",
    }
    for name in names:
        kind = allowed()[target].get(name)
        for value in HOSTILE[:1] if kind is None else FOREIGN if kind == "place" else HOSTILE:
            for shape in (value, [value], [[value]], {"_target_": value}):
                assert not accepted(target, **{name: shape}), (target, name, shape)


@pytest.mark.parametrize("target", sorted(allowed()))
def test_what_a_class_takes_by_default_is_of_its_kind(target: str):
    cls: Any = locate(target)
    for name, parameter in inspect.signature(cls).parameters.items():
        default = getattr(parameter.default, "value", parameter.default)
        kind = allowed()[target].get(name)
        plain = isinstance(default, bool | int | float | str) and type(default) in {bool, int, float, str}
        if kind and plain and kind != "false!":
            assert judge(default, kind) is None, (target, name, default, kind)


def test_hostile_values_are_refused_inside_nested_blocks_too():
    inner = {"_target_": "monai.networks.nets.ResNetEncoder", "model_name": "os.system"}
    outer = {"_target_": "monai.networks.nets.NetAdapter", "model": inner}
    found = [why for _, why in refusals({"experts": {"a": {"network": outer}}})]
    assert len(found) == 2  # the name, and that nothing may be fetched
    assert "needs 'pretrained'" in " ".join(found)
    with pytest.raises(ConfigError, match="takes one of resnet10"):
        build(outer | {"model": inner | {"pretrained": False}}, "network", "experts.a.network")


def test_a_count_is_a_whole_number_in_its_range():
    for value in (True, 1e400, float("nan"), 10**6000, -1, 0, 2**40, "3", [3] * 5000, [[3]], None, {}, 3.0):
        assert not accepted("torch.nn.Linear", in_features=value, out_features=3)


def test_what_configs_need_passes():
    assert accepted("monai.transforms.LoadImaged", keys=["image"], reader="NibabelReader", ensure_channel_first=True)
    assert accepted(
        "monai.transforms.RandAffined", keys="image", prob=0.5, rotate_range=[[0, 1], 0.2], mode=["bilinear"]
    )
    assert accepted(
        "monai.networks.nets.BasicUNet", act=["leakyrelu", {"negative_slope": 0.1}], norm="BATCH", features=[1, 2]
    )
    assert accepted("i2m2_med.experts.HuggingFaceNotes", folder="weights/bert")
    assert accepted("monai.losses.FocalLoss", gamma=2, weight=[0.2, 0.8])


CONFIG = """\
task: toy
source: {{name: avmnist, root: .}}
experts:
  image: {{reads: [image], network: {network}}}
  audio: {{reads: [audio], network: {{_target_: i2m2_med.experts.LeNet, size: 112}}}}
"""


def test_plugins_extend_the_list_by_whole_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "toy.yaml"
    path.write_text(
        CONFIG.format(network="{_target_: mylab.Net, any: os.system}") + "plugins: [mylab]\n", encoding="utf-8"
    )
    run, _ = load_config(str(path))
    with pytest.raises(ConfigError, match=r"'mylab2\.Net' is not allowed"):
        load_config(str(path), ["experts.image.network._target_=mylab2.Net"])
    with pytest.raises(ConfigError, match="is an expression"):
        load_config(str(path), ["experts.image.network.any='$import os'"])
    with pytest.raises(ConfigError, match="only _target_ is allowed"):
        load_config(str(path), ["experts.image.network._requires_=[{_target_: mylab.x}]"])
    path.write_text(
        json.dumps(run.model_dump(mode="json") | {"source": {"name": "avmnist", "root": "withheld"}}), encoding="utf-8"
    )
    with pytest.raises(
        ModelError, match=r"^[^\n]*wants to run code from mylab; if you trust that code, add --trust mylab"
    ):
        read_portable(path)  # a model folder, a bundle and a registry can't trust themselves
    monkeypatch.setenv(VARIABLE, "mylab")
    assert read_portable(path).plugins == ("mylab",)


def test_a_foreign_config_names_no_place_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "toy.yaml"
    weights = tmp_path / "weights"
    path.write_text(
        CONFIG.format(network=f"{{_target_: i2m2_med.experts.HuggingFaceNotes, folder: {weights}/bert}}"),
        encoding="utf-8",
    )
    run, _ = load_config(str(path))  # one's own config may
    path.write_text(
        json.dumps(run.model_dump(mode="json") | {"source": {"name": "avmnist", "root": "withheld"}}), encoding="utf-8"
    )
    for place in (str(weights / "bert"), "bert", "../bert", f"{weights}/../weights2/bert"):
        path.write_text(json.dumps(with_folder(json.loads(path.read_text(encoding="utf-8")), place)), encoding="utf-8")
        with pytest.raises(ModelError, match=r"^[^\n]*experts\.image\.network\.folder names a place on this machine"):
            read_portable(path)
    path.write_text(
        json.dumps(with_folder(json.loads(path.read_text(encoding="utf-8")), str(weights / "bert"))), encoding="utf-8"
    )
    monkeypatch.setenv(VARIABLE, str(weights))
    read_portable(path)
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"source": {"name": "avmnist", "root": "/etc"}}),
        encoding="utf-8",
    )
    with pytest.raises(ModelError, match=r"source\.root names a place"):
        read_portable(path)


def with_folder(content: dict[str, Any], place: str) -> dict[str, Any]:
    """The config with another folder of weights."""
    content["experts"]["image"]["network"]["folder"] = place
    return content


@pytest.mark.parametrize(
    "more",
    [
        "".join(f"key{n}: 1\n" for n in range(4_900)),
        f"training: {{{', '.join(f'epocks{n}: 1' for n in range(4_900))}}}\n",
        f"evaluation: {{prior: {{a: [{'x, ' * 4_900}0.5]}}}}\n",
        f"paradigms: {{{', '.join(f'p{n}: {{}}' for n in range(3_000))}}}\n",
        '"\\e[31m": {}\n',
        '"a\\nb": []\n',
        '"\\u202e": null\n',
        '  "\\e[2J": {}\n',
    ],
)
def test_a_config_wrong_in_many_places_or_with_signs_of_the_terminal_is_some_plain_lines(more: str, tmp_path: Path):
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG.format(network="{_target_: torch.nn.Identity}") + more, encoding="utf-8")
    start = time.thread_time()
    with pytest.raises(ConfigError) as error:
        load_config(str(path))
    with pytest.raises(ModelError, match=r"^[^\n\x1b\u202e]{1,1500}$"):
        read_portable(path)
    assert time.thread_time() - start < 20  # not minutes: what is hostile costs no more than what is not
    lines = str(error.value).split("\n")
    assert len(lines) <= 20
    assert all(len(line) <= 1_000 and plain(line) == line and line.startswith(str(path)) for line in lines)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(
            (name, value)
            for name in ("epochs", "batch", "workers", "patience")
            for value in (True, "3", 10**30, -1, [2])
        ),
        *(("learning_rate", value) for value in (True, "1", [True], ["1"], 0, [])),
        *(("clip", value) for value in (True, "1")),
    ],
)
def test_a_number_is_no_truth_value_and_no_text_and_not_beyond_use(setting: str, value: object):
    with pytest.raises(ValidationError):
        Training.model_validate({setting: value})


@pytest.mark.parametrize("place", ["x" * 300, "/" + "x/" * 480 + "y"])
def test_a_path_that_no_file_system_takes_is_refused_or_not_looked_at(place: str, tmp_path: Path):
    path = tmp_path / "toy.yaml"
    path.write_text(
        CONFIG.format(network="{_target_: torch.nn.Identity}").replace("root: .", f"root: {place}"), encoding="utf-8"
    )
    with pytest.raises(ModelError, match=r"source\.root names a place"):
        read_portable(path)
    with suppress(ConfigError):
        load_config(str(path))


@pytest.mark.parametrize(
    "override",
    [
        *("seeds.²=1", "seeds.0.x=1", "seeds.0.0.0=1", "experts.image.reads.0.b=1", "a." * 20_000 + "b=1", "\x1b[31m"),
        *("task=\x1b[31m", "task=\x00", "x" * 9_000 + "=1", "tracking.uri=https://example.org/${HOME}"),
        *("split.test_group.warm_start=${HOME}", "evaluation.prior.warm_start=${HOME}", "plugins.0=${HOME}"),
    ],
)
def test_an_override_that_fits_nowhere_is_plain_lines(override: str, tmp_path: Path):
    path = tmp_path / "toy.yaml"
    path.write_text(
        CONFIG.format(network="{_target_: torch.nn.Identity}") + "seeds: [0]\nplugins: [a]\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"^[^\x00\x1b]{1,2000}$"):
        load_config(str(path), [override])


@pytest.mark.parametrize("base", ["x" * 300, '"a\\0b"', "[a]", "/dev/zero", "/proc/self/mem", "toy.yaml"])
def test_what_a_config_extends_is_a_file_or_refused(base: str, tmp_path: Path):
    path = tmp_path / "toy.yaml"
    path.write_text(f"extends: {base}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^[^\n\x00]{1,500}$"):
        load_config(str(path))


def test_a_chain_of_configs_has_an_end(tmp_path: Path):
    for n in range(100):
        (tmp_path / f"{n}.yaml").write_text(f"extends: {n + 1}.yaml\n", encoding="utf-8")
    (tmp_path / "100.yaml").write_text("task: toy\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="one of too many"):
        load_config(str(tmp_path / "0.yaml"))
