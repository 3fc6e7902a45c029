"""Scenes of three boxes with objects of three colours, shapes and sizes, as NLVR v1 describes and draws them."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"yellow": ("Yellow", (255, 255, 0)), "black": ("Black", (0, 0, 0)), "blue": ("#0099ff", (0, 153, 255))}
"""By word: the name in a scene's description, and RGB."""
SHAPES = ("square", "circle", "triangle")
SIZES = (10, 20, 30)
SIDE, BOXES = 100, 3
BOX, BETWEEN = (211, 211, 211), (128, 128, 128)
MOST = 5
"""Objects of a box."""


class Thing(NamedTuple):
    """One object; left and top in pixels of its box."""

    colour: str
    shape: str
    size: int
    left: int
    top: int

    def described(self) -> dict[str, str | int]:
        """Return the object as the release describes it."""
        name = COLOURS[self.colour][0]
        return {"x_loc": self.left, "y_loc": self.top, "size": self.size, "type": self.shape, "color": name}


Scene = tuple[tuple[Thing, ...], ...]


def draw_scene(rng: np.random.Generator) -> Scene:
    """Return three boxes of one to five objects that do not touch one another."""
    return tuple(_box(int(rng.integers(1, MOST + 1)), rng) for _ in range(BOXES))


def _box(count: int, rng: np.random.Generator) -> tuple[Thing, ...]:
    taken = np.zeros((SIDE, SIDE), dtype=bool)
    things: list[Thing] = []
    while len(things) < count:
        size = int(rng.choice(SIZES, p=(0.4, 0.4, 0.2)))
        left, top = (int(place) for place in rng.integers(0, SIDE - size + 1, 2))
        room = taken[max(top - 2, 0) : top + size + 2, max(left - 2, 0) : left + size + 2]
        if not room.any():
            room[:] = True
            colour, shape = str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))
            things.append(Thing(colour, shape, size, left, top))
    return tuple(things)


def render(scene: Scene) -> Image.Image:
    """Return the scene's picture, 400 × 100 RGBA."""
    picture = Image.new("RGBA", (SIDE * BOXES + 50 * (BOXES - 1), SIDE), BETWEEN)
    brush = ImageDraw.Draw(picture)
    for at, box in enumerate(scene):
        start = at * (SIDE + 50)
        brush.rectangle((start, 0, start + SIDE - 1, SIDE - 1), fill=BOX)
        for one in box:
            left, top = start + one.left, one.top
            right, bottom = left + one.size - 1, top + one.size - 1
            fill = COLOURS[one.colour][1]
            if one.shape == "square":
                brush.rectangle((left, top, right, bottom), fill=fill)
            elif one.shape == "circle":
                brush.ellipse((left, top, right, bottom), fill=fill)
            else:
                brush.polygon([((left + right) / 2, top), (left, bottom), (right, bottom)], fill=fill)
    return picture
