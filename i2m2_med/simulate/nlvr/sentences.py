"""Sentences from templates, each with its meaning: what of a scene it is true of."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from i2m2_med.simulate.nlvr.scenes import COLOURS, SHAPES, SIDE, Scene, Thing

NUMBERS = {1: "one", 2: "two", 3: "three"}
SIZED = {10: "small", 20: "medium", 30: "big"}


class Sentence(NamedTuple):
    """A text and whether it is true of a scene."""

    text: str
    true_of: Callable[[Scene], bool]


def draw_sentence(rng: np.random.Generator) -> Sentence:
    """Return a sentence of one of the templates."""
    colour, shape = str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))
    return TEMPLATES[int(rng.integers(len(TEMPLATES)))](colour, shape, rng)


def _of(colour: str, shape: str) -> Callable[[Thing], bool]:
    return lambda one: one.colour == colour and one.shape == shape


def _exists(colour: str, shape: str, rng: np.random.Generator) -> Sentence:
    del rng
    fits = _of(colour, shape)
    return Sentence(f"There is a {colour} {shape}.", lambda scene: any(fits(one) for box in scene for one in box))


def _exactly(colour: str, shape: str, rng: np.random.Generator) -> Sentence:
    count = int(rng.integers(1, 4))
    ending = "" if count == 1 else "s"
    text = f"There is a box with exactly {NUMBERS[count]} {colour} item{ending}."
    del shape
    return Sentence(text, lambda scene: any(sum(one.colour == colour for one in box) == count for box in scene))


def _at_least(colour: str, shape: str, rng: np.random.Generator) -> Sentence:
    count = int(rng.integers(2, 4))
    del colour
    text = f"There are at least {NUMBERS[count]} {shape}s."
    return Sentence(text, lambda scene: sum(one.shape == shape for box in scene for one in box) >= count)


def _each(colour: str, shape: str, rng: np.random.Generator) -> Sentence:
    del rng, shape
    text = f"There is a {colour} item in each box."
    return Sentence(text, lambda scene: all(any(one.colour == colour for one in box) for box in scene))


def _wall(colour: str, shape: str, rng: np.random.Generator) -> Sentence:
    del rng, shape
    text = f"There is a {colour} item touching the wall."
    return Sentence(text, lambda scene: any(one.colour == colour and touches(one) for box in scene for one in box))


def _sized(colour: str, shape: str, rng: np.random.Generator) -> Sentence:
    size = int(rng.choice(list(SIZED)))
    del shape
    fits = SIZED[size]
    text = f"There is a {fits} {colour} item."
    return Sentence(text, lambda scene: any(one.size == size and one.colour == colour for box in scene for one in box))


TEMPLATES = (_exists, _exactly, _at_least, _each, _wall, _sized)


def touches(one: Thing) -> bool:
    """Return whether an object touches a wall of its box."""
    return min(one.left, one.top, SIDE - one.left - one.size, SIDE - one.top - one.size) == 0
