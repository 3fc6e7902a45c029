"""Workers only read, the process that takes a batch computes: the same samples as when a worker does both."""

from pathlib import Path

import numpy as np
import pytest
import torch

from i2m2_med.config.reader import load_config
from i2m2_med.engine.prediction.additive import Donated
from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.prediction.permuted import swapped
from i2m2_med.engine.training.devices import check_execution
from i2m2_med.errors import ConfigError, UserError
from i2m2_med.samples.dataset import Samples
from i2m2_med.scoring.reading import Reader
from tests.scoring.conftest import knee_model, knee_studies

__all__ = ["knee_model", "knee_studies"]


@pytest.fixture
def samples(knee_model: Path, knee_studies: Path) -> Samples:
    """Three slices from k-space."""
    return Reader(knee_model).open(next(iter(sorted(knee_studies.iterdir()))))


def test_workers_leave_what_computes(samples: Samples) -> None:
    reading, computing = samples.steps()
    assert [type(step).__name__ for step in computing if "Bound" not in type(step).__name__] == [
        "Reconstructd",
        "Modalitiesd",
    ]
    [record] = samples.begin([1]).records
    assert record["kspace"].is_complex()
    assert "magnitude" not in record
    assert reading


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_batches(samples: Samples, workers: int) -> None:
    deferred = loader(samples.replaced(deferred=True), 2, workers, seed=3, device="cpu")
    assert deferred.deferred
    pairs = list(zip(deferred, loader(samples, 2, seed=3), strict=True))
    assert len(pairs) == len(deferred) == 2
    for ours, theirs in pairs:
        assert ours.rows.tolist() == theirs.rows.tolist()
        assert ours.inputs.keys() == theirs.inputs.keys()
        for name in theirs.inputs:
            torch.testing.assert_close(ours.inputs[name], theirs.inputs[name], rtol=0, atol=1e-6)
            assert torch.equal(ours.present[name], theirs.present[name])
        assert torch.equal(ours.target, theirs.target)


def test_augmentation_draws_the_same(samples: Samples) -> None:
    from monai.transforms import Compose, RandGaussianNoised

    noisy = samples.replaced(augment=Compose([RandGaussianNoised(["magnitude"], prob=1.0)]), epoch=5)
    [ours] = loader(noisy.replaced(deferred=True), 3)
    [theirs] = loader(noisy, 3)
    torch.testing.assert_close(ours.inputs["magnitude"], theirs.inputs["magnitude"], rtol=0, atol=1e-6)
    assert not torch.equal(theirs.inputs["magnitude"], samples.__getitems__([0, 1, 2]).inputs["magnitude"])


def test_samples_that_are_changed_as_a_whole_are_not_taken_apart(samples: Samples) -> None:
    deferred = samples.replaced(deferred=True)
    one = samples.__getitems__([2]).inputs
    for changed in (swapped(deferred, {"phase": np.array([2, 2, 2])}), Donated(deferred, {"phase": one["phase"]})):
        [batch] = loader(changed, 3)
        assert torch.equal(batch.inputs["phase"][0], one["phase"][0])


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (("modalities.cache=disk",), "modalities.cache"),
        (("modalities.transforms=[]", "modalities.cache=false"), "of which this config has none"),
    ],
)
def test_settings_that_cancel_each_other_are_refused(settings: tuple[str, ...], found: str, tmp_path: Path) -> None:
    run, _ = load_config("knee_demo", (f"source.root={tmp_path}", "modalities.device=cuda", *settings))
    with pytest.raises(ConfigError, match=found):
        check_execution(run, run.training)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["auto", "cuda", "cpu"])
def test_no_gpu_is_said_in_one_line(device: str, tmp_path: Path) -> None:
    settings = (
        f"source.root={tmp_path}",
        "modalities.device=cuda",
        "modalities.cache=false",
        f"training.device={device}",
    )
    run, _ = load_config("knee_demo", settings)
    with pytest.raises(UserError, match="GPU") as caught:
        check_execution(run, run.training)
    assert "\n" not in str(caught.value)
