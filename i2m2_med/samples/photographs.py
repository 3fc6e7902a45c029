"""MONAI dictionary transform from the paths of a record's pictures to one tensor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform

from i2m2_med.sources.formats.photograph import read_photograph

RGB_MEAN, RGB_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which pretrained networks were given."""


class LoadPicturesd(MapTransform):
    """`_pictures` (paths) → `picture` (picture, 3, height, width) float32 in 0 … 1; nothing where `has_<key>` says there is none."""

    def __init__(
        self, keys: str | Sequence[str] = ("picture",), size: Sequence[int] | None = None, standardise: bool = False
    ) -> None:
        """size: (height, width) that pictures are squashed to (bicubic), which they must have in common where it is not given.

        standardise: subtract ImageNet's mean and divide by its standard deviation, colour by colour.
        """
        super().__init__(keys)
        self.size = None if size is None else (int(size[0]), int(size[1]))
        self.standardise = standardise

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record, key = dict(data), str(self.keys[0])
        if not record.get(f"has_{key}", True):
            return record
        pictures = torch.from_numpy(np.stack([read_photograph(Path(path), self.size) for path in record["_pictures"]]))
        scaled = pictures.float().div_(255)
        if self.standardise:
            mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (RGB_MEAN, RGB_SD))
            scaled = (scaled - mean) / deviation
        return {**record, key: scaled}
