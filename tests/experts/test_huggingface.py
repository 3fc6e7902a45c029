"""Hugging Face encoders from a local folder: a tiny random BERT, its tokenizer, and the cache by content."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from i2m2_med.errors import ConfigError
from i2m2_med.experts.huggingface import HuggingFaceEncoder, HuggingFaceNotes
from i2m2_med.experts.joint import Joint, StaticEncoder
from i2m2_med.sources.text.word_pieces import word_pieces

transformers = pytest.importorskip("transformers", reason="the extra [text] is not installed")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "skin", "warm", "mottled", "lungs", "clear", "no", "fever"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes)
    transformers.BertModel(config).save_pretrained(where)
    (where / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizer(str(where / "vocab.txt")).save_pretrained(where)
    return where


@pytest.fixture
def tokens(folder: Path) -> torch.Tensor:
    texts = ["skin warm", "mottled skin", "lungs clear no fever", "skin warm"]
    return torch.from_numpy(word_pieces(texts, folder, 8)).long().reshape(2, 2, 8)


def test_word_pieces_are_numbers_plus_one(folder: Path) -> None:
    made = word_pieces(["skin warm", "no fever " * 9], folder, 6)
    assert made.dtype == np.int32
    assert made[0].tolist() == [3, 5, 6, 4, 0, 0]  # [CLS] skin warm [SEP]
    assert made[1, 0] == 3
    assert (made[1] != 0).all()
    assert word_pieces([], folder, 6).shape == (0, 6)


def test_frozen_says_the_same_and_trains_only_its_head(folder: Path, tokens: torch.Tensor) -> None:
    network = HuggingFaceNotes(str(folder), labels=2, classes=3)
    said = network.train()(tokens)
    assert said.shape == (2, 2, 3)
    said.sum().backward()
    assert all(p.grad is None for p in network.encoder.encoder.parameters())
    assert network.head.weight.grad is not None
    torch.testing.assert_close(network(tokens), said)
    padded = torch.nn.functional.pad(tokens, (0, 5, 0, 1))
    torch.testing.assert_close(network(padded), said)


def test_settings_count_beside_the_weights(folder: Path, tmp_path: Path) -> None:
    """The same weights with one head instead of two say something else, and the vectors of the first are not theirs."""
    digests = {HuggingFaceEncoder(str(folder)).digest()}
    for name, value in (("transformers_version", "1.0"), ("num_attention_heads", 1), ("hidden_act", "relu")):
        other = Path(shutil.copytree(folder, tmp_path / name))
        content = json.loads((other / "config.json").read_text(encoding="utf-8")) | {name: value}
        (other / "config.json").write_text(json.dumps(content), encoding="utf-8")
        digests.add(HuggingFaceEncoder(str(other)).digest())
    assert len(digests) == 3


def test_frozen_equals_the_encoder_itself(folder: Path, tokens: torch.Tensor) -> None:
    encoder = HuggingFaceEncoder(str(folder)).eval()
    trained = HuggingFaceEncoder(str(folder), frozen=False).eval()
    trained.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoder(tokens), trained(tokens))


def test_what_is_kept_for_all_runs_is_in_float32_whichever_precision_asks_first(
    folder: Path, tokens: torch.Tensor
) -> None:
    first = HuggingFaceEncoder(str(folder)).eval()
    exact = HuggingFaceEncoder(str(folder), frozen=False).eval()
    exact.load_state_dict(first.state_dict())
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        first(tokens)
    torch.testing.assert_close(first(tokens), exact(tokens))  # from memory now


def test_fine_tuned_trains_the_encoder(folder: Path, tokens: torch.Tensor) -> None:
    network = HuggingFaceNotes(str(folder), frozen=False)
    network(tokens).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.encoder.encoder.parameters())


def test_each_content_is_encoded_once_also_over_runs(folder: Path, tokens: torch.Tensor) -> None:
    first = HuggingFaceEncoder(str(folder))
    said = first(tokens)
    assert len(first.store().waiting) == 3  # two of the four chunks are the same text
    second = HuggingFaceEncoder(str(folder))
    second.load_state_dict(first.state_dict())
    second.encoder.forward = None  # the encoder is not asked again
    torch.testing.assert_close(second(tokens), said)


def test_another_encoder_never_reads_the_other_s_vectors(folder: Path, tokens: torch.Tensor) -> None:
    one, other = (HuggingFaceEncoder(str(folder)) for _ in range(2))
    with torch.no_grad():
        other.encoder.embeddings.word_embeddings.weight.add_(1.0)
    assert not torch.equal(one.eval()(tokens), other.eval()(tokens))
    assert one.store() is not other.store()


def test_joins_other_modalities(folder: Path, tokens: torch.Tensor) -> None:
    joint = Joint([StaticEncoder(4), HuggingFaceEncoder(str(folder))], classes=5)
    assert joint(torch.randn(2, 4), tokens).shape == (2, 1, 5)


def test_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        HuggingFaceNotes("emilyalsentzer/Bio_ClinicalBERT")
    with pytest.raises(ConfigError, match="is not a folder"):
        word_pieces(["skin"], tmp_path / "nowhere", 4)
