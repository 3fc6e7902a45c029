"""Training: interrupted and resumed is the same as undisturbed; modes do what they say; labels are masked."""

import itertools
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import RandGaussianNoised
from torch import nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.predict import run_model
from i2m2_med.engine.prediction.seed import seed_for
from i2m2_med.engine.training.fit import Watch, fit
from i2m2_med.engine.training.loss import MaskedNLL, Objective, class_shares, class_weights, learnt_prior
from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

LABELS = Labels(("sick",), ("no", "yes"))


def toy(n: int, seed: int) -> Samples:
    """Two modalities; the first tells the label."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    a = (rng.normal(size=(n, 3)) + label[:, None]).astype(np.float32)
    b = rng.normal(size=(n, 2)).astype(np.float32)
    b[::5] = np.nan
    return Samples(pl.DataFrame({"label_sick": label}), LABELS, ["a", "b"], {"a": a, "b": b})


class Joint(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cat([a, b], dim=1))


def model(seed: int = 0) -> I2M2:
    torch.manual_seed(seed_for(seed))
    networks = {"a": nn.Linear(3, 2), "b": nn.Linear(2, 2), "joint": Joint()}
    return I2M2(networks, {"a": ("a",), "b": ("b",), "joint": ("a", "b")}, ProductOfExperts(), (1, 2))


SETTINGS = Training(
    epochs=5,
    batch=16,
    learning_rate=0.01,
    modality_dropout=0.2,
    scheduler={"_target_": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.9},
)


def train(folder: Path, training: Training = SETTINGS, watch=lambda *_: None, seed: int = 0) -> I2M2:
    made = model()
    fit(made, toy(120, 0), toy(60, 1), training, seed=seed, folder=folder, device="cpu", watch=watch)
    return made


def weights(made: I2M2) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in made.state_dict().values())


@pytest.mark.parametrize("last_epoch", [1, 3])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, last_epoch):
    class Killed(Exception):
        pass

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == last_epoch:
            raise Killed

    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "parts", watch=kill)
    assert weights(train(tmp_path / "parts")) == weights(whole)


def pictures(n: int) -> Samples:
    """Noise on a constant, made anew each epoch."""

    def read(record: dict[str, Any]) -> dict[str, Any]:
        return {"a": torch.full((1, 3), float(record["label_sick"]))}

    records = pl.DataFrame({"label_sick": [row % 2 for row in range(n)]})
    augment = Compose([RandGaussianNoised("a", prob=0.8)])
    return Samples(records, LABELS, ["a"], transform=read, augment=augment)


def train_on_pictures(folder: Path, workers: int, watch: Watch = lambda *_: None, **settings: Any) -> tuple[bytes, Any]:
    """Weights, and what was said of each epoch."""
    torch.manual_seed(0)
    made = I2M2({"a": nn.Sequential(nn.Flatten(), nn.Linear(3, 2))}, {"a": ("a",)}, ProductOfExperts(), (1, 2))
    training = Training.model_validate({"epochs": 4, "batch": 4, "learning_rate": 0.1, "workers": workers, **settings})
    given = pictures(22)
    fitted = fit(made, given, pictures(6), training, seed=0, folder=folder, device="cpu", watch=watch)
    assert not multiprocessing.active_children()
    return weights(made), fitted.history


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_no_bit_of_what_is_learnt(tmp_path: Path, workers: int) -> None:
    assert train_on_pictures(tmp_path / "with", workers) == train_on_pictures(tmp_path / "without", 0)


@pytest.mark.parametrize("last_epoch", [1, 3])
def test_a_training_that_ended_with_its_workers_goes_on_with_the_same_bits(tmp_path: Path, last_epoch: int) -> None:
    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == last_epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on_pictures(tmp_path / "parts", 2, kill)
    assert not multiprocessing.active_children()
    assert train_on_pictures(tmp_path / "parts", 2) == train_on_pictures(tmp_path / "whole", 0)


def test_workers_end_when_patience_is_used_up(tmp_path: Path) -> None:
    _, history = train_on_pictures(tmp_path, 2, epochs=60, learning_rate=5.0, patience=1)
    assert len(history) < 60


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path):
    assert weights(train(tmp_path / "a")) == weights(train(tmp_path / "b"))
    assert weights(train(tmp_path / "a2", seed=1)) != weights(train(tmp_path / "b"))


def test_it_learns_and_keeps_the_best_epoch(tmp_path):
    history: list[dict[str, float]] = []
    made = train(tmp_path, SETTINGS.model_copy(update={"epochs": 12}), lambda _, metrics: history.append(metrics))
    best = min(metrics["valid_nll"] for metrics in history)
    said = run_model(made, toy(60, 1), 32, "cpu")
    target = toy(60, 1).target
    assert float(Objective(MaskedNLL())(said, target)) == pytest.approx(best, rel=1e-5)
    assert best < 0.6  # chance is ln 2 = 0.69


def test_patience_stops_early(tmp_path):
    history: list[int] = []
    train(
        tmp_path,
        SETTINGS.model_copy(update={"epochs": 60, "learning_rate": 0.3, "patience": 2}),
        lambda epoch, _: history.append(epoch),
    )
    assert len(history) < 60


def opinions(log_probs: torch.Tensor) -> Opinions:
    return Opinions(log_probs, log_probs[None], torch.ones(1, len(log_probs), dtype=torch.bool))


def test_unknown_labels_change_nothing():
    log_probs = torch.randn(7, 3, 2).log_softmax(-1)
    target = torch.randint(0, 2, (7, 3))
    target[2, 1] = -1
    loss = Objective(MaskedNLL())(opinions(log_probs), target)
    other = log_probs.clone()
    other[2, 1] = torch.tensor([-50.0, -3.0])
    assert torch.equal(Objective(MaskedNLL())(opinions(other), target), loss)
    target[:, 1] = -1
    without = Objective(MaskedNLL())(opinions(log_probs[:, [0, 2]]), target[:, [0, 2]])
    torch.testing.assert_close(Objective(MaskedNLL())(opinions(log_probs), target), without)


def test_class_weights_are_inverse_shares():
    samples = toy(50, 3)
    counts = np.bincount(samples.target[:, 0].numpy(), minlength=2)
    torch.testing.assert_close(class_weights(samples)[0], torch.tensor(50 / counts, dtype=torch.float32))
    torch.testing.assert_close(class_shares(samples).sum(dim=1), torch.ones(1))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_prior_that_experts_learn_is_what_a_constant_answer_ends_at(weighted):
    """`combiner.prior: divide` takes it out k − 1 times: with class weights N / N_c it is equal shares, not the class shares."""
    samples = toy(50, 3)
    logits = torch.zeros(1, 1, 2, requires_grad=True)
    loss = MaskedNLL(class_weights(samples) if weighted else None)
    optimizer = torch.optim.LBFGS([logits], max_iter=50)

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(logits.expand(50, 1, 2).log_softmax(-1), samples.target)
        value.backward()
        return value

    optimizer.step(cost)
    learnt = learnt_prior(samples, Training(class_weights=weighted))
    torch.testing.assert_close(logits.detach().softmax(-1)[0], learnt, atol=1e-3, rtol=0)
    alone = Training(mode="separate", class_weights=not weighted, separate={"class_weights": weighted})
    torch.testing.assert_close(learnt_prior(samples, alone), learnt)


def test_weighted_loss_is_torchs_cross_entropy():
    logits, target = torch.randn(11, 2, 3), torch.randint(0, 3, (11, 2))
    weight = torch.rand(2, 3) + 0.1
    ours = Objective(MaskedNLL(weight))(opinions(logits.log_softmax(-1)), target)
    theirs = sum(nn.functional.cross_entropy(logits[:, label], target[:, label], weight[label]) for label in range(2))
    torch.testing.assert_close(ours, theirs)


def test_a_missing_modality_is_what_the_other_experts_say(tmp_path):
    made = train(tmp_path).eval()
    batch = toy(10, 5).__getitems__([1, 2, 3])
    absent = {"a": batch.present["a"], "b": torch.zeros(3, dtype=torch.bool)}
    alone = I2M2({"a": made.experts["a"]}, {"a": ("a",)}, ProductOfExperts(), (1, 2))
    for junk in (0.0, torch.nan, 1e30):
        inputs = {"a": batch.inputs["a"], "b": torch.full_like(batch.inputs["b"], junk)}
        said = made(inputs, absent).log_probs
        torch.testing.assert_close(said, alone(inputs, absent).log_probs)


def test_every_subset_of_modalities_is_answered():
    made = model().eval()
    batch = toy(20, 6).__getitems__([1, 2, 3])
    for there in itertools.product([True, False], repeat=2):
        present = {name: torch.full((3,), here) for name, here in zip("ab", there, strict=True)}
        said = made(batch.inputs, present)
        torch.testing.assert_close(said.log_probs.exp().sum(-1), torch.ones(3, 1))
