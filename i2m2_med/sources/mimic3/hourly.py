"""A sample for every hour of a stay: its window ends at the hour, and holds what was known by then.

A value counts from the hour in which it was stored (charted, where no time of storing is known or `available: charted`), so that
one grid of the stay holds the windows of all its samples. A value that is stored after a later one was known is not read.
"""

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.cohort import count, keep_alive
from i2m2_med.sources.mimic3.grid import Grid, as_channels, causal
from i2m2_med.sources.mimic3.items import CHANNELS
from i2m2_med.sources.mimic3.moments import AT_ONE_MOMENT, once_per_moment, with_arterial_saturation
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.source import Flow

STAYS_AT_ONCE = 256
"""Stays whose grids are in memory together."""


def known_cells(charted: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`row`, `channel` (number), `hour`, `value`: the latest value that each hour of a stay added to what was known.

    charted: of `measure.charted_rows`; row: the stay's.
    """
    of_lab = pl.col("concept").is_in(["so2", "specimen"])
    whole = pl.col("stored").filter(of_lab).max().over("row", "stay", "seconds")  # known once both are
    hour = pl.col("seconds").floordiv(3600)
    if settings.available == "stored":
        stored = pl.when(of_lab).then(whole).otherwise("stored")
        hour = pl.max_horizontal(hour, (stored + 3599).floordiv(3600) - 1)  # stored on the hour is known then
    rows = charted.with_columns(hour=hour)
    if settings.moments == "last_stored":
        rows = once_per_moment(rows, [*AT_ONE_MOMENT, "hour"])
    if settings.items != "published":
        rows = with_arterial_saturation(rows)
    number = {name: index for index, name in enumerate(CHANNELS[settings.channels])}
    named = rows.select(
        "row", "hour", "seconds", "value", channel=pl.col("concept").replace_strict(number, return_dtype=pl.Int32)
    )
    ordered = named.drop_nulls("value").sort("row", "channel", "hour", "seconds", "value")
    newest = ordered.filter(pl.col("seconds") >= pl.col("seconds").cum_max().over("row", "channel"))
    return newest.unique(["row", "channel", "hour"], keep="last", maintain_order=True).drop("seconds")


def hourly_samples(stays: pl.DataFrame, cells: pl.DataFrame, settings: Settings, flow: Flow) -> pl.DataFrame:
    """One row per stay and hour, in that order: columns of `stays` (of which `row` becomes `stay_row`), `hour`, and the times as of
    `cohort.with_times`.

    As in mimic3-benchmarks: from hour 5 to the end of the stay, once something is known. stays: one row each, with the `event`
    that ends a stay's samples.
    """
    first = cells.filter(pl.col("hour") >= 0).group_by("row").agg(known=pl.col("hour").min() + 1)
    seen = stays.join(first, on="row", maintain_order="left").filter(pl.col("OUTTIME").is_not_null())
    count(flow, "ICU stays: with a known end and something charted", stays, seen, "no OUTTIME, or nothing charted")
    length = (pl.col("OUTTIME") - pl.col("INTIME")).dt.total_seconds().floordiv(3600)
    last = length if settings.last_hour is None else pl.min_horizontal(length, pl.lit(settings.last_hour))
    hours = pl.int_ranges(pl.lit(settings.first_hour), last + 1, settings.every_hours)
    every = seen.with_columns(hour=hours).explode("hour").drop_nulls("hour").filter(pl.col("hour") >= pl.col("known"))
    timed = every.with_columns(start=(pl.col("hour") - settings.window_hours) * 3600).with_columns(
        origin=pl.col("INTIME") + pl.duration(seconds="start"), prediction=pl.col("INTIME") + pl.duration(hours="hour")
    )
    flow.step("samples: hours in the ICU", timed.height)
    alive = keep_alive(timed, settings, flow)
    before = alive.filter(pl.col("event").is_null() | (pl.col("event") > pl.col("prediction")))
    count(flow, "samples: before the event", alive, before, "it is over")
    if before.height == 0:
        raise SourceError("no sample is left after the cohort's rules; see the cohort flow, and loosen hours or age")
    numbered = before.rename({"row": "stay_row"}).sort("stay_row", "hour", maintain_order=True).with_row_index("row")
    return numbered.with_columns(pl.col("row").cast(pl.Int32))


def windows(cells: pl.DataFrame, samples: pl.DataFrame, settings: Settings) -> np.ndarray:
    """The modality `series` of hourly samples: (row, hour, channel × kinds) float32; hours before the admission are NaN.

    cells: of `known_cells`; samples: of `hourly_samples`.
    """
    length, n_channels = settings.window_hours, len(CHANNELS[settings.channels])
    series = np.empty((samples.height, length, n_channels * len(settings.series_channels)), np.float32)
    stay, hour = samples["stay_row"].to_numpy(), samples["hour"].to_numpy()
    names = np.unique(stay)
    for begin in range(0, len(names), STAYS_AT_ONCE):
        part = names[begin : begin + STAYS_AT_ONCE]
        rows = slice(*np.searchsorted(stay, [part[0], part[-1] + 1]))
        place = np.searchsorted(part, stay[rows])
        own = cells.filter(pl.col("row").is_in(part.tolist()))
        local = own.with_columns(pl.Series("row", np.searchsorted(part, own["row"].to_numpy()), pl.Int32))
        grid = causal(local, (len(part), int(hour[rows].max()), n_channels))
        cut = [
            sliding_window_view(ahead(kind, length), length, axis=1)[place, hour[rows]].swapaxes(1, 2) for kind in grid
        ]
        series[rows] = as_channels(Grid(*cut), settings)
    return series


def ahead(kind: np.ndarray, hours: int) -> np.ndarray:
    """(stay, hour, channel) with so many hours of nothing before the first."""
    nothing = np.zeros if kind.dtype == bool else lambda shape, dtype: np.full(shape, np.nan, dtype)
    return np.concatenate([nothing((kind.shape[0], hours, kind.shape[2]), kind.dtype), kind], axis=1)
