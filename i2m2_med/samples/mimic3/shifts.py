"""Shifts of MIMIC-III: what the ward did not measure, measured in other units, or had not written down yet.

The grid is filled forward, so what is missing repeats what was known before; a channel never known is NaN. Numbers are
changed before they are standardised, with the training split's statistics.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples, acquired_rows
from i2m2_med.samples.shifts import Shift, Suite

SeriesArray = Float[np.ndarray, "sample hour channel"]
UNITS: Mapping[int, Callable[[Any], Any]] = {
    3: lambda celsius: celsius * 1.8 + 32,  # °C → °F
    6: lambda mg_dl: mg_dl * 0.357,  # urea nitrogen, mg/dL → mmol/L
    11: lambda mg_dl: mg_dl * 17.1,  # bilirubin, mg/dL → µmol/L
}
"""By channel of the paper's twelve: what a forgotten conversion does."""


def drop_sensors(series: SeriesArray, share: float, rng: np.random.Generator) -> SeriesArray:
    """Each study loses a share of its channels, never its last one that was measured."""
    order = rng.random((len(series), series.shape[2]))
    order[~np.isfinite(series).any(axis=1)] = 2.0  # channels that were never measured go last
    keep_at_least = order.argmin(axis=1)
    gone = order > np.quantile(order, 1 - share, axis=1, keepdims=True)
    gone[np.arange(len(gone)), keep_at_least] = False
    return np.where(gone[:, None], np.nan, series)


def thin(series: SeriesArray, share: float, rng: np.random.Generator) -> SeriesArray:
    """Charted in a share of the hours only: between them the last value stands. Hour 0 is always charted."""
    charted = rng.random(series.shape[:2]) < share
    charted[:, 0] = True
    last = np.maximum.accumulate(np.where(charted, np.arange(series.shape[1]), 0), axis=1)
    return np.take_along_axis(series, last[:, :, None], axis=1)


def mistake_units(series: SeriesArray, share: float, rng: np.random.Generator) -> SeriesArray:
    """A share of studies comes with temperature in °F, urea nitrogen in mmol/L and bilirubin in µmol/L."""
    if series.shape[2] != 12:
        raise ConfigError(f"the shift unit_errors knows the paper's 12 channels; these data have {series.shape[2]}")
    wrong, changed = rng.random(len(series)) < share, series.copy()
    for channel, convert in UNITS.items():
        changed[wrong, :, channel] = convert(series[wrong, :, channel])
    return changed


def cut_hours(series: SeriesArray, hours: float, _: np.random.Generator) -> SeriesArray:
    """Nothing is known of the last hours: they repeat the hour before them."""
    last = max(0, series.shape[1] - int(hours) - 1)
    changed = series.copy()
    changed[:, last:] = series[:, last : last + 1]
    return changed


def truncate_notes(notes: Int[np.ndarray, "sample chunk token"], share: float, _: np.random.Generator) -> np.ndarray:
    """Only the first `share` of each study's chunks that hold text is there (at least one)."""
    written = (notes != 0).any(axis=2).sum(axis=1)
    kept = np.maximum(1, np.ceil(share * written)).astype(int)
    return np.where(np.arange(notes.shape[1])[None, :, None] < kept[:, None, None], notes, 0)


def remove_section(notes: Int[np.ndarray, "sample chunk token"], share: float, rng: np.random.Generator) -> np.ndarray:
    """A run of chunks, `share` of those that hold text, is gone from the middle of each study's notes (one stays)."""
    written = (notes != 0).any(axis=2).sum(axis=1)
    size = np.minimum(np.ceil(share * written).astype(int), np.maximum(written - 1, 0))
    start = np.floor(rng.random(len(notes)) * (written - size + 1)).astype(int)
    chunk = np.arange(notes.shape[1])[None]
    gone = (chunk >= start[:, None]) & (chunk < (start + size)[:, None])
    return np.where(gone[:, :, None], 0, notes)


def changed_array(samples: Samples, severity: float, *, name: str, modality: str, change: Any) -> Samples:
    """The same samples with one modality's raw array changed, then standardised as before."""
    if modality not in samples.arrays:
        raise ConfigError(f"the shift {name} changes {modality}, which this run does not read")
    raw = unscaled(samples, modality)
    made = change(raw, severity, np.random.default_rng([len(name), *name.encode()]))
    array = samples.resident(modality, np.ascontiguousarray(made))
    shifted = samples.replaced(arrays=samples.arrays | {modality: array})
    if modality not in samples.presence:
        return shifted
    there = samples.presence[modality] & acquired_rows(torch.from_numpy(array))
    return shifted.replaced(presence=samples.presence | {modality: there})


def unscaled(samples: Samples, modality: str) -> np.ndarray:
    """A modality in its own units: memory-mapped arrays are, resident ones are scaled back (what was missing is the mean)."""
    array = samples.arrays[modality]
    if isinstance(array, np.memmap) or modality not in samples.state:
        return np.array(array)
    mean, std = (np.asarray(samples.state[modality][key]) for key in ("mean", "std"))
    return (array * std + mean).astype(np.float32)


def shift_of(
    modality: str, name: str, severities: tuple[float, ...], unit: str, change: Callable[..., np.ndarray]
) -> dict[str, Shift]:
    """A shift of one modality's array, by its name."""
    return {name: Shift(severities, unit, partial(changed_array, name=name, modality=modality, change=change))}


SUITE = Suite(
    "mimic3",
    shift_of("series", "sensors_dropped", (0.25, 0.5, 0.75), "share of channels", drop_sensors)
    | shift_of("series", "thinned", (0.5, 0.25, 0.1), "share of hours charted", thin)
    | shift_of("series", "unit_errors", (0.1, 0.3, 1.0), "share of studies", mistake_units)
    | shift_of("series", "last_hours_missing", (4.0, 8.0, 16.0), "hours", cut_hours)
    | shift_of("notes", "notes_truncated", (0.5, 0.25, 0.1), "share of chunks kept", truncate_notes)
    | shift_of("notes", "notes_section_removed", (0.25, 0.5, 0.75), "share of chunks removed", remove_section),
)
