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
        "task: x\nsource: {name: mimic3, root: .}\nexperts: {a: {reads: [static], network: {_target_: os.system}}}\n",
        encoding="utf-8",
    )
    assert loaded_by(f"from i2m2_med.cli import main; assert main(['check', {str(bad)!r}]) == 1") == set()


@pytest.mark.parametrize("config", ["knee_demo", "mimic3_demo", "table_demo", "nlvr_demo", "vqa_vs_demo"])
def test_a_folder_that_is_not_there_is_told_before_anything_heavy_is_imported(config):
    told = f"from i2m2_med.cli import main; assert main(['check', {config!r}, '-s', 'source.root=nowhere']) == 1"
    assert loaded_by(told) == set()


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "model", "s3://bucket/folder"],
        ["export", "model", "folder", "--root", "gs://bucket/folder"],
        ["score", "merge", "s3://bucket/folder"],
        ["score", "studies", "gs://bucket/folder", "--model", "model"],
        ["score", "https://host/studies", "out", "--model", "model"],
        ["evaluate", "run", "--out", "s3://bucket/folder"],
        ["reconstruct", "scan.h5", "s3://bucket/folder"],
        ["simulate", "knee", "s3://bucket/folder"],
        ["report", "run", "--out", "S3://bucket/folder"],
    ],
    ids=" ".join,
)
def test_an_address_of_the_network_is_taken_for_no_folder(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    assert "begins no path of a disk" in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_json_is_one_object_on_standard_output(capsys):
    assert cli.main(["check", "--list", "--json"]) == 0
    said = capsys.readouterr()
    assert "knee_i2m2" in json.loads(said.out)["configs"]
    assert "knee_i2m2" in said.err


@pytest.mark.parametrize(
    "arguments", [["check", "knee_i2m"], ["verify", "deadbeef"], ["trian"], ["train", "knee_demo", "--resum"]]
)
def test_json_is_one_object_on_errors_too(arguments, capsys):
    assert cli.main([*arguments, "--json"]) == 1
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["exit"] == 1
    assert answer["error"]
    assert said.err


def test_quiet_keeps_results_and_errors(capsys, monkeypatch):
    monkeypatch.setattr(cli, "call", lambda _: cli.say("on the way"))
    assert cli.main(["check", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    assert cli.main(["check", "knee_i2m", "--quiet"]) == 1
    assert "did you mean" in capsys.readouterr().err


def test_a_missing_folder_and_a_missing_run_are_said_before_anything_heavy():
    for call in (
        ["check", "knee_demo", "-s", "source.root=/nowhere"],
        ["verify", "deadbeef"],
        ["diagnose", "deadbeef"],
        ["train", "knee_demo", "-s", "training.epoch=1"],
        ["compare", "knee_dem"],
        ["tune", "knee_demo"],
    ):
        assert loaded_by(f"from i2m2_med.cli import main; assert main({call!r}) == 1") == set()


def test_small_words(capsys):
    assert cli.main(["-V"]) == 0
    assert cli.main(["score", "merge", "--help"]) == 0
    said = capsys.readouterr().out
    assert "i2m2 score merge" in said
    assert "--model" not in said


def test_tables_follow_the_width_that_is_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(["check", "--list"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


def test_a_bug_keeps_its_traceback_and_says_where_the_log_is(monkeypatch, capsys, work):
    def broken(_: list[str]) -> None:
        raise ZeroDivisionError("by us")

    monkeypatch.setattr(cli, "call", broken)
    assert cli.main(["train"]) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert "ZeroDivisionError" in next((work / "logs").glob("bug-*.txt")).read_text(encoding="utf-8")


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
