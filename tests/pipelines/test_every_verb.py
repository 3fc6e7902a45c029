"""What holds for every verb: one JSON object, whatever the terminal's encoding; a last line that says what comes next; mistakes in a line."""

import json
import os
import pickle
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import torch

from i2m2_med import cli
from i2m2_med.experts import LeNet
from i2m2_med.simulate.mimic3.write import simulate as mimic3
from tests.experts.test_import_published import published_state
from tests.pipelines.test_compare_impk import pickled

SMALL = ["training.epochs=1", "evaluation.bootstrap=20", "evaluation.primary=null", "split.test=0.4", "split.valid=0.3"]
KNEE = [word for setting in ("source.root=knee", *SMALL) for word in ("-s", setting)]

WRONG = {
    "demo": ["full"],
    "doctor": ["--what"],
    "init": ["nosuch.csv"],
    "check": ["nosuch"],
    "prepare": ["nosuch"],
    "tune": ["knee_demo"],
    "train": ["knee_demo", "-s", "training.epoch=1"],
    "compare": ["knee_demo", "-s", "seeds=[a]"],
    "plan": ["nosuch"],
    "plan-sample": ["--prevalence", "2", "--auroc", "0.8"],
    "diagnose": ["nosuch"],
    "evaluate": ["nosuch"],
    "report": ["nosuch"],
    "register": ["nosuch", "--name", "knee"],
    "score": ["nosuch", "out", "--model", "nosuch"],
    "export": ["nosuch", "out"],
    "verify": ["nosuch"],
    "ui": ["--uri", "http://127.0.0.1:9"],
    "runs": ["--parent", "nosuch"],
    "show": ["nosuch"],
    "diff": ["nosuch", "nosuch"],
    "predictions": ["nosuch"],
    "look": ["nosuch", "--config", "knee_demo"],
    "reconstruct": ["nosuch", "out"],
    "import-published": ["nosuch", "out", "--network", "knee"],
    "compare-impk": ["nosuch", "mimic3_mortality", "-s", "source.root=nosuch"],
    "export-meds": ["knee_demo", "out"],
    "simulate": ["nosuch"],
}


def said_by(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a verb, on streams that know ASCII only."""
    out, err = BytesIO(), BytesIO()
    streams = [TextIOWrapper(buffer, "ascii", write_through=True) for buffer in (out, err)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        code = cli.main(list(arguments))
    return code, out.getvalue().decode(), err.getvalue().decode()


@pytest.mark.parametrize("verb", [*cli.VERBS, "simulate"])
def test_a_mistake_is_a_line_and_one_object(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    code, out, err = said_by(verb, *WRONG[verb], "--json")
    answer = json.loads(out)
    assert (code, answer["exit"]) == (1, 1), err
    assert answer["error"]
    assert "Traceback" not in err


@pytest.mark.parametrize("verb", [*cli.VERBS, "simulate"])
def test_help_leaves_standard_output_to_the_one_object(verb: str):
    code, out, err = said_by(verb, "--help", "--json")
    assert (code, json.loads(out)) == (0, {})
    assert verb in err
    assert "next:" not in err


@pytest.mark.parametrize("verb", sorted({*cli.VERBS, "simulate"} - cli.QUICK))
def test_a_person_is_not_left_before_a_blank_terminal(verb: str, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(cli, "say", said.append)
    monkeypatch.setattr(cli, "call", lambda _: said.append("imports"))
    monkeypatch.setattr(cli, "after_simulation", lambda _: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    cli.main([verb, "x"])
    assert said == [f"i2m2 {verb}: loading …", "imports"]


def world(folder: Path) -> None:
    """What the verbs below are called on: knees, a table, MIMIC-III tables, a published checkpoint, an im.pk."""
    mimic3(folder / "mimic3", patients=60, seed=2)
    (folder / "im.pk").write_bytes(pickle.dumps(pickled(folder / "mimic3", folder)))
    torch.save(published_state(LeNet(112), ""), folder / "audio.pt")


def calls(one: str, other: str) -> list[list[str]]:
    """A call of each verb that reads what the first ones wrote; `one` and `other` stand for runs."""
    tuned = ["-s", "tune.trials=1", "-s", "tune.space={training.learning_rate: {log_uniform: [1e-4, 1e-3]}}"]
    only = ["-s", "paradigms={left: {experts: [magnitude]}, right: {experts: [phase]}}", "-s", "paradigm=left"]
    mimic = ["-s", "source.root=mimic3"]
    return [
        ["doctor"],
        ["plan-sample", "--prevalence", "0.2", "--auroc", "0.8"],
        ["init", "cohort/cohort.csv", "--out", "my.yaml"],
        ["check", "knee_demo", *KNEE],
        ["prepare", "knee_demo", *KNEE],
        ["plan", "knee_demo", *KNEE, *only],
        ["tune", "knee_demo", *KNEE, *only, *tuned, "--out", "tuned.yaml"],
        ["compare", "knee_demo", *KNEE, *only, "--out", "comparison"],
        ["runs"],
        ["show", one],
        ["diff", one, other],
        ["verify", one],
        ["register", one, "--name", "knee", "--allow-dirty"],
        ["report", one, "--out", "report"],
        ["diagnose", one, "--out", "diagnosis"],
        ["evaluate", one, "--out", "evaluation"],
        ["predictions", one, "rows.csv"],
        ["export", one, "bundle"],
        ["score", "studies", "scores", "--model", one, "--readers", "0"],
        ["look", "studies/study_00001", "seen.png", "--model", one],
        ["reconstruct", "studies/study_00001", "images"],
        ["import-published", "audio.pt", "weights", "--network", "avmnist", "--expert", "audio"],
        ["compare-impk", "im.pk", "mimic3_mortality", *mimic],
        ["export-meds", "mimic3_mortality", "meds", *mimic],
    ]


@pytest.mark.slow
def test_every_verb_says_where_its_output_is_and_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    world(tmp_path)
    sizes = ["--volumes", "16", "--slices", "2", "--matrix", "64x64"]
    first = [
        ["simulate", "knee", "knee", *sizes],
        ["simulate", "table", "cohort", "--patients", "12", "--matrix", "16x16x16"],
        ["simulate", "studies", "studies", "--kind", "knee", "--count", "2"],
        ["train", "knee_demo", *KNEE],
    ]
    results = [result_of(call) for call in first]
    one = str(results[-1]["run"])
    other = str(result_of(["train", "knee_demo", *KNEE, "-s", "seeds=[1]"])["run"])
    done = [*first, *calls(one, other)]
    for call in done[len(first) :]:
        result_of(call)
    told_apart = {"demo", "ui"}  # five minutes (`make demo`), and a server that only a signal ends
    assert {call[0] for call in done} == {*cli.VERBS, "simulate"} - told_apart


def result_of(call: list[str]) -> dict[str, Any]:
    """The verb's object; what it says in the end names the next command and every file or folder that it wrote."""
    code, out, err = said_by(*call, "--json")
    assert code == 0, f"{call}\n{err}"
    result = json.loads(out)
    assert "next: " in "\n".join(err.splitlines()[-4:]), f"{call}\n{err}"
    places = {key: value for key, value in result.items() if isinstance(value, str) and os.path.lexists(value)}
    lost = [key for key, value in places.items() if value not in err and str(Path(value).parent) not in err]
    assert lost == [], f"{call}\n{err}"
    return result
