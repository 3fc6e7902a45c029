"""What is drawn after `reseed` is what is drawn after MONAI's `set_random_state`, in every kind of transform."""

from copy import deepcopy

import polars as pl
import pytest
import torch
from monai.transforms import (
    Compose,
    NormalizeIntensityd,
    OneOf,
    RandAffined,
    RandCoarseDropoutd,
    RandCoarseShuffled,
    RandFlipd,
    RandGaussianNoised,
    RandStdShiftIntensityd,
)

from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.reseed import refuse_random, reseed
from i2m2_med.sources.source import Labels

NAMES = ["picture"]
KINDS = {
    "one": [RandGaussianNoised(NAMES, prob=0.5)],
    "several": [RandFlipd(NAMES, prob=0.5, spatial_axis=0), RandGaussianNoised(NAMES, prob=0.5)],
    "transforms in transforms": [RandAffined(NAMES, prob=0.7, translate_range=2), RandGaussianNoised(NAMES, prob=0.5)],
    "a choice of transforms": [OneOf([RandFlipd(NAMES, prob=0.5), RandGaussianNoised(NAMES, prob=0.5)])],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_as_of_monai(kind):
    monais, ours = Compose(deepcopy(KINDS[kind])), Compose(deepcopy(KINDS[kind]))
    picture = torch.arange(64.0).reshape(1, 8, 8)
    made = []
    for seed in (0, 1, 7, 7, 2**31 - 1, 5):
        monais.set_random_state(seed=seed)
        reseed(ours, seed)
        made.append([compose({"picture": picture.clone()})["picture"] for compose in (monais, ours)])
        torch.testing.assert_close(made[-1][1], made[-1][0], rtol=0, atol=0)
    assert len({float(expected.sum()) for expected, _ in made}) > 1  # something was drawn


def test_a_transform_that_was_never_seeded_leaves_the_generator_of_its_class_alone():
    before = RandGaussianNoised.R.get_state()[1].copy()
    reseed(RandGaussianNoised(NAMES), 3)
    assert (RandGaussianNoised.R.get_state()[1] == before).all()


@pytest.mark.parametrize(
    "change",
    [
        RandCoarseDropoutd(NAMES, holes=1, spatial_size=2, prob=1),
        RandCoarseShuffled(NAMES, holes=1, spatial_size=3, prob=1),
        RandStdShiftIntensityd(NAMES, factors=3, prob=1),
    ],
)
def test_a_sample_in_memory_is_not_what_augmentation_made_of_it(change):
    """These change what they are given: without a copy each epoch would add to the last one's."""
    records = pl.DataFrame({"patient": ["a"], "label_l": [0]})
    made = [
        Samples(
            records, Labels(("l",), ("no", "yes")), NAMES,
            transform=lambda _: {"picture": torch.arange(64.0).reshape(1, 8, 8)}, augment=Compose([change]), cache=cache,
        )
        for cache in (True, False)
    ]  # fmt: skip
    for epoch in (1, 2, 3, 1):
        for samples in made:
            samples.epoch = epoch
        kept, anew = (samples[0].inputs["picture"] for samples in made)
        assert torch.equal(kept, anew)


def test_what_draws_at_random_is_no_transform_of_every_sample():
    refuse_random([NormalizeIntensityd(NAMES)])
    with pytest.raises(ConfigError, match=r"transforms\[1\]: RandFlipd draws at random"):
        refuse_random([NormalizeIntensityd(NAMES), RandFlipd(NAMES)])
