"""Simulated questions as their user runs them: soft scores, a frozen biased expert, many classes; and the same numbers again."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from i2m2_med.cli import main
from i2m2_med.predictions import read_table
from i2m2_med.simulate.vqa_vs import simulate
from tests.pipelines.official import varied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "vqa"
    simulate(out, questions=200, seed=3)
    return out


def train(root: Path, *more: str) -> list[str]:
    settings = [f"source.root={root}", "training.epochs=1", "evaluation.bootstrap=20", "evaluation.primary=null", *more]
    return ["train", "vqa_vs_demo", "--json", *(part for one in settings for part in ("-s", one))]


def test_a_frozen_expert_stays_as_it_was_trained_alone(questions, work, capsys):
    assert main(train(questions, "paradigm=frozen_question", "source.least=1")) == 0
    rows = {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert 0 <= rows["soft_accuracy"] <= 1
    whole = load_file(next((work / "runs").glob("train-*/frozen_question-0/model/weights.safetensors")))
    own = {name: one for name, one in whole.items() if name.startswith("experts.question.")}
    stages = [load_file(path) for path in (work / "runs").glob("train-*/stages/*/best.safetensors")]
    alone = [stage for stage in stages if not any(name.startswith("experts.joint.") for name in stage)]
    assert len(alone) == 1
    assert all(torch.equal(alone[0][name], own[name]) for name in own)


def test_many_answers_are_trained_scored_and_are_the_same_again(questions, work, tmp_path, capsys):
    for path in (questions / "VQA-VS").rglob("*-Ans.json"):
        (copy := tmp_path / path.relative_to(questions)).parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(varied(path, 8), encoding="utf-8")
        (asked := copy.with_name(copy.name.replace("-Ans", "-Ques"))).write_text(
            path.with_name(asked.name).read_text(encoding="utf-8"), encoding="utf-8"
        )
    for year in ("train2014", "val2014"):
        (tmp_path / year).symlink_to(questions / year)
    (tmp_path / "ideal.json").write_text("{}", encoding="utf-8")
    results = []
    for _ in range(2):
        assert main(train(tmp_path, "source.least=1")) == 0
        results.append(json.loads(capsys.readouterr().out)["rows"])
    assert results[0] == results[1]
    table = read_table(next((work / "runs").glob("train-*/i2m2-0/predictions.parquet")))
    assert table.groupby("study").size().between(20, 21).all()
    assert table["class"].max() > 50
