"""A model on a frozen backbone's vectors, whose weights are exchanged afterwards, by the command line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from i2m2_med.cli import main
from i2m2_med.simulate.vqa_vs import simulate

transformers = pytest.importorskip("transformers", reason="the extra [text] is not installed")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "what", "colour", "is", "the", "ball", "how", "many", "there"]
CONFIG = """
extends: vqa_vs
modalities:
  transforms:
    - {{_target_: i2m2_med.samples.LoadPicturesd, size: [16, 16]}}
    - _target_: i2m2_med.samples.FrozenFeaturesd
      keys: [question]
      text: question
      encoder: {{_target_: i2m2_med.experts.HuggingFaceEncoder, folder: "{folder}"}}
experts:
  question: {{network: {{_target_: i2m2_med.experts.FeatureHead, features: 16}}}}
paradigm: unimodal_question
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny random BERT with its tokenizer."""
    where = tmp_path / "backbone" / "bert"
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(WORDS), **sizes)).save_pretrained(where)
    (where / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizer(str(where / "vocab.txt")).save_pretrained(where)
    return where


def test_another_backbone_is_refused_wherever_the_model_is_opened(work, tmp_path, folder, capsys):
    simulate(tmp_path / "vqa", questions=100, seed=3)
    (tmp_path / "mine.yaml").write_text(CONFIG.format(folder=folder), encoding="utf-8")
    settings = (
        "training.epochs=1",
        "training.workers=0",
        "evaluation.bootstrap=20",
        "evaluation.primary=null",
        "source.least=1",
    )
    given = [part for one in (f"source.root={tmp_path / 'vqa'}", *settings) for part in ("-s", one)]
    assert main(["train", str(tmp_path / "mine.yaml"), "--json", *given]) == 0
    stored = json.loads(capsys.readouterr().out)["run"]
    run = next((work / "runs").glob("train-*/unimodal_question-0"))
    (tmp_path / "studies" / "one").mkdir(parents=True)
    (tmp_path / "studies" / "one" / "question.txt").write_text("what colour is the ball?", encoding="utf-8")
    score = ["score", str(tmp_path / "studies"), str(tmp_path / "out"), "--model", str(run / "model"), "--readers", "0"]
    trust = ["--trust", str(folder.parent)]
    assert main([*score, *trust]) == 0
    assert main(["export", str(run / "model"), str(tmp_path / "bundle"), *trust]) == 0
    weights = load_file(folder / "model.safetensors")
    save_file({n: w + 0.1 for n, w in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    capsys.readouterr()
    again = ["score", str(tmp_path / "studies"), str(tmp_path / "other"), "--readers", "0", *trust, "--model"]
    for command in ([*again, str(run / "model")], [*again, str(tmp_path / "bundle")], ["evaluate", stored]):
        assert main(command) == 1
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert "'question' was trained on vectors of the backbone" in line
        assert "put back the one that it was trained with" in line
    assert not (tmp_path / "other" / "scores.parquet").exists()
