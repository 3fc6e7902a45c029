"""Experts on pictures with a text: shapes, symmetries, published sizes, and what the order of words and parts means."""

import pytest
import torch
from i2m2_med.pipelines.import_published import main
from safetensors.torch import load_file

from i2m2_med.errors import UserError
from i2m2_med.experts import FeatureHead, FiLMSets, ObjectParts, PictureParts, WordsGRU


def objects(seed: int = 0) -> torch.Tensor:
    drawn = torch.rand(3, 3, 8, 18, generator=torch.Generator().manual_seed(seed))
    drawn[..., 0] = 1
    drawn[:, :, 5:] = 0
    return drawn


def words() -> torch.Tensor:
    return torch.tensor([[[7, 8, 9, 0, 0]], [[9, 8, 7, 0, 0]], [[5, 0, 0, 0, 0]]])


def joint() -> FiLMSets:
    torch.manual_seed(0)
    return FiLMSets([ObjectParts(18, 16), WordsGRU(32, 16)]).eval()


def test_the_order_of_sets_and_parts_makes_no_difference_and_that_of_words_does():
    network = joint()
    said = network(objects(), words())
    turned = objects()[:, [2, 0, 1]][:, :, [4, 1, 0, 3, 2, 5, 6, 7]]
    torch.testing.assert_close(network(turned, words()), said)
    assert not torch.allclose(network(objects(), words().flip(0)), said)


def test_padding_changes_nothing():
    network = joint()
    said = network(objects(), words())
    torch.testing.assert_close(network(objects(), torch.nn.functional.pad(words(), (0, 4))), said)
    more = torch.nn.functional.pad(objects(), (0, 0, 0, 0))
    more[:, :, 5:, 1:] = 0
    torch.testing.assert_close(network(more, words()), said)


def test_a_product_of_words_and_objects_is_learnt():
    """The label is whether word and colour agree, an exclusive or: no summary of either alone tells it."""
    torch.manual_seed(1)
    network = FiLMSets([ObjectParts(18, 16), WordsGRU(8, 16, dropout=0.0)])
    colour, word = torch.randint(2, (2, 256))
    seen = torch.zeros(256, 1, 1, 18)
    seen[..., 0], seen[:, 0, 0, 1] = 1, colour.float()
    text, truth = (word + 1).view(-1, 1, 1), (colour == word).long()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(seen, text)[:, 0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (network.eval()(seen, text)[:, 0].argmax(dim=1) == truth).float().mean() > 0.95


def test_pictures_of_any_number_and_size_are_parts():
    parts, there = PictureParts(3, 16)(torch.rand(2, 3, 3, 33, 21))
    assert parts.shape == (2, 3, 3 * 2, 16)
    assert there.all()
    assert FiLMSets([PictureParts(3, 16)], classes=5)(torch.rand(2, 1, 3, 32, 32)).shape == (2, 1, 5)


@pytest.mark.parametrize(
    ("features", "classes", "parameters"),
    [(768, 3129, 5_993_529), (1536, 3129, 7_173_177), (768, 2486, 5_005_238), (1536, 2486, 6_184_886),
     (1536, 2, 2_366_978), (768, 2, 1_187_330), (3072, 2, 4_726_274)],
)  # fmt: skip
def test_heads_have_the_published_number_of_parameters(features, classes, parameters):
    assert sum(one.numel() for one in FeatureHead(features, classes=classes).parameters()) == parameters


@pytest.mark.parametrize(
    ("network", "start", "sizes"), [("vqa_vs", "vqa", (768, 768, 1536)), ("nlvr2", "nlvr2", (1536, 768, 3072))]
)
def test_published_heads_are_imported_bit_by_bit(tmp_path, network, start, sizes):
    kinds = dict(zip(("image_model", "text_model", "cat_model"), sizes, strict=True))
    heads = {kind: FeatureHead(size, classes=5) for kind, size in kinds.items()}
    state = {"transformer.weight": torch.zeros(1)}
    for kind, head in heads.items():
        state |= {
            f"{start}_classifier.{kind}.{head.published_names()[ours]}": one for ours, one in head.state_dict().items()
        }
    assert f"{start}_classifier.cat_model.3.bias" in state
    torch.save({"state_dict": state}, tmp_path / "head.ckpt")
    result = main(tmp_path / "head.ckpt", tmp_path / "out", network=network)
    assert len(result["experts"]) == 3


@pytest.mark.parametrize(
    ("network", "start", "expert", "size"),
    [("vqa_vs", "vqa", "joint", 1536), ("vqa_vs", "vqa", "question", 768), ("nlvr2", "nlvr2", "picture", 1536)],
)
def test_a_head_that_was_trained_alone_is_called_model(tmp_path, network, start, expert, size):
    head = FeatureHead(size, classes=7)
    state = {f"{start}_classifier.model.{head.published_names()[ours]}": one for ours, one in head.state_dict().items()}
    torch.save({"state_dict": state | {"queue": torch.zeros(2)}}, tmp_path / "head.ckpt")
    result = main(tmp_path / "head.ckpt", tmp_path / "out", network=network, expert=expert)
    assert list(result["experts"]) == [expert]
    weights = load_file(tmp_path / "out" / f"{expert}.safetensors")
    assert all(torch.equal(weights[name], one) for name, one in head.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state | {"vqa_classifier.text_model.0.weight": torch.zeros(1536, 5)}, "where the network has"),
        (
            lambda state: {n: t for n, t in state.items() if not n.endswith("text_model.1.bias")},
            "lacks .*text_model.1.bias",
        ),
        (lambda state: {n.replace("vqa", "nlvr2"): t for n, t in state.items()}, "no parameter begins with"),
        (lambda state: state | {"vqa_classifier.text_model.0.weight": "a word"}, "holds no state dict"),
        (lambda state: [*state.values()], "holds no state dict"),
        (lambda _: FeatureHead(768, classes=3), "pickled module"),
    ],
)
def test_a_wrong_checkpoint_of_heads_is_one_clear_line(tmp_path, change, words):
    head = FeatureHead(768, classes=3)
    state = {
        f"vqa_classifier.text_model.{head.published_names()[ours]}": one for ours, one in head.state_dict().items()
    }
    torch.save(change(state), tmp_path / "head.ckpt")
    with pytest.raises(UserError, match=words) as caught:
        main(tmp_path / "head.ckpt", tmp_path / "out", network="vqa_vs")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
