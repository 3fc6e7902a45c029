"""MONAI dictionary transforms from a slice's record to modality tensors: read → (undersample) → reconstruct → modalities.

    transforms:
      - {_target_: i2m2_med.samples.LoadSliced}
      - {_target_: i2m2_med.samples.Reconstructd, size: [320, 320]}
      - {_target_: i2m2_med.samples.Modalitiesd, keys: [magnitude, phase], scale: volume}

Between `LoadSliced` and `Modalitiesd` data are complex64; MONAI transforms that drop the imaginary part may only follow
after them (`guard.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from monai.transforms.transform import MapTransform
from torch import Tensor

from i2m2_med.errors import ConfigError
from i2m2_med.samples.coils import combine_coils
from i2m2_med.samples.guard import complex_or_refuse
from i2m2_med.samples.phase import PhaseOption, phase_channels
from i2m2_med.samples.physics import centred_fft, centred_ifft, fit_centre, zero_fill_published
from i2m2_med.sources.slices import read_kspace, read_rss

Record = dict[str, Any]


class LoadSliced(MapTransform):
    """Read one slice: `_path`, `_slice` → `kspace` (coil, readout, phase) complex64; the rest of the volume stays on disk."""

    def __init__(self, keys: str | Sequence[str] = ("kspace",), rss: bool = False) -> None:
        """keys: where the k-space goes. rss: also the file's own `reconstruction_rss` (height, width), where it has one."""
        super().__init__(keys)
        self.rss = rss

    def __call__(self, data: Mapping[str, Any]) -> Record:
        record = dict(data)
        path, index = Path(record["_path"]), int(record["_slice"])
        for key in self.keys:
            record[str(key)] = torch.from_numpy(read_kspace(path, index))
        rss = read_rss(path, index) if self.rss else None
        return record if rss is None else {**record, "rss_image": torch.from_numpy(rss)}


class Reconstructd(MapTransform):
    """`kspace` → `image` (height, width) complex64: inverse FFT cropped to `size`, coils combined (`coils.py`)."""

    def __init__(
        self,
        keys: str | Sequence[str] = ("kspace",),
        size: Sequence[int] = (320, 320),
        parity: Literal["none", "published"] = "none",
        domain: Literal["image", "kspace"] = "image",
    ) -> None:
        """parity: `published` zero-fills the phase axis to 400 first, so pixels come out 400 / W narrower.

        domain: `kspace` keeps the centre of k-space (of the combined image, where there are several coils): an ablation.
        """
        super().__init__(keys)
        self.height, self.width = size
        self.parity, self.domain = parity, domain

    def __call__(self, data: Mapping[str, Any]) -> Record:
        record = dict(data)
        kspace = complex_or_refuse(record, str(self.keys[0]), "Reconstructd")
        if self.parity == "published":
            kspace = zero_fill_published(kspace)
        record["image"] = self.transform(kspace)
        del record[str(self.keys[0])]
        return record

    def transform(self, kspace: Tensor) -> Tensor:
        """(coil, readout, phase) → (height, width), complex64."""
        if self.domain == "kspace" and len(kspace) == 1:
            return fit_centre(fit_centre(kspace[0], self.height, -2), self.width, -1)
        image = combine_coils(centred_ifft(kspace, self.height, self.width), kspace)
        return centred_fft(image) if self.domain == "kspace" else image


class Modalitiesd(MapTransform):
    """`image` → float32 tensors (channel, height, width) of the modalities named by `keys`.

    magnitude |x|; phase (see `phase.py`); real and imaginary; rss, the file's own root sum of squares over the coils
    that were measured, where it has one, else that of the coils at hand. A single-coil file without one has no rss.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = ("magnitude", "phase"),
        phase: PhaseOption = "raw",
        scale: Literal["volume", "none"] = "volume",
    ) -> None:
        """scale: divide by the volume's root mean square (`_scale`), or by nothing (published)."""
        super().__init__(keys)
        self.phase: PhaseOption = phase
        self.scale = scale

    def __call__(self, data: Mapping[str, Any]) -> Record:
        record = dict(data)
        image = complex_or_refuse(record, "image", "Modalitiesd")
        divisor = float(record["_scale"]) if self.scale == "volume" else 1.0
        for key in map(str, self.keys):
            made = self.modality(key, image, record)
            if made is not None:
                record[key] = made if key == "phase" else made / divisor
        record.pop("rss_image", None)
        del record["image"]
        return record

    def modality(self, key: str, image: Tensor, record: Mapping[str, Any]) -> Tensor | None:
        """One modality, (channel, height, width) float32 in the file's units; None where it was not acquired."""
        if key == "magnitude":
            return image.abs()[None]
        if key == "phase":
            return phase_channels(image, self.phase)
        if key == "real":
            return image.real[None].clone()
        if key == "imaginary":
            return image.imag[None].clone()
        if key != "rss":
            raise ConfigError(f"Modalitiesd makes magnitude, phase, rss, real and imaginary, not '{key}'.")
        if "rss_image" in record:
            height, width = image.shape
            return fit_centre(fit_centre(record["rss_image"], height, -2), width, -1)[None].float()
        return image.abs()[None] if record["_shape"][1] > 1 else None
