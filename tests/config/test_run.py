"""Configs are closed and typed, and every mistake is said with its place and remedy."""

import json
import pkgutil
from pathlib import Path

import pytest

from i2m2_med import sources
from i2m2_med.config.reader import load_config, source_names
from i2m2_med.console import plain
from i2m2_med.errors import ConfigError

GOOD = """\
task: toy
source: {name: fastmri, root: somewhere}
experts:
  image: {reads: [image], network: {_target_: torch.nn.Linear, in_features: 4, out_features: 10}}
  both: {reads: [image, audio], network: {_target_: torch.nn.Bilinear, in1_features: 4, in2_features: 4, out_features: 10}}
training: {epochs: 2, learning_rate: 1e-4}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def broken(good: Path, old: str, new: str) -> str:
    """The message for a config with one thing changed."""
    text = GOOD.replace(old, new)
    assert text != GOOD
    good.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(str(good))
    return str(error.value)


def test_paradigms_are_derived_from_the_experts(good):
    run, values = load_config(str(good))
    assert {name: p.experts for name, p in run.paradigms.items()} == {
        "unimodal_image": ("image",),
        "inter": ("both",),
        "i2m2": ("image", "both"),
    }
    assert run.training.learning_rate == 1e-4
    assert values.where(("training", "epochs")).endswith("line 6")


def test_simulated_data_are_called_synthetic_whatever_the_config_says(good, tmp_path):
    good.write_text(GOOD.replace("root: somewhere", f"root: {tmp_path}") + "synthetic: false\n", encoding="utf-8")
    assert not load_config(str(good))[0].synthetic
    (tmp_path / "ideal.json").write_text("{}", encoding="utf-8")
    assert load_config(str(good))[0].synthetic


def test_a_misspelt_key_is_named_with_its_line_and_the_nearest(good):
    said = broken(good, "learning_rate", "learnig_rate")
    assert "line 6: training.learnig_rate is not a setting; did you mean 'learning_rate'?" in said


def test_a_misspelt_source_setting_is_named_too(good):
    assert "source.rot is not a setting; did you mean 'root'?" in broken(good, "root: somewhere", "root: x, rot: 1")


def test_a_wrong_type_says_what_was_found(good):
    said = broken(good, "epochs: 2", "epochs: many")
    assert "line 6: training.epochs" in said
    assert "'many'" in said


def test_all_problems_are_said_at_once(good):
    good.write_text(GOOD.replace("epochs: 2", "epochs: many").replace("task: toy", "tusk: toy"), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(str(good))
    assert len(str(error.value).splitlines()) == 3  # the type, the unknown key, the missing one


@pytest.mark.parametrize(
    "target", ["os.system", "subprocess.run", "monai.bundle.run", "builtins.eval", "torch.hub.load"]
)
def test_a_target_outside_the_list_is_refused(good, target):
    said = broken(good, "torch.nn.Linear", target)
    assert f"line 4: experts.image.network._target_: '{target}' is not allowed" in said


@pytest.mark.parametrize("value", ["$import os", "@experts", "%other.yaml::key"])
def test_expressions_and_references_are_refused(good, value):
    assert "configs hold values only" in broken(good, "in_features: 4, out", f"in_features: '{value}', out")


def test_monais_other_keys_are_refused(good):
    assert "only _target_ is allowed" in broken(good, "in_features: 4, out", "_requires_: 4, out")


def test_a_paradigm_names_known_experts(good):
    said = broken(good, "training:", "paradigms: {i2m2: {experts: [imag]}}\ntraining:")
    assert "names the expert 'imag'; did you mean 'image'?" in said


def test_a_key_that_stands_twice_is_refused(good):
    assert "task is set twice" in broken(good, "task: toy", "task: toy\ntask: again")


def test_yaml_errors_name_the_line(good):
    assert "line 2: not YAML" in broken(good, "task: toy", "task: [toy")


def test_overrides_are_typed_as_yaml(good):
    run, values = load_config(str(good), ["training.epochs=5", "seeds=[0,1]", "training.learning_rate=1e-5"])
    assert (run.training.epochs, run.seeds, run.training.learning_rate) == (5, (0, 1), 1e-5)
    assert values.where(("training", "epochs")) == "-s training.epochs"


def test_an_override_that_is_no_setting_is_refused(good):
    with pytest.raises(ConfigError, match=r"-s training.epoch: training.epoch is not a setting; did you mean 'epochs'"):
        load_config(str(good), ["training.epoch=5"])


def test_extends_takes_a_shipped_config_by_its_name(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "extends: knee_demo\ntraining: {epochs: 7}\nsource: {root: .}\n", encoding="utf-8"
    )
    run, _ = load_config(str(tmp_path / "mine.yaml"))
    assert run.training.epochs == 7
    assert run.task == load_config("knee_demo", ("source.root=.",))[0].task


def test_extends_of_no_shipped_config_says_which_was_meant(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: knee_dem\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="nor a shipped config; did you mean 'knee_demo'"):
        load_config(str(tmp_path / "mine.yaml"))


def test_extends_merges_and_another_target_replaces(good, tmp_path):
    child = tmp_path / "child.yaml"
    child.write_text(
        "extends: toy.yaml\ntraining: {epochs: 9}\nexperts: {image: {network: {_target_: torch.nn.Identity}}}\n",
        encoding="utf-8",
    )
    run, values = load_config(str(child))
    assert (run.training.epochs, run.training.learning_rate) == (9, 1e-4)
    assert run.experts["image"].network == {"_target_": "torch.nn.Identity"}
    assert values.where(("training", "epochs")).startswith(str(child))
    assert values.where(("task",)).startswith(str(good))


def test_an_unset_environment_variable_is_named(good, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    good.write_text(GOOD.replace("somewhere", "'${NOWHERE}'"), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"needs the environment variable NOWHERE; export it, or use -s source.root=…"
    ):
        load_config(str(good))
    run, _ = load_config(str(good), ["source.root=here"])
    assert run.source.root == Path("here")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("task: toy", "task: '${SECRET}'"),
        ("task: toy", "task: toy\nsplit: {salt: '${SECRET}'}"),
        ("task: toy", "task: toy\ntracking: {experiment: 'x${SECRET}'}"),
        ("root: somewhere", "root: somewhere, coils: '${SECRET}'"),
        ("in_features: 4, out", "in_features: '${SECRET}', out"),
    ],
)
def test_environment_variables_stand_in_paths_and_uris_only(good, monkeypatch, old, new):
    monkeypatch.setenv("SECRET", "hunter2")
    said = broken(good, old, new)
    assert "environment variables stand in paths and URIs only" in said
    assert "hunter2" not in said


def test_environment_variables_are_put_into_paths_and_uris(good, monkeypatch):
    monkeypatch.setenv("HERE", "data")
    good.write_text(
        GOOD.replace("somewhere", "'${HERE}/knee'") + "tracking: {uri: 'sqlite:///${HERE}/m.db'}\n", encoding="utf-8"
    )
    run, _ = load_config(str(good))
    assert run.source.root == Path("data/knee")
    assert run.tracking.uri == "sqlite:///data/m.db"


@pytest.mark.parametrize(
    "text", ["x" * 900, "a\x00b", "\ud800", "\x1b[2J", "$\\foo$", "a\nb", "a\u202eb", "$x$", "\\frac", "\x9b"]
)
def test_a_task_and_names_are_short_and_plain(good, text):
    for key, said in (("task", "task"), ("tracking.experiment", "tracking"), ("paradigms", "paradigms")):
        value = {text: {"experts": ["image"]}} if key == "paradigms" else text
        with pytest.raises(ConfigError, match=rf"^[^\n]*{said}[^\n]*(has at most|not YAML)") as error:
            load_config(str(good), [f"{key}={json.dumps(value)}"])
        assert len(str(error.value)) < 500
        assert plain(str(error.value)) == str(error.value)


def test_a_config_that_is_not_there_lists_the_shipped():
    with pytest.raises(ConfigError, match="did you mean 'knee_i2m2'"):
        load_config("knee_i2m")


@pytest.mark.parametrize("name", ["source", "formats", "text", "volume", "__init__", "mimic3.settings", "../x", "", 3])
def test_a_module_that_is_no_data_set_is_refused_with_those_that_are(good, name):
    message = broken(good, "name: fastmri", f"name: {json.dumps(name)}")
    assert "line 2: source.name" in message
    assert f"is not a source (there are {', '.join(source_names())})" in message


def test_every_module_of_sources_is_a_data_set_or_no_source():
    modules = {module.name for module in pkgutil.iter_modules(sources.__path__)}
    assert {"source", "formats", "text"} <= modules - set(source_names())
    assert {"fastmri", "mimic3", "avmnist", "meds", "impk"} <= set(source_names())
