"""MONAI dictionary transforms that load studies beside a record: the path under a key → a tensor, absent where there is none.

    transforms:
      - {_target_: i2m2_med.samples.LoadPictured, keys: [picture], size: [64, 64]}
      - {_target_: i2m2_med.samples.LoadWaveformd, keys: [ecg], leads: 12, samples: 1000}

MONAI's own transforms may follow, with `allow_missing_keys: true`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from torch import Tensor
from torch.nn.functional import interpolate

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.sources.formats.picture import read_picture
from i2m2_med.sources.formats.wfdb import read_waveform

LEAST_KNOWN = 0.5
"""Share of a waveform's values that have to be there."""


class LoadStudyd(MapTransform):
    """Put what `load` makes of the file in `_<key>` under `<key>`; a record without that file gets no such key."""

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        for key in self.keys:
            path = record.get(f"_{key}")
            if path is not None:
                record[str(key)] = self.load(Path(path))
        return record

    def load(self, path: Path) -> Tensor:
        """The tensor of one file."""
        raise NotImplementedError


class LoadPictured(LoadStudyd):
    """A picture as grey values from 0 to 1, averaged to `size`: (1, height, width) float32. Its proportions become those of `size`."""

    def __init__(self, keys: str | Sequence[str] = ("picture",), size: Sequence[int] = (64, 64)) -> None:
        super().__init__(keys)
        if len(size) != 2 or min(size) < 1:
            raise ConfigError("size is the height and width that pictures are averaged to")
        self.size = (int(size[0]), int(size[1]))

    def load(self, path: Path) -> Tensor:
        grey = torch.from_numpy(read_picture(path))[None, None]
        return interpolate(grey, self.size, mode="area")[0]


class LoadWaveformd(LoadStudyd):
    """A waveform in millivolts, averaged to `samples`: (lead, time) float32; 0 where the recorder had no value.

    A record of other leads, of a length that `samples` does not divide, or less than half of it there is refused.
    """

    def __init__(self, keys: str | Sequence[str] = ("ecg",), leads: int = 12, samples: int = 1000) -> None:
        super().__init__(keys)
        self.leads, self.samples = leads, samples

    def load(self, path: Path) -> Tensor:
        volts = read_waveform(path)
        if volts.shape[0] != self.leads or volts.shape[1] % self.samples:
            raise SourceError(
                f"the waveform has {volts.shape[0]} leads of {volts.shape[1]} samples; the config asks for "
                f"{self.leads}, and a multiple of {self.samples}"
            )
        known = np.isfinite(volts)
        if known.mean() < LEAST_KNOWN:
            raise SourceError("the waveform lacks more than half of its values")
        return torch.from_numpy(np.where(known, volts, 0)).unflatten(1, (self.samples, -1)).mean(dim=2)
