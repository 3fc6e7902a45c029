"""Measured values → the grid of hours (or wider bins): (row, hour, channel) float32, with what was measured and how long ago."""

from typing import NamedTuple

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3.items import CHANNELS
from i2m2_med.sources.mimic3.measure import RAW_SAPS
from i2m2_med.sources.mimic3.settings import Settings

PAO2, FIO2, URINE = (RAW_SAPS.index(name) for name in ("pao2", "fio2", "urine"))


class Grid(NamedTuple):
    """Three arrays (row, hour, channel)."""

    value: np.ndarray
    """float64, in the channels' units; NaN where nothing is known."""
    mask: np.ndarray
    """bool: measured in that hour."""
    since: np.ndarray
    """float64: bins since last measured, 0 where measured in that bin; NaN where never yet."""


def series(values: pl.DataFrame, start: pl.DataFrame, settings: Settings) -> np.ndarray:
    """The modality `series`: (row, hour, channel × kinds) float32; all NaN in rows that were never measured.

    values: of `measure.measured`; start, in the order of rows: `row`, `start` (seconds from INTIME to hour 0), `last` (seconds to the last record).
    """
    grid = gridded(values, start, settings, start.height)
    return as_channels(with_ratio(grid, settings) if settings.channels == "saps12" else grid, settings)


def as_channels(grid: Grid, settings: Settings) -> np.ndarray:
    """The kinds of channels that the settings ask for, one behind the other; all NaN in rows without a value."""
    kinds = {"value": grid.value, "mask": grid.mask.astype(np.float64), "since": grid.since * settings.bin_hours}
    joined = np.concatenate([kinds[kind] for kind in settings.series_channels], axis=2)
    joined[~np.isfinite(grid.value).any(axis=(1, 2))] = np.nan
    return joined.astype(np.float32)


def channel_names(settings: Settings) -> list[str]:
    """Names along the last axis of the series."""
    names = CHANNELS[settings.channels]
    return [name if kind == "value" else f"{name}_{kind}" for kind in settings.series_channels for name in names]


def gridded(values: pl.DataFrame, start: pl.DataFrame, settings: Settings, n_rows: int) -> Grid:
    """Hourly cells, filled the way the settings say."""
    n_channels = len(RAW_SAPS) if settings.channels == "saps12" else len(CHANNELS["benchmark17"])
    cells = hourly(values, start, settings)
    shape = (n_rows, settings.n_bins, n_channels)
    return causal(cells, shape) if settings.fill == "causal" else whole_stay(cells, start, shape, settings)


def hourly(values: pl.DataFrame, start: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """One value per `row`, `channel`, `hour`: the mean (saps12) or the last (benchmark17) of the hour.

    Hour h is [h, h+1), with `bin_hours` as wide as that; closed, a value on the hour belongs to the hour before too, and none
    is after the last full hour.
    """
    width = 3600 * settings.bin_hours
    of_row = {name: start[name].gather(values["row"]) for name in ("start", "last")}
    placed = values.with_columns(at=pl.col("seconds") - of_row["start"], last=of_row["last"], start=of_row["start"])
    placed = placed.with_columns(hour=pl.col("at").floordiv(width))
    if settings.bins == "closed":
        twice = placed.filter(pl.col("at") % width == 0, pl.col("at") > 0).with_columns(hour=pl.col("hour") - 1)
        placed = pl.concat([placed, twice]).filter(pl.col("hour") < n_bins(settings))
    if settings.channels == "saps12":
        return placed.group_by("row", "channel", "hour").agg(pl.col("value").mean())
    placed = placed.sort("row", "channel", "hour", "seconds", "value") if settings.bins == "closed" else placed
    ends = pl.any_horizontal(pl.col(key) != pl.col(key).shift(-1) for key in ("row", "channel", "hour"))
    return placed.filter(ends.fill_null(True)).select("row", "channel", "hour", "value")


def n_bins(settings: Settings) -> pl.Expr:
    """Bins from the first record to the last, the last one begun counted as whole."""
    return ((pl.col("last") - pl.col("start")) / (3600 * settings.bin_hours)).ceil().cast(pl.Int64)


def causal(cells: pl.DataFrame, shape: tuple[int, int, int]) -> Grid:
    """The last value measured before, also from up to 6 h before hour 0; never one from after."""
    before = cells.filter(pl.col("hour") < 0).group_by("row", "channel").agg(pl.all().sort_by("hour").last())
    value, mask = scatter(cells, shape)
    seed, age = np.full((shape[0], 1, shape[2]), np.nan), np.full((shape[0], 1, shape[2]), np.nan)
    place = before["row"].to_numpy(), 0, before["channel"].to_numpy()
    seed[place], age[place] = before["value"].to_numpy(), -before["hour"].to_numpy()
    value = np.concatenate([seed, value], axis=1)
    known = np.isfinite(value)
    latest = np.maximum.accumulate(np.where(known, np.arange(shape[1] + 1)[None, :, None], 0), axis=1)
    filled = np.take_along_axis(value, latest, axis=1)[:, 1:]
    hour = np.arange(shape[1])[None, :, None]
    since = np.where(latest[:, 1:] > 0, hour - (latest[:, 1:] - 1), hour + age)
    return Grid(filled, mask, np.where(np.isfinite(filled), since, np.nan))


def whole_stay(cells: pl.DataFrame, start: pl.DataFrame, shape: tuple[int, int, int], settings: Settings) -> Grid:
    """As the published code fills: the last value, else the next one of the whole stay; urine with its mean over the stay."""
    cells = cells.filter(pl.col("hour") >= 0)
    after = cells.filter(pl.col("hour") >= shape[1]).group_by("row", "channel").agg(pl.all().sort_by("hour").first())
    mean = cells.group_by("row", "channel").agg(pl.col("value").mean())
    value, mask = scatter(cells, shape)
    since = causal(cells, shape).since
    later = np.full((shape[0], 1, shape[2]), np.nan)
    later[after["row"].to_numpy(), 0, after["channel"].to_numpy()] = after["value"].to_numpy()
    average = np.full((shape[0], 1, shape[2]), np.nan)
    average[mean["row"].to_numpy(), 0, mean["channel"].to_numpy()] = mean["value"].to_numpy()
    urine = np.where(np.isfinite(value), value, average)[..., URINE] if shape[2] == len(RAW_SAPS) else None
    filled = backward(forward(np.concatenate([value, later], axis=1)))[:, : shape[1]]
    if urine is not None:
        filled[..., URINE] = urine
    hours = start.select(n_bins(settings).clip(1, shape[1]).fill_null(1)).to_series().to_numpy()
    cut = np.minimum(np.arange(shape[1])[None, :], hours[:, None] - 1)  # a shorter stay repeats its last hour
    return Grid(np.take_along_axis(filled, cut[:, :, None], axis=1), mask, since)


def scatter(cells: pl.DataFrame, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the window as a dense array, NaN elsewhere; and where they are."""
    inside = cells.filter(pl.col("hour").is_between(0, shape[1] - 1))
    value = np.full(shape, np.nan)
    value[tuple(inside[axis].to_numpy() for axis in ("row", "hour", "channel"))] = inside["value"].to_numpy()
    return value, np.isfinite(value)


def forward(value: np.ndarray) -> np.ndarray:
    """Carry the last known value on along axis 1."""
    steps = np.arange(value.shape[1])[None, :, None]
    latest = np.maximum.accumulate(np.where(np.isfinite(value), steps, 0), axis=1)
    return np.take_along_axis(value, latest, axis=1)


def backward(value: np.ndarray) -> np.ndarray:
    """Carry the next known value back along axis 1."""
    return forward(value[:, ::-1])[:, ::-1]


def with_ratio(grid: Grid, settings: Settings) -> Grid:
    """PaO2 and FiO2 (channels 4, 5) folded into their ratio (mmHg per %); measured and since are the sample's (PaO2)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = grid.value[..., PAO2] / grid.value[..., FIO2]
    ratio[~np.isfinite(ratio)] = np.nan
    mask = grid.mask[..., PAO2]
    if settings.fill == "whole_stay":  # the published code imputes again: forward, then with the window's mean
        count = np.isfinite(ratio).sum(axis=1, keepdims=True)
        mean = np.where(count > 0, np.nansum(ratio, axis=1, keepdims=True) / np.maximum(count, 1), np.nan)
        carried = forward(ratio[..., None])[..., 0]
        ratio = np.where(np.isfinite(carried), carried, mean)
        mask = mask & grid.mask[..., FIO2]
    parts = {"value": ratio, "mask": mask, "since": grid.since[..., PAO2]}
    return Grid(*(fold(getattr(grid, kind), part) for kind, part in parts.items()))


def fold(channels: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Put the ratio where PaO2 was, and take FiO2 out."""
    return np.delete(
        np.concatenate([channels[..., :PAO2], ratio[..., None], channels[..., PAO2 + 1 :]], axis=2), FIO2, axis=2
    )
