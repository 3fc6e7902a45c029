"""From the cohort's stays to samples with their series: one sample per stay or admission, or one for every hour."""

from typing import NamedTuple

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3.cohort import SelectedStays, keep_long_enough, with_times
from i2m2_med.sources.mimic3.grid import series
from i2m2_med.sources.mimic3.hourly import hourly_samples, known_cells, windows
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.measure import charted_rows, measured
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.tasks import with_events
from i2m2_med.sources.source import Flow


class Sampled(NamedTuple):
    """Samples, and what was measured of them."""

    samples: pl.DataFrame
    """One row per sample, `row` counted from 0."""
    series: np.ndarray
    """(row, hour, channel) float32."""
    values: pl.DataFrame
    """`row` (of the cohort), `channel`, `value`: all that was measured."""
    kept: pl.Series
    """The rows of the cohort that have a sample."""


def sample(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings, flow: Flow) -> Sampled:
    """The task's samples."""
    return (hourly if settings.hourly else once)(tables, cohort, settings, flow)


def once(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings, flow: Flow) -> Sampled:
    """One sample per stay or admission."""
    values = measured(tables, cohort, settings, flow)
    span = values.group_by("row").agg(first=pl.col("seconds").min(), last=pl.col("seconds").max())
    timed = with_times(cohort.samples, settings, span)
    kept = keep_long_enough(timed, settings, flow)
    grid = series(values, timed.select("row", "start", "last"), settings)[kept["row"].to_numpy()]
    samples = kept.drop("row").with_row_index("row").with_columns(pl.col("row").cast(pl.Int32))
    return Sampled(samples, grid, values, kept["row"])


def hourly(tables: dict[str, Ingested], cohort: SelectedStays, settings: Settings, flow: Flow) -> Sampled:
    """A sample for every hour of a stay."""
    cells = known_cells(charted_rows(tables, cohort, settings, flow), settings)
    samples = hourly_samples(with_events(tables, cohort, settings), cells, settings, flow)
    return Sampled(samples, windows(cells, samples, settings), cells, samples["stay_row"].unique())
