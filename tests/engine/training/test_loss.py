"""The loss by config: a library's loss is applied per label where the label is known, and wrong arguments are found."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.fit import fit
from i2m2_med.engine.training.loss import MaskedNLL, Objective, build_loss, check_loss
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

FOCAL = {"_target_": "monai.losses.FocalLoss", "gamma": 2.0}
SMOOTH = {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1}
PLAIN = {"_target_": "torch.nn.CrossEntropyLoss"}
NLL = {"_target_": "i2m2_med.engine.training.loss.MaskedNLL"}
BLOCKS = pytest.mark.parametrize("block", [FOCAL, SMOOTH, PLAIN, NLL], ids=["focal", "smooth", "plain", "nll"])


def settings(block: dict[str, object], **more: object) -> Training:
    return Training.model_validate({"loss": block, **more})


def data(n: int = 13, labels: int = 3, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    target = torch.randint(-1, classes, (n, labels))
    return torch.randn(n, labels, classes).log_softmax(-1), target


@pytest.mark.parametrize("weighted", [False, True])
def test_torchs_plain_cross_entropy_is_our_likelihood(weighted):
    log_probs, target = data()
    weights = torch.rand(3, 4) + 0.1 if weighted else None
    torch.testing.assert_close(
        build_loss(settings(PLAIN), 3, weights)(log_probs, target), MaskedNLL(weights)(log_probs, target)
    )


def test_focal_loss_without_focus_is_likelihood_over_classes():
    log_probs, target = data()
    focal = build_loss(settings({**FOCAL, "gamma": 0.0}), 3, None)(log_probs, target)
    torch.testing.assert_close(focal * 4, MaskedNLL()(log_probs, target))


def test_smoothing_is_torchs_own_of_the_logits():
    log_probs, target = data()
    logits = log_probs + 3.0  # a softmax forgets constants
    known = [target[:, label] >= 0 for label in range(3)]
    theirs = sum(
        nn.functional.cross_entropy(logits[rows, label], target[rows, label], label_smoothing=0.1)
        for label, rows in enumerate(known)
    )
    torch.testing.assert_close(build_loss(settings(SMOOTH), 3, None)(log_probs, target), theirs)


@BLOCKS
def test_unknown_labels_and_labels_nobody_knows_change_nothing(block):
    log_probs, target = data()
    target[:, 1] = -1
    loss = build_loss(settings(block), 3, None)
    other = torch.where((target < 0)[:, :, None], torch.randn(13, 3, 4).log_softmax(-1), log_probs)
    torch.testing.assert_close(loss(other, target), loss(log_probs, target))
    log_probs.requires_grad_()
    nothing = loss(log_probs, torch.full_like(target, -1))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert log_probs.grad is not None
    assert not log_probs.grad.any()


@BLOCKS
def test_class_weights_move_the_loss(block):
    log_probs, target = data()
    weights = torch.tensor([1.0, 2.0, 3.0, 9.0]).expand(3, 4)
    assert build_loss(settings(block), 3, weights)(log_probs, target) != build_loss(settings(block), 3, None)(
        log_probs, target
    )


@BLOCKS
def test_experts_own_losses_are_of_the_samples_they_read(block):
    log_probs, target = data()
    experts = torch.randn(2, 13, 3, 4).log_softmax(-1)
    present = torch.rand(2, 13) < 0.6
    loss = build_loss(settings(block), 3, None)
    whole = Objective(loss, 0.5)(Opinions(log_probs, experts, present), target)
    read = present.any(dim=0)
    parts = loss(log_probs[read], target[read])
    for expert in range(2):
        parts = parts + 0.5 * loss(experts[expert, present[expert]], target[present[expert]])
    torch.testing.assert_close(whole, parts)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({**FOCAL, "gama": 2}, "takes no 'gama'; did you mean 'gamma'"),
        ({**FOCAL, "use_softmax": False}, "leave use_softmax out"),
        ({**FOCAL, "include_background": False}, "does not reward class 0"),
        ({**FOCAL, "gamma": "strong"}, "FocalLoss"),
        ({**SMOOTH, "label_smoothing": 1.5}, "label_smoothing"),
        ({**SMOOTH, "label_smoothing": 1.0}, "does not reward class 0"),
        ({**PLAIN, "reduction": "none"}, "one finite number"),
        ({**PLAIN, "reduction": "average"}, "average"),
        ({**PLAIN, "ignore_index": 1}, "one finite number|does not reward class 1"),
        ({**PLAIN, "weight": [1.0, 2.0]}, "CrossEntropyLoss"),
        ({**NLL, "weight": [1.0, 2.0]}, "leave weight out"),
        ({"_target_": "monai.losses.DiceLoss"}, "DiceLoss"),
        ({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}, "Linear"),
    ],
)
def test_wrong_arguments_are_found_before_training(block, why):
    with pytest.raises(ConfigError, match=why):
        check_loss(settings(block), 2, 3)


def test_class_weights_need_a_loss_that_takes_them():
    block = {"_target_": "torch.nn.MultiLabelMarginLoss"}
    with pytest.raises(ConfigError, match="takes no class weights"):
        check_loss(settings(block, class_weights=True), 2, 3)


@BLOCKS
def test_what_is_right_passes(block):
    check_loss(settings(block, class_weights=True), 4, 2)
    check_loss(settings(block), 1, 10)


@BLOCKS
@pytest.mark.parametrize("mode", ["joint", "joint+aux"])
def test_training_learns_with_it(block, mode, tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 150)
    x = (rng.normal(size=(150, 3)) + 1.5 * label[:, None]).astype(np.float32)
    samples = Samples(pl.DataFrame({"label_sick": label}), Labels(("sick",), ("no", "yes")), ["x"], {"x": x})
    model = I2M2({"x": nn.Linear(3, 2)}, {"x": ("x",)}, Mean(), (1, 2))
    training = settings(block, mode=mode, epochs=6, learning_rate=0.05, select="auroc", class_weights=True)
    history = fit(
        model, samples, samples, training, seed=0, folder=tmp_path, device="cpu", watch=lambda *_: None
    ).history
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert max(epoch["valid_auroc"] for epoch in history) > 0.9


class Mean(nn.Module):
    def forward(self, log_probs: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        del present
        return log_probs.mean(dim=0).log_softmax(-1)


def test_a_batch_that_nobody_can_read_teaches_nothing_and_is_no_error():
    model = I2M2({"x": nn.Linear(3, 2)}, {"x": ("x",)}, ProductOfExperts(), (1, 2)).train()
    opinions = model({"x": torch.full((4, 3), torch.nan)}, {"x": torch.zeros(4, dtype=torch.bool)})
    loss = Objective(MaskedNLL())(opinions, torch.zeros(4, 1, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())
