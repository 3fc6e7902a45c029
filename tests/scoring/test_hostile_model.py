"""A model folder whose config asks MONAI to run a shell command: every road refuses it in one line, and nothing is run."""

import json
import resource
import shutil
import struct
import time
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml

from i2m2_med import cli
from i2m2_med.config.allow_list import allowed
from i2m2_med.config.modalities import MOST_TRANSFORMS
from i2m2_med.console import plain
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.scoring.bundle import IN_BUNDLE, PackedModel, score_studies
from i2m2_med.scoring.reading import Reader
from i2m2_med.scoring.served import Scorer

READERS = ("os.system", "subprocess.getoutput", "posix.system", "builtins.exec")


@pytest.fixture(params=READERS)
def hostile(request: pytest.FixtureRequest, digits_model: Path, tmp_path: Path) -> Path:
    """A model folder with MONAI's LoadImaged, whose reader is a function and whose free keyword is that function's argument."""
    folder = tmp_path / "model"
    shutil.copytree(digits_model, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["modalities"]["transforms"] = [
        {
            "_target_": "monai.transforms.LoadImaged",
            "keys": ["_x"],
            "allow_missing_keys": True,
            "reader": request.param,
            "command": f"touch {tmp_path / 'ran'}",
        }
    ]
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def test_no_verb_runs_it(
    hostile: Path,
    digits_studies: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("I2M2_WORKSPACE", str(tmp_path / "work"))
    verbs = (
        ["score", str(digits_studies), str(tmp_path / "out"), "--model", str(hostile)],
        ["score", str(digits_studies), str(tmp_path / "out"), "--model", str(hostile), "--readers", "0"],
        ["export", str(hostile), str(tmp_path / "bundle")],
        ["check", str(hostile / "config.yaml"), "--no-data"],
    )
    for verb in verbs:
        assert cli.main(list(verb)) == 1, verb
        said = capsys.readouterr().err.strip()
        assert "monai.transforms.LoadImaged takes" in said
        assert len(said.splitlines()) == (2 if verb[0] == "check" else 1), said
    assert not (tmp_path / "ran").exists()


def test_no_road_to_a_model_runs_it(hostile: Path, digits_studies: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(hostile, bundle / IN_BUNDLE)
    roads = (
        lambda: Scorer(hostile)(pd.DataFrame({"study": [str(next(digits_studies.iterdir()))]})),
        lambda: load_model(hostile),
        lambda: Reader(hostile),
        lambda: PackedModel(str(bundle)),
        lambda: score_studies(str(bundle), str(digits_studies), str(tmp_path / "out")),
    )
    for road in roads:
        with pytest.raises(ModelError, match=r"LoadImaged"):
            road()
    assert not (tmp_path / "ran").exists()


MODEL_FILES = {
    "model.json": [
        b"[" * 100_000,
        b'{"paradigm": ' + b"9" * 6_000 + b"}",
        {"labels": "digit"},
        {"labels": [1]},
        {"classes": ["one"]},
        {"seed": "0"},
        {"seed": 10**30},
        {"shares": [[0.1]]},
        {"shares": [["a"] * 10]},
        {"envelope": {"image": {"rms": [1]}}},
        {"envelope": {"image": [1]}},
        {"paradigm": ["i2m2"]},
        {"paradigm": "\x1b[31m\n"},
        {"labels": ["a", "a"], "shares": [[0.1] * 10] * 2},
        {"classes": ["a"] * 10},
        {"shares": [[-1] * 10]},
        {"shares": [[2**53] * 10]},
        {"seed": -1},
        {"fingerprint": "x" * 10_000},
        {"envelope": {"\x1b[31m": {"rms": [0, 1]}}},
    ],
    "state.json": [
        b"{" * 100_000,
        {"image": 1},
        {"image": {"mean": ["x"], "std": [1.0]}},
        {"image": {"mean": [0.0], "std": [0.0]}},
        {"image": {"mean": [], "std": []}},
        {"\x1b[31m": {"mean": [0.0], "std": [1.0]}},
    ],
    "calibration.json": [
        b'{"a":' * 100_000,
        {"patterns": {}},
        {"patterns": [], "thresholds": None, "conformal": {"split": [None], "by_class": [[None] * 10]}},
        {"patterns": {}, "thresholds": None, "conformal": {"split": [None], "by_class": [[None] * 3]}},
        {"patterns": {"\x1b[31m\n": 1}, "thresholds": None, "conformal": {"split": [None], "by_class": [[None] * 10]}},
        {
            "patterns": {"image": {"samples": 1, "labels": [{"scale": 1e308, "shift": [0.0] * 10}]}},
            "thresholds": None,
            "conformal": {"split": [None], "by_class": [[None] * 10]},
        },
        {"patterns": {}, "thresholds": "x", "conformal": {"split": [None], "by_class": [[None] * 10]}},
    ],
    "config.yaml": [
        b"[" * 3_000,
        b"a: &a [1]\n<<: *a\n",
        b"task: 010\n",
        b"task: a\ntask: b\n",
        b"task: [\n",
        b"- 1\n",
        b"\xff",
    ],
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, at) for name, all_ in MODEL_FILES.items() for at in range(len(all_))]
)
def test_a_bomb_or_a_wrong_type_in_a_model_file_is_one_line(
    name: str, number: int, digits_model: Path, digits_studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(digits_model, folder)
    content = MODEL_FILES[name][number]
    if isinstance(content, dict):
        old = json.loads((folder / name).read_text(encoding="utf-8")) if name == "model.json" else {}
        content = json.dumps(old | content).encode()
    (folder / name).write_bytes(content)
    for verb in (
        ["score", str(digits_studies), str(tmp_path / "out"), "--model", str(folder)],
        ["export", str(folder), str(tmp_path / "b")],
    ):
        start = time.thread_time()
        assert cli.main(verb) == 1
        assert time.thread_time() - start < 20  # not minutes: what is hostile costs no more than what is not
        said = capsys.readouterr().err.strip()
        assert len(said.splitlines()) == 1
        assert name in said
        assert plain(said) == said
        assert len(said) < 500
    for road in (load_model, Scorer):
        with pytest.raises(ModelError, match=r"^[^\n]{1,400}$"):
            road(folder)


LARGE = (
    {"_target_": "torch.nn.Linear", "in_features": 65_536, "out_features": 65_536},
    {"_target_": "torch.nn.LSTM", "input_size": 64, "hidden_size": 64, "num_layers": 65_536},
    {"_target_": "torch.nn.Embedding", "num_embeddings": 10_000_000, "embedding_dim": 1_000},
    {"_target_": "i2m2_med.experts.LeNet", "size": 65_536},
    {"_target_": "i2m2_med.experts.LeNet", "size": 112, "width": 20_000},
    {"_target_": "i2m2_med.experts.PreActResNet18", "channels": 1, "width": 4_096},
    {"_target_": "i2m2_med.experts.SeriesGRU", "channels": 65_536, "hours": 65_536},
)


@pytest.mark.parametrize("number", range(len(LARGE)))
def test_a_network_larger_than_its_weights_is_not_built(number: int, digits_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(digits_model, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["experts"]["image"]["network"] = LARGE[number]
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    with pytest.raises((ModelError, ConfigError), match=r"^[^\n]{1,500}$") as error:
        load_model(folder)
    assert time.thread_time() - start < 20  # not minutes: what is hostile costs no more than what is not
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert "larger network than the weights" in str(error.value)


def header(text: bytes, length: int | None = None) -> bytes:
    """A safetensors file of this header, or one that says it is of another length."""
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(4)


WEIGHTS = {
    "a longer header than the file": header(b"{}", 1 << 62),
    "a header of 90 MB": header(b"{}", 90 << 20),
    "brackets": header(b"[" * 100_000),
    "nothing": b"",
    "a negative side": header(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'),
    "a huge side": header(b'{"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}}'),
    "another kind": header(b'{"a":{"dtype":"X","shape":[1],"data_offsets":[0,4]}}'),
    "signs in a name": header(b'{"a\\n\\u001b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
    "many tensors": header(
        json.dumps({f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(100_000)}).encode()
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_lie_are_one_line(name: str, digits_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(digits_model, folder)
    (folder / "weights.safetensors").write_bytes(WEIGHTS[name])
    start = time.thread_time()
    with pytest.raises(ModelError, match=r"^[^\n\x1b]*the weights do not fit the config[^\n\x1b]{1,400}$"):
        load_model(folder)
    assert time.thread_time() - start < 20  # not minutes: what is hostile costs no more than what is not


@pytest.mark.parametrize(
    ("key", "value"), [(("split", "file"), "/etc/passwd"), (("source", "root"), "//host/share"), (("plugins",), ["os"])]
)
def test_a_model_names_no_place_and_no_code_of_this_machine(
    key: tuple[str, ...], value: object, digits_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(digits_model, tmp_path / "model")
    config = yaml.safe_load((tmp_path / "model" / "config.yaml").read_text(encoding="utf-8"))
    inside = config
    for step in key[:-1]:
        inside = inside[step]
    inside[key[-1]] = value
    (tmp_path / "model" / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"names a place on this machine|wants to run code from os"):
        Scorer(tmp_path / "model")


def with_transform(model: Path, folder: Path, **block: object) -> Path:
    """A copy of a model folder whose config ends with one more transform."""
    shutil.copytree(model, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["modalities"]["transforms"].append(block)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SpatialPadd", {"spatial_size": [16384, 16384]}),
        ("Zoomd", {"zoom": 1000.0, "keep_size": False}),
        ("Resized", {"spatial_size": [16384, 16384]}),
    ],
)
def test_a_transform_too_large_for_the_machine_refuses_its_row_of_a_request(
    name: str, arguments: dict[str, object], knee_model: Path, knee_studies: Path, tmp_path: Path
) -> None:
    """The served model has no process to lose. One study has the phase that the transform would blow up, one has none."""
    root = tmp_path / "studies"
    shutil.copytree(knee_studies / "knee 01", root / "both")
    (root / "magnitude").mkdir()
    values = np.random.default_rng(0).random((64, 60, 3), dtype=np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), root / "magnitude" / "magnitude.nii.gz")
    target = f"monai.transforms.{name}"
    model = with_transform(
        knee_model, tmp_path / "model", _target_=target, keys=["phase"], allow_missing_keys=True, **arguments
    )
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    table = Scorer(model, root)(pd.DataFrame({"study": ["both", "magnitude", "both"]}))
    assert time.thread_time() - start < 20
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000
    )  # KiB; what was asked for has 1 GiB and more
    refused, answered = table[table["status"] == "refused"], table[table["status"] == "ok"]
    assert refused["study"].tolist() == ["both", "both"]
    assert refused["error"].str.startswith(f"the transform {name} would make a sample of ").all()
    assert set(answered["study"]) == {"magnitude"}
    assert answered["p"].between(0, 1).all()


def test_a_transform_that_fails_is_named(knee_model: Path, knee_studies: Path, tmp_path: Path) -> None:
    """Rotated takes one angle of a flat image; MONAI's error quotes the values that it was given."""
    model = with_transform(
        knee_model, tmp_path / "model", _target_="monai.transforms.Rotated", keys=["magnitude"], angle=[0.1, 0.2, 0.3]
    )
    study = knee_studies / "knee 01"
    table = Scorer(model, study.parent)(pd.DataFrame({"study": [study.name]}))
    assert table["error"].tolist() == [
        "the transform Rotated of modalities.transforms can't be applied to it (ValueError)"
    ]


def test_a_config_names_a_bounded_number_of_transforms(digits_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(digits_model, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    flip = {"_target_": "monai.transforms.Flipd", "keys": ["_x"], "allow_missing_keys": True}
    for which in ("transforms", "train_transforms"):
        config["modalities"] |= {"transforms": [], "train_transforms": [], which: [flip] * (MOST_TRANSFORMS + 1)}
        (folder / "config.yaml").write_text(yaml.dump(config, Dumper=Plain), encoding="utf-8")
        with pytest.raises(ModelError, match=rf"^[^\n]*modalities.{which}: [^\n]* at most {MOST_TRANSFORMS} [^\n]*$"):
            Reader(folder)
    config["modalities"] |= {"transforms": [flip] * MOST_TRANSFORMS, "train_transforms": []}
    (folder / "config.yaml").write_text(yaml.dump(config, Dumper=Plain), encoding="utf-8")
    assert len(Reader(folder).transform.transforms) == MOST_TRANSFORMS


def test_transforms_do_not_stand_inside_one_another() -> None:
    """What a list of transforms holds is judged one by one (samples/growth.py): none may hide in another."""
    takers = [
        name for name, takes in allowed().items() if name.startswith("monai.transforms.") and "block" in str(takes)
    ]
    assert takers == []
    assert not {name.rsplit(".", 1)[-1] for name in allowed()} & {"Compose", "OneOf", "RandomOrder", "SomeOf"}


class Plain(yaml.SafeDumper):
    """Writes equal values again instead of naming them."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True
