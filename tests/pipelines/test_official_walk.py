"""The shipped configs on data in the official layouts, by the command line as a user would: checked, trained, scored, judged by the
official labels, exported, verified, registered."""

import json
from pathlib import Path

import pytest

from i2m2_med.cli import main
from i2m2_med.predictions import read_frame
from tests.pipelines.official import NLVR2_TEXT, nlvr2, vqa_vs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("work")]
SMALL = ("training.epochs=1", "training.workers=0", "training.batch=32", "evaluation.bootstrap=50", "seeds=[0]")


def told(capsys, *arguments: object) -> dict:
    """What a command says as JSON; it has to end well."""
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err[-2000:]
    return json.loads(said.out)


def walk(capsys, out: Path, config: str, asked: Path, labels: Path, *settings: str) -> dict[str, float]:
    """Return the metrics of what was scored, judged by the official labels."""
    given = [part for one in (*SMALL, *settings) for part in ("-s", one)]
    told(capsys, "check", config, *given)
    run = told(capsys, "train", config, *given, "-s", "paradigm=i2m2")["run"]
    told(capsys, "score", asked, out / "scores", "--model", run, "--readers", "0")
    judged = told(capsys, "evaluate", run, "--scores", out / "scores" / "scores.parquet", "--labels", labels)
    without = told(capsys, "evaluate", run, "--without", "picture")
    assert without["rows"]
    told(capsys, "export", run, out / "bundle")
    assert told(capsys, "verify", run)["verified"]
    told(capsys, "report", run)
    return {row["metric"]: row["value"] for row in judged["rows"] if row["seed"] is not None}


@pytest.mark.skipif(not NLVR2_TEXT.is_file(), reason="shared/data/nlvr is not here")
def test_nlvr2_by_the_command_line(tmp_path, capsys):
    root = nlvr2(tmp_path / "nlvr2")
    tested = root / "data" / "test1.json"
    metrics = walk(
        capsys, tmp_path, "nlvr2", tested, tested, f"source.root={root}", "modalities.transforms.0.size=[32,32]"
    )
    lines = (tmp_path / "scores" / "predictions.csv").read_text(encoding="utf-8").split()
    truth = {
        one["identifier"]: one["label"] for one in map(json.loads, tested.read_text(encoding="utf-8").splitlines())
    }
    right = [truth[name] == said for name, said in (line.split(",") for line in lines)]
    assert len(right) == len(truth)
    assert metrics["accuracy"] == pytest.approx(sum(right) / len(right))


def test_vqa_vs_of_many_answers_by_the_command_line(tmp_path, capsys):
    """A hundred answers and more: some true ones are not among the twenty that scores keep."""
    root = vqa_vs(tmp_path / "vqa", variants=8)
    asked = root / "VQA-VS" / "IID-Test" / "IID-Test-Ques.json"
    labels = asked.with_name("IID-Test-Ans.json")
    metrics = walk(capsys, tmp_path, "vqa_vs", asked, labels, f"source.root={root}", "source.least=1")
    said = {
        one["question_id"]: one["answer"]
        for one in json.loads((tmp_path / "scores" / "results.json").read_text(encoding="utf-8"))
    }
    official = [
        min(sum(given["answer"] == said[one["question_id"]] for given in one["answers"]) / 3, 1)
        for one in json.loads(labels.read_text(encoding="utf-8"))
    ]
    assert metrics["soft_accuracy"] == pytest.approx(sum(official) / len(official), abs=1e-6)
    assert metrics["nll"] is None
    assert len(read_frame(tmp_path / "scores" / "scores.parquet")["classes"].unique()) == 1
