"""MONAI's random transforms begin anew for each sample, with the numbers of `set_random_state`, at a twentieth of its time."""

from collections.abc import Sequence
from typing import Any

from monai.transforms.compose import Compose
from monai.transforms.traits import RandomizableTrait
from monai.transforms.transform import Randomizable
from monai.utils.misc import MAX_SEED

from i2m2_med.errors import ConfigError

AS_MONAI = (Randomizable.set_random_state, Compose.set_random_state)


def reseed(transform: Randomizable, seed: int) -> None:
    """`transform.set_random_state(seed)`, number for number, with the generators that are there.

    `set_random_state` makes a new one for each transform, which first asks the system for entropy (0.2 ms each) that is then
    thrown away. A transform of another `set_random_state` has its own called.
    """
    own = vars(transform).get("R")  # the class's is shared by all transforms that were never seeded
    if own is None or type(transform).set_random_state not in AS_MONAI:
        transform.set_random_state(seed=seed)
        return
    own.seed(seed % MAX_SEED)
    for inner in transform.transforms if isinstance(transform, Compose) else ():
        if isinstance(inner, Randomizable):
            reseed(inner, int(own.randint(MAX_SEED, dtype="uint32")))


def refuse_random(steps: Sequence[Any]) -> None:
    """Raise ConfigError where one of `modalities.transforms` draws at random: evaluation would, and a cache would keep one draw."""
    for index, step in enumerate(steps):
        if isinstance(step, RandomizableTrait):
            raise ConfigError(
                f"modalities.transforms[{index}]: {type(step).__name__} draws at random, and these transforms make each sample once, "
                "validation's and test's too; move it to modalities.train_transforms"
            )
