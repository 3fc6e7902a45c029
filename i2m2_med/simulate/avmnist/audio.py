"""A spoken digit in noise, as a spectrogram: 112 frames × 112 frequencies in bytes."""

import numpy as np

from i2m2_med.simulate.avmnist.inputs import RATE

SIDE = 112
"""Frames, and frequencies."""
FRAME = 128
"""Samples that one frame sees through its Hann window."""
FFT = 224
"""Length of the transform: 113 frequencies, of which DC is left out."""
RANGE_DB = 80.0
CLIP = 5 * RATE
"""Samples of a noise clip."""
LEAST, MOST = (0, 0.3, 0.5, 0), (2, 1, 8, 2 * np.pi)
"""Of a clip's colour, and of the depth, rate (Hz) and phase of its swelling."""


def noise_colour(seed: int, clip: int) -> float:
    """The exponent a of a clip's spectrum: 0 hisses, 2 rumbles."""
    return float(np.random.default_rng([seed, clip]).uniform(LEAST, MOST)[0])


def noise_clip(seed: int, clip: int) -> np.ndarray:
    """Coloured, modulated noise of unit power, 5 s: a spectrum ∝ 1/f^a, a from 0 (white) to 2, swelling 0.5 to 8 times a second."""
    draw = np.random.default_rng([seed, clip])
    colour, depth, rate, phase = draw.uniform(LEAST, MOST)
    spectrum = np.fft.rfft(draw.standard_normal(CLIP))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** (-colour / 2)
    spectrum[0] = 0
    swell = 1 + depth * np.sin(2 * np.pi * rate * np.arange(CLIP) / RATE + phase)
    noise = np.fft.irfft(spectrum, CLIP) * swell
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def with_noise(recording: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """The recording plus noise of the same length; both powers are means over the whole recording."""
    signal = recording.astype(np.float64)
    wanted = np.mean(signal**2) / 10 ** (snr_db / 10)
    return signal + noise * np.sqrt(wanted / np.mean(noise.astype(np.float64) ** 2))


def spectrogram(sound: np.ndarray) -> np.ndarray:
    """(samples,) → (112 frequencies, low ones first; 112 frames) uint8: 255 at the loudest point, 0 at 80 dB below it and less.

    Frames are spread evenly from the beginning to the end, so that a long and a short recording fill the picture alike.
    """
    padded = np.pad(sound, (0, max(0, FRAME - len(sound))))
    starts = np.linspace(0, len(padded) - FRAME, SIDE).round().astype(int)
    frames = padded[starts[:, None] + np.arange(FRAME)] * np.hanning(FRAME + 1)[:-1]
    magnitude = np.abs(np.fft.rfft(frames, FFT, axis=1))[:, 1:]
    loudest = magnitude.max()
    decibel = (
        20 * np.log10(np.maximum(magnitude, loudest * 1e-6) / loudest) if loudest else np.full_like(magnitude, -np.inf)
    )
    return (255 * (1 + decibel.T / RANGE_DB).clip(0, 1)).round().astype(np.uint8)
