"""Shifts of MRI, in k-space (between reading and reconstruction) or on the complex image (before modalities are made).

Motion is in k-space here: TorchIO's moves magnitude images, where the phase is lost already.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples, Transform
from i2m2_med.samples.shifts import Shift, Suite

Record = Mapping[str, Any]
Change = Callable[[Tensor, torch.Generator, float], Tensor]
"""(complex array, a generator seeded by volume, severity) → the array as shifted."""


def undersample(kspace: Tensor, record: Record, severity: float, kind: str) -> Tensor:
    """Columns kept as fastMRI's mask of that kind does at `severity`-fold acceleration."""
    from i2m2_med.samples.undersampling import Undersampled

    return Undersampled(kind=kind, accelerations=(int(severity),))({**record, "kspace": kspace})["kspace"]  # pyright: ignore[reportArgumentType]


def drop_coils(kspace: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """A share of the coils is dead (never the last one). Raises ConfigError for one coil."""
    coils = len(kspace)
    if coils < 2:
        raise ConfigError(
            "the shift coil_drop needs several coils; these data have one. Choose other shifts: fastmri.<name>"
        )
    dead = torch.randperm(coils, generator=generator)[: min(coils - 1, max(1, round(share * coils)))]
    return kspace.index_fill(0, dead, 0)


def add_noise(kspace: Tensor, generator: torch.Generator, snr: float) -> Tensor:
    """Complex Gaussian noise at a signal-to-noise ratio (root mean squares) of `snr`."""
    level = kspace.abs().square().mean().sqrt() / snr
    return kspace + level * torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator)


def spike(kspace: Tensor, generator: torch.Generator, count: float) -> Tensor:
    """`count` samples are as large as the largest: stripes through the image."""
    flat = kspace.reshape(len(kspace), -1).clone()
    places = torch.randperm(flat.shape[1], generator=generator)[: int(count)]
    flat[:, places] = torch.polar(flat.abs().amax(dim=1), torch.zeros(len(flat)))[:, None].expand(-1, len(places))
    return flat.reshape(kspace.shape)


def move(kspace: Tensor, generator: torch.Generator, pixels: float) -> Tensor:
    """The body moves by up to `pixels` (rows and columns) at a random time: later columns carry the phase of the new place."""
    rows, columns = kspace.shape[-2:]
    start = int(torch.randint(columns // 4, max(columns // 4 + 1, 3 * columns // 4), (1,), generator=generator))
    angle = 2 * torch.pi * float(torch.rand(1, generator=generator))
    step = pixels * torch.tensor([angle, angle - torch.pi / 2]).cos()
    turn = -2 * torch.pi * (frequencies(rows)[:, None] * step[0] + frequencies(columns)[None] * step[1])
    turn[:, :start] = 0
    return kspace * torch.polar(torch.ones_like(turn), turn)


def offset_phase(image: Tensor, _: torch.Generator, radians: float) -> Tensor:
    """The same phase is added everywhere."""
    return image * torch.polar(torch.tensor(1.0), torch.tensor(radians))


def ramp_phase(image: Tensor, generator: torch.Generator, cycles: float) -> Tensor:
    """A linear phase over the field of view, `cycles` turns in a random direction: k-space is off its centre."""
    angle = 2 * torch.pi * float(torch.rand(1, generator=generator))
    direction = torch.tensor([angle, angle - torch.pi / 2]).cos()
    place = [torch.linspace(-0.5, 0.5, size) for size in image.shape[-2:]]
    turn = 2 * torch.pi * cycles * (place[0][:, None] * direction[0] + place[1][None] * direction[1])
    return image * torch.polar(torch.ones_like(turn), turn)


def bend_phase(image: Tensor, generator: torch.Generator, radians: float) -> Tensor:
    """A smooth bump of phase with a peak of `radians`, as an off-resonance field gives."""
    centre = torch.rand(2, generator=generator) - 0.5
    place = [torch.linspace(-0.5, 0.5, size) for size in image.shape[-2:]]
    distance = (place[0][:, None] - centre[0]) ** 2 + (place[1][None] - centre[1]) ** 2
    turn = radians * torch.exp(-distance / (2 * 0.25**2))
    return image * torch.polar(torch.ones_like(turn), turn)


def frequencies(n: int) -> Tensor:
    """Cycles per pixel of centred k-space columns: DC at n // 2."""
    return (torch.arange(n) - n // 2) / n


class Changed:
    """A transform that changes `key` of a record; every slice of a volume draws the same numbers."""

    def __init__(self, key: str, name: str, severity: float, change: Any, wants_record: bool = False) -> None:
        self.key, self.name, self.severity = key, name, severity
        self.change, self.wants_record = change, wants_record

    def __call__(self, record: Record) -> dict[str, Any]:
        if self.key not in record:
            raise ConfigError(
                f"the shift {self.name} changes {self.key}, which these data (already reconstructed) do not hold"
            )
        if self.wants_record:
            return {**record, self.key: self.change(record[self.key], record, self.severity)}
        volume = str(record["_data"]).rsplit("/", 1)[-1]
        seed = int.from_bytes(hashlib.sha256(f"{self.name}|{volume}".encode()).digest()[:6], "big")
        changed = self.change(record[self.key], torch.Generator().manual_seed(seed), self.severity)
        return {**record, self.key: changed}


def insert(
    samples: Samples, severity: float, *, name: str, key: str, change: Any, wants_record: bool = False
) -> Samples:
    """The same samples with `change` put right behind the transform that makes `key`."""
    from monai.transforms.compose import Compose

    after = {"kspace": "LoadSliced", "image": "Reconstructd"}[key]
    steps: list[Any] = list(getattr(samples.transform, "transforms", ()))
    places = [at for at, step in enumerate(steps) if type(step).__name__ == after]
    if not places:
        raise ConfigError(f"the shift {name} needs the transform {after}, which this run's config does not have")
    changed = Changed(key, name, severity, change, wants_record)
    steps.insert(places[0] + 1, changed)
    return samples.replaced(transform=cast(Transform, Compose(steps)))


def in_kspace(
    name: str, severities: tuple[float, ...], unit: str, change: Any, wants_record: bool = False
) -> dict[str, Shift]:
    """A shift of k-space, by its name."""
    return {
        name: Shift(
            severities, unit, partial(insert, name=name, key="kspace", change=change, wants_record=wants_record)
        )
    }


def in_image(name: str, severities: tuple[float, ...], unit: str, change: Change) -> dict[str, Shift]:
    """A shift of the complex image, by its name."""
    return {name: Shift(severities, unit, partial(insert, name=name, key="image", change=change))}


def undersampled(kind: str) -> dict[str, Shift]:
    """The shift to fastMRI's mask of a kind, by its name."""
    change = partial(undersample, kind=kind)
    return in_kspace(f"undersampling_{kind}", (2.0, 4.0, 8.0), "× acceleration", change, wants_record=True)


SUITE = Suite(
    "fastmri",
    undersampled("random")
    | undersampled("equispaced")
    | undersampled("magic")
    | in_kspace("coil_drop", (0.25, 0.5, 0.75), "share of coils", drop_coils)
    | in_kspace("noise", (4.0, 2.0, 1.0), "signal-to-noise ratio", add_noise)
    | in_kspace("spikes", (1.0, 4.0, 16.0), "spikes", spike)
    | in_kspace("motion", (1.0, 3.0, 9.0), "pixels", move)
    | in_image("phase_offset", (0.5, 1.0, 2.0), "radians", offset_phase)
    | in_image("phase_ramp", (0.5, 1.0, 2.0), "turns over the field of view", ramp_phase)
    | in_image("off_resonance", (0.5, 1.0, 2.0), "radians at the peak", bend_phase),
)
