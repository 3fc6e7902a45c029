"""The first transform of a table's images: the file that a row names → a MONAI tensor with its place, or a plain one where it has none.

    transforms:
      - {_target_: i2m2_med.samples.LoadFiled, keys: [t1], dimensions: 3}
      - {_target_: monai.transforms.Orientationd, keys: [t1], axcodes: RAS, allow_missing_keys: true}
      - {_target_: monai.transforms.Resized, keys: [t1], spatial_size: [64, 64, 64], allow_missing_keys: true}

A row that lacks an image lacks the key: what follows needs `allow_missing_keys: true`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform

from i2m2_med.errors import ConfigError
from i2m2_med.sources.table.images import read_image
from i2m2_med.sources.table.paths import file_of


class LoadFiled(MapTransform):
    """Read images: `_<key>` (a path, or `path::data set`) → `<key>` (channel, …) float32, in any format that tables may name."""

    def __init__(self, keys: str | Sequence[str], dimensions: int = 3) -> None:
        """dimensions: of space, 2 or 3."""
        super().__init__(keys)
        if dimensions not in {2, 3}:
            raise ConfigError(f"LoadFiled: dimensions are 2 or 3, not {dimensions}")
        self.dimensions = dimensions

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        for key in map(str, self.keys):
            cell = path_of(record, key)
            if cell is not None:
                pixels = read_image(cell, Path(file_of(cell)), self.dimensions)
                values, affine = torch.from_numpy(pixels.values), pixels.affine
                record[key] = values if affine is None else MetaTensor(values, affine=torch.from_numpy(affine))
        return record


class Pathsd(MapTransform):
    """Give `<key>` the path in `_<key>`, for MONAI's own LoadImaged."""

    def __init__(self, keys: str | Sequence[str]) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        paths = {key: path_of(record, key) for key in map(str, self.keys)}
        return record | {key: path for key, path in paths.items() if path is not None}


def path_of(record: Mapping[str, Any], key: str) -> str | None:
    """The cell of a record's image, None where the row has none. Raises ConfigError for a key that is no image of the table."""
    if f"_{key}" not in record:
        raise ConfigError(f"modalities.transforms: '{key}' is no image of the table; name one of source.modalities")
    cell = record[f"_{key}"]
    return None if cell is None else str(cell)
