"""From latents to raw data: evidence drawn into magnitude and phase, coils, noise, centred FFT."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from i2m2_med.simulate.fastmri.anatomy import Anatomy, Geometry, Plane, Pose, patch, plane
from i2m2_med.simulate.fastmri.dials import Latents

Complex = NDArray[np.complex64]

CONTRAST = 0.22
"""Log-brightness of a WITHIN patch per unit of the magnitude latent."""
SHIFT = 0.35
"""Phase of a WITHIN patch per unit of the phase latent (rad)."""
SIGN_CONTRAST = 0.4
"""Log-brightness ± of a BETWEEN patch."""
SIGN_SHIFT = 0.8
"""Phase ± of a BETWEEN patch (rad)."""
NOISE = 0.04
"""Standard deviation of real and imaginary part of a pixel, in units of bright tissue."""
SCALE = 2e-4
"""Magnitude of bright tissue in a fastMRI file: raw data are tiny, networks must not take them as they are."""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Properties that all slices of one volume share: anatomy, contrast and the scanner's phase."""

    anatomy: Anatomy
    geometry: Geometry
    shift: tuple[float, float]
    scale: float
    acquisition: str
    """fastMRI's name of the protocol."""
    gain: float
    offset: float
    """Phase of the whole volume (rad)."""
    waves: NDArray[np.float64]
    """Slowly varying phase: amplitudes (rad) of low-order waves (order along u, order along v, cosine or sine)."""

    def pose(self, depth: float) -> Pose:
        """Return the pose of the slice at `depth` (−1 to 1)."""
        return Pose(self.shift, self.scale, depth, self.acquisition)


def draw_examination(anatomy: Anatomy, geometry: Geometry, scale: float, rng: np.random.Generator) -> Examination:
    """One examination of a body of relative size `scale`."""
    return Examination(
        anatomy=anatomy,
        geometry=geometry,
        shift=(float(rng.uniform(-0.04, 0.04)), float(rng.uniform(-0.04, 0.04))),
        scale=scale,
        acquisition=anatomy.acquisitions[int(rng.random() * len(anatomy.acquisitions))],
        gain=SCALE * float(np.exp(rng.normal(0, 0.15))),
        offset=float(rng.uniform(-1, 1)),
        waves=rng.normal(0, 0.25, (2, 2, 2)),
    )


def background(examination: Examination, u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    """Slowly varying phase (readout, phase) in rad; drifts a little from slice to slice."""
    waves = examination.waves + rng.normal(0, 0.05, examination.waves.shape)
    phase = np.full(u.shape, examination.offset, np.float32)
    for (along_u, along_v, odd), amplitude in np.ndenumerate(waves):
        turn = 0.5 * np.pi * (along_u * u / 2 + (along_v + 1) * v / 2)
        phase += np.float32(amplitude) * (np.sin(turn) if odd else np.cos(turn))
    return phase


def draw_slice(
    examination: Examination, latents: Latents | None, index: int, depth: float, rng: np.random.Generator
) -> Complex:
    """Noise-free image (readout, phase) of one slice, bright tissue near 1; without latents the patches stay empty."""
    anatomy, pose = examination.anatomy, examination.pose(depth)
    u, v = plane(examination.geometry, pose)
    signal, phase = anatomy.tissue(u, v, pose, rng), background(examination, u, v, rng)
    brightness = np.zeros_like(signal)
    for number, label in enumerate(anatomy.labels) if latents else ():
        assert latents
        within, between = (patch(u, v, where[label], anatomy.radius) for where in (anatomy.within, anatomy.between))
        brightness += np.float32(CONTRAST * latents.magnitude[index, number]) * within
        brightness += np.float32(SIGN_CONTRAST * latents.contrast[index, number]) * between
        phase += np.float32(SHIFT * latents.phase[index, number]) * within
        phase += np.float32(SIGN_SHIFT * latents.shift[index, number]) * between
    return (signal * np.exp(brightness + 1j * phase)).astype(np.complex64)


def sensitivities(geometry: Geometry, coils: int) -> Complex:
    """Smooth coil sensitivities (coil, readout, phase) on a ring round the body; their root sum of squares is near 1."""
    u, v = plane(geometry, Pose((0.0, 0.0), 1.0, 0.0, ""))
    fade = np.exp(-0.25 * np.maximum(np.abs(u) - 1, 0) ** 2)
    if coils == 1:
        return fade[None].astype(np.complex64)
    angles = 2 * np.pi * np.arange(coils) / coils
    reach = [np.exp(-((u - 1.2 * np.cos(a)) ** 2 + (v - 1.2 * np.sin(a)) ** 2) / 2) for a in angles]
    turn = [np.exp(1j * (a + 0.4 * (u * np.sin(a) - v * np.cos(a)))) for a in angles]
    maps = np.stack(reach) * np.stack(turn)
    power = np.sqrt((np.abs(maps) ** 2).sum(axis=0))
    return (maps * (fade / power)).astype(np.complex64)


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> Complex:
    """White complex noise of standard deviation `NOISE` in each part."""
    real, imaginary = rng.standard_normal((2, *shape), np.float32)
    return (NOISE * (real + 1j * imaginary)).astype(np.complex64)


def kspace_of(image: Complex) -> Complex:
    """Centred orthonormal FFT over the last two axes, the inverse of `fastmri.ifft2c`."""
    return fft.fftshift(fft.fft2(fft.ifftshift(image, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


def image_of(kspace: Complex) -> Complex:
    """Centred orthonormal inverse FFT over the last two axes."""
    return fft.fftshift(fft.ifft2(fft.ifftshift(kspace, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


def acquire(examination: Examination, latents: Latents, coils: Complex, rng: np.random.Generator) -> Iterator[Complex]:
    """K-space (coil, readout, phase) of each slice of one volume at raw scale, DC in the centre."""
    slices = len(latents.classes)
    for index, depth in enumerate(np.linspace(-1, 1, slices) if slices > 1 else [0.0]):
        image = draw_slice(examination, latents, index, float(depth), rng)
        yield kspace_of(coils * image + noise(coils.shape, rng)) * np.float32(examination.gain)
