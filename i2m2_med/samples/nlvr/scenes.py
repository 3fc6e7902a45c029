"""NLVR v1's pictures cut into their three boxes, and boxes as sets of objects, by connected components of exact colours."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from monai.transforms.transform import MapTransform
from scipy import ndimage

from i2m2_med.errors import SourceError

SIDE, STRIDE, BOXES = 100, 150, 3
MOST = 8
"""Objects of a box."""
COLOURS = {"yellow": (255, 255, 0), "black": (0, 0, 0), "blue": (0, 153, 255)}
SHAPES = ("square", "circle", "triangle")
SIZES = (10, 20, 30)
THERE, COLOUR, SHAPE, SIZE, X, Y, EDGES, HIGHEST, LOWEST = 0, 1, 4, 7, 10, 11, 12, 16, 17
"""Places in an object's features: colour, shape and size are one of three each, edges are left, right, top, bottom."""
FEATURES = 18
TOUCHES = 1
"""Pixels from a wall at which an object touches it."""


class Found(NamedTuple):
    """One object, in pixels of its box."""

    colour: int
    shape: int
    size: int
    left: int
    top: int


class Panelsd(MapTransform):
    """`picture` (1, 3, 100, 400) → (box, 3, 100, 100): the three boxes, the grey between them left out."""

    def __init__(self, keys: str | Sequence[str] = ("picture",)) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        for key in (str(key) for key in self.keys if str(key) in record):
            picture = record[key]
            if tuple(picture.shape) != (1, 3, SIDE, SIDE + STRIDE * (BOXES - 1)):
                raise SourceError(f"a picture of shape {tuple(picture.shape)} is not three boxes side by side")
            record[key] = torch.stack([picture[0, :, :, at * STRIDE : at * STRIDE + SIDE] for at in range(BOXES)])
        return record


class ObjectSetd(MapTransform):
    """`picture` (box, 3, 100, 100) in 0 … 1 → (box, 8, 18): what is there of each object (`THERE` … `LOWEST`), zeros where none is."""

    def __init__(self, keys: str | Sequence[str] = ("picture",)) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        for key in (str(key) for key in self.keys if str(key) in record):
            pixels = (record[key].numpy() * 255).round().astype(np.uint8)
            record[key] = torch.from_numpy(np.stack([described(objects_in(box)) for box in pixels]))
        return record


def objects_in(box: UInt8[np.ndarray, "3 height width"]) -> list[Found]:
    """Return the objects of a box, from top to bottom. Raises SourceError for more than eight."""
    found: list[Found] = []
    for colour, rgb in enumerate(COLOURS.values()):
        pieces, _ = ndimage.label((box == np.array(rgb, dtype=np.uint8)[:, None, None]).all(axis=0))  # pyright: ignore[reportGeneralTypeIssues]
        for number, place in enumerate(ndimage.find_objects(pieces), start=1):
            filled = pieces[place] == number
            if filled.sum() < SIZES[0]:
                continue  # single pixels where edges of two objects blend
            size = int(np.argmin(np.abs(np.array(SIZES) - max(filled.shape))))
            found.append(Found(colour, shape_of(filled), size, place[1].start, place[0].start))
    if len(found) > MOST:
        raise SourceError(f"a box holds {len(found)} objects of the three colours; {MOST} is the most")
    return sorted(found, key=lambda one: (one.top, one.left, one.colour))


def shape_of(filled: np.ndarray) -> int:
    """Return the shape of an object's pixels: a square fills its corners, a triangle's top rows are narrower than its bottom rows."""
    if filled[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= 3:
        return SHAPES.index("square")
    third = max(1, len(filled) // 3)
    top, bottom = filled[:third].sum(), filled[-third:].sum()
    return SHAPES.index("triangle" if top < 0.6 * bottom else "circle")


def described(objects: Sequence[Found]) -> Float[np.ndarray, "8 18"]:
    """Return the features of a box's objects."""
    features = np.zeros((MOST, FEATURES), dtype=np.float32)
    for row, one in enumerate(objects):
        side = SIZES[one.size]
        features[row, THERE] = 1
        features[row, [COLOUR + one.colour, SHAPE + one.shape, SIZE + one.size]] = 1
        features[row, [X, Y]] = (one.left + side / 2) / SIDE, (one.top + side / 2) / SIDE
        gaps = np.array([one.left, SIDE - one.left - side, one.top, SIDE - one.top - side])
        features[row, EDGES : EDGES + 4] = gaps <= TOUCHES
    if objects:
        features[0, HIGHEST] = features[len(objects) - 1, LOWEST] = 1
    return features
