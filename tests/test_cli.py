"""The command line: quick to answer, one line for the user's mistakes, a traceback and a log for ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from i2m2_med import cli
from i2m2_med.errors import SourceError
from i2m2_med.simulate import kinds

HEAVY = ("torch", "monai", "mlflow", "ignite", "fastmri", "torchvision")


def loaded_by(code: str) -> set[str]:
    """Heavy packages that a fresh Python has imported after `code`."""
    script = f"import sys; {code}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["simulate", "--help"], ["doctor"], ["runs"]])
def test_quick_verbs_import_nothing_heavy(arguments):
    assert loaded_by(f"from i2m2_med.cli import main; main({arguments!r})") == set()


def test_the_first_rungs_of_check_import_nothing_heavy(tmp_path: Path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "task: x\nsource: {name: mimic3, root: .}\nexperts: {a: {reads: [static], network: {_target_: os.system}}}\n"
    )
    assert loaded_by(f"from i2m2_med.cli import main; assert main(['check', {str(bad)!r}]) == 1") == set()


def test_every_verb_is_there():
    for verb in cli.VERBS:
        module = Path(__file__).parents[1] / "pipelines" / f"{verb.replace('-', '_')}.py"
        assert module.is_file(), verb


def test_a_mistake_is_one_line_and_exit_code_1(capsys):
    assert cli.main(["check", "knee_i2m"]) == 1
    said = capsys.readouterr()
    assert said.err == "ConfigError: no shipped config is named 'knee_i2m'; did you mean 'knee_i2m2'?\n"
    assert said.out == ""


@pytest.mark.parametrize("arguments", [["trian", "x"], ["train"], ["train", "knee_demo", "--resum"]])
def test_a_slip_on_the_command_line_is_exit_code_1(arguments, capsys):
    assert cli.main(arguments) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_json_is_one_object_on_standard_output(capsys):
    assert cli.main(["check", "--list", "--json"]) == 0
    said = capsys.readouterr()
    assert "knee_i2m2" in json.loads(said.out)["configs"]
    assert "knee_i2m2" in said.err


def test_a_bug_keeps_its_traceback_and_says_where_the_log_is(monkeypatch, capsys, work):
    def broken(_: list[str]) -> None:
        raise ZeroDivisionError("by us")

    monkeypatch.setattr(cli, "call", broken)
    assert cli.main(["train"]) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert "ZeroDivisionError" in next((work / "logs").glob("bug-*.txt")).read_text()


def test_a_users_error_is_found_under_what_wrapped_it(monkeypatch, capsys):
    def wrapped(_: list[str]) -> None:
        try:
            raise SourceError("file.h5 is truncated; download it again")
        except SourceError as error:
            raise RuntimeError("applying transform LoadSliced") from error

    monkeypatch.setattr(cli, "call", wrapped)
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == "SourceError: file.h5 is truncated; download it again\n"


def test_a_full_disk_is_said_plainly(monkeypatch, capsys):
    def full(_: list[str]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli, "call", full)
    assert cli.main(["train"]) == 1
    assert "no space is left on the disk" in capsys.readouterr().err


def test_what_can_be_simulated_is_what_the_simulators_are():
    from importlib import import_module

    found = kinds()
    assert {"knee", "mimic3", "avmnist", "studies"} <= set(found)
    assert "damage" not in found
    for kind, purpose in found.items():
        assert purpose, kind
        assert callable(import_module(f"i2m2_med.simulate.{kind}").simulate)
