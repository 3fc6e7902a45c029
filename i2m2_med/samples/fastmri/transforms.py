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

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.coils import reconstruct
from i2m2_med.samples.complex_checks import complex_or_refuse, lacks_kspace
from i2m2_med.samples.phase import PhaseOption, magnitude_of, phase_channels
from i2m2_med.samples.physics import (
    AS_STORED,
    PUBLISHED_WIDTH,
    SAME_GRID,
    centred_fft,
    fit_centre,
    refuse_too_wide,
    turned,
)
from i2m2_med.sources.fastmri.slices import VolumeFiles, read_image, read_kspace, read_rss
from i2m2_med.sources.formats.ismrmrd_counters import Choice

Record = dict[str, Any]

IMAGES = ("nifti", "dicom")
"""Formats of images that were reconstructed already."""
NEEDS = {
    "magnitude": ("magnitude",),
    "phase": ("phase",),
    "real": ("magnitude", "phase"),
    "imaginary": ("magnitude", "phase"),
}
"""By modality, the parts that an image must have been acquired with for it to be made (NIfTI images may come alone)."""


class LoadSliced(MapTransform):
    """Read one slice: `_data`, `_phase`, `_format`, `_slice` → `kspace` (coil, readout, phase) complex64; the rest stays on disk.

    Images (NIfTI, DICOM) give `image` (height, width) complex64 instead: they were reconstructed already.
    """

    def __init__(self, keys: str | Sequence[str] = ("kspace",), rss: bool = False) -> None:
        """keys: where the k-space goes. rss: also the file's own `reconstruction_rss` (height, width), where it has one."""
        super().__init__(keys)
        self.rss = rss
        self.only_reads = True  # `Samples.begin`: workers do no more, where the rest is computed on a GPU

    def __call__(self, data: Mapping[str, Any]) -> Record:
        record = dict(data)
        if lacks_kspace(record):
            return record
        form, index = str(record["_format"]), int(record["_slice"])
        files = files_of(record)
        if form in IMAGES:
            return {**record, "image": torch.from_numpy(read_image(files, index))}
        path = files.paths[0]
        record[str(self.keys[0])] = torch.from_numpy(read_kspace(path, form, index, choice_of(record)))
        rss = read_rss(path, form, index) if self.rss else None
        return record if rss is None else {**record, "rss_image": torch.from_numpy(rss)}


def files_of(record: Mapping[str, Any]) -> VolumeFiles:
    """The files that a record's slice lies in."""
    data, phase, imaginary = (
        Path(record[name]) if record[name] else None for name in ("_data", "_phase", "_imaginary")
    )
    return VolumeFiles(data, phase, imaginary)


def choice_of(record: Mapping[str, Any]) -> Choice:
    """Which image of its file a record's slice is of."""
    return Choice(**dict(zip(Choice.model_fields, record["_choice"], strict=True)))


class Reconstructd(MapTransform):
    """`kspace` → `image` (height, width) complex64: inverse FFT cropped to `size`, coils combined (`coils.py`)."""

    def __init__(
        self,
        keys: str | Sequence[str] = ("kspace",),
        size: Sequence[int] = (320, 320),
        parity: Literal["none", "published"] = "none",
        domain: Literal["image", "kspace"] = "image",
    ) -> None:
        """size: of the image, in pixels of the scanner's reconstruction (`_step`).

        parity: `published` zero-fills the phase axis to 400 first, so pixels come out 400 / W narrower, and crops pixels of
        k-space's image, whatever size the scanner reconstructs.

        domain: `kspace` keeps the centre of k-space (of the combined image, where there are several coils): an ablation.
        """
        super().__init__(keys)
        self.height, self.width = size
        self.parity, self.domain = parity, domain

    def __call__(self, data: Mapping[str, Any]) -> Record:
        record, key = dict(data), str(self.keys[0])
        if lacks_kspace(record):
            return record
        if key not in record and "image" in record:
            made = self.fit(complex_or_refuse(record, "image", "Reconstructd"))
            return {**record, "image": centred_fft(made) if self.domain == "kspace" else made}
        kspace = complex_or_refuse(record, key, "Reconstructd")
        if self.parity == "published":
            if "rss_image" in record:
                raise ConfigError(
                    "parity: published makes other pixels than the file's own rss has; take one of the two"
                )
            refuse_too_wide(kspace.shape[-1])
        del record[key]
        rows, columns = record.get("_step", SAME_GRID)
        image = self.transform(kspace, (rows, columns), record.get("_turn", AS_STORED))
        return {**record, "image": image, "_voxel_mm": self.voxel_mm(record, kspace.shape[-1])}

    def voxel_mm(self, record: Mapping[str, Any], measured: int) -> list[float] | None:
        """Row, column and slice spacing of what comes out; the published geometry has the pixels of k-space's (wider) image."""
        shown, encoded = record.get("_voxel_mm"), record.get("_encoded_mm")
        if self.parity != "published" or shown is None:
            return shown
        return None if encoded is None else [encoded[0], encoded[1] * measured / PUBLISHED_WIDTH, shown[2]]

    def transform(
        self, kspace: Tensor, step: tuple[float, float] = SAME_GRID, turn: Sequence[bool] = AS_STORED
    ) -> Tensor:
        """(coil, readout, phase) → (height, width), complex64.

        step: a pixel of the image in pixels of k-space's image; turn: from that to the image as shown (`Volume.turn`).
        """
        published = self.parity == "published"
        step = SAME_GRID if published else step
        if self.domain == "kspace" and len(kspace) == 1 and step == SAME_GRID:
            return self.fit(kspace[0])
        rows, columns = (self.width, self.height) if turn[0] else (self.height, self.width)
        image = turned(reconstruct(kspace, rows, columns, PUBLISHED_WIDTH if published else 0, step), turn)
        return centred_fft(image) if self.domain == "kspace" else image

    def fit(self, image: Tensor) -> Tensor:
        """(…, row, column) → (…, height, width), cropped or zero-padded about the centre."""
        return fit_centre(fit_centre(image, self.height, -2), self.width, -1)


class Modalitiesd(MapTransform):
    """`image` → float32 tensors (channel, height, width) of the modalities named by `keys`.

    magnitude |x|; phase (see `phase.py`); real and imaginary; rss, the file's own root sum of squares over the coils
    that were measured, cropped where it is larger than the image, else that of the coils at hand. A single-coil file without one has
    no rss. Not with `parity: published`, whose pixels are others than the file's.
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
        if lacks_kspace(record):
            return record
        image = complex_or_refuse(record, "image", "Modalitiesd")
        divisor = float(record["_scale"]) if self.scale == "volume" else 1.0
        for key in map(str, self.keys):
            made = self.modality(key, image, record)
            if made is not None:
                record[key] = made if key == "phase" or divisor == 1 else made / divisor
        record.pop("rss_image", None)
        del record["image"]
        return record

    def modality(self, key: str, image: Tensor, record: Mapping[str, Any]) -> Tensor | None:
        """One modality, (channel, height, width) float32 in the file's units; None where it was not acquired."""
        if not all(record.get(f"has_{part}", True) for part in NEEDS.get(key, ())):
            return None
        if key == "magnitude":
            return magnitude_of(image)[None]
        if key == "phase":
            return phase_channels(image, self.phase)
        if key == "real":
            return image.real[None].clone()
        if key == "imaginary":
            return image.imag[None].clone()
        if key != "rss":
            raise ConfigError(f"Modalitiesd makes magnitude, phase, rss, real and imaginary, not '{key}'.")
        if "rss_image" in record:
            return cropped(record["rss_image"], *image.shape)[None].float()
        return magnitude_of(image)[None] if record["_shape"][1] > 1 else None


def cropped(rss: Tensor, height: int, width: int) -> Tensor:
    """The centre of a file's own reconstruction, whose pixels are those of the image that is made. Raises SourceError where it is smaller."""
    if rss.shape[0] < height or rss.shape[1] < width:
        raise SourceError(
            f"the file's reconstruction_rss is {rss.shape[0]} × {rss.shape[1]}, smaller than the image of {height} × {width} "
            "that is made; set Reconstructd's size to that, or leave rss out"
        )
    return fit_centre(fit_centre(rss, height, -2), width, -1)
