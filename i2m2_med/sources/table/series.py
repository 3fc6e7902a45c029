"""A long table of measurements → (row, hour, channel): the last value, whether one was measured, hours since it was."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.times import offset
from i2m2_med.sources.source import Flow
from i2m2_med.sources.table.columns import looks_dated, looks_numeric, numbers, typed
from i2m2_med.sources.table.people import bare
from i2m2_med.sources.table.reading import column, read_table
from i2m2_med.sources.table.settings import Series, Settings

MOST_ITEMS = 50
OWN = "__own"
"""The key of a study folder's own long table, which needs none."""
ZONE = r"(?i):\d{2}(?:[.,]\d+)? *(Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)$"
"""The zone behind a time of day."""
PARTS = 3
"""Numbers of a channel in an hour: value (the last one until then), measured (0/1), hours since."""


def key_of(settings: Settings, series: Series) -> str:
    """The column by which the tables are joined."""
    return series.by or settings.study or settings.patient


def long_table(settings: Settings, series: Series) -> pl.DataFrame:
    """The table of measurements as text. Raises SourceError where a column is missing, the one of time above all."""
    path = settings.root / series.series
    if not path.is_file():
        raise SourceError(
            f"{series.series} is not there; a series is a table of its own, with its path from source.root"
        )
    status = path.stat()
    table = cached_table(path, status.st_size, status.st_mtime_ns)
    if series.by == OWN:
        table = table.with_columns(pl.lit(OWN).alias(OWN))
    for name in (key_of(settings, series), series.time, series.value, series.name):
        column(table, name, path.name)
    return table


@lru_cache(maxsize=4)
def cached_table(path: Path, size: int, changed: int) -> pl.DataFrame:  # noqa: ARG001
    """A long table, read once as long as it stays the same."""
    return read_table(path)


def items_of(settings: Settings, series: Series) -> tuple[str, ...]:
    """The items that are channels where none are named: the most frequent ones, in the order of their names."""
    names = column(long_table(settings, series), series.name, series.series).drop_nulls()
    counted = names.value_counts(sort=True).sort("count", series.name, descending=[True, False])
    return tuple(sorted(counted[series.name].head(MOST_ITEMS).to_list()))


def series_array(table: pl.DataFrame, settings: Settings, modality: str, flow: Flow) -> np.ndarray:
    """(row, hour, 3 · channel) float32; NaN throughout where a study has no measurement in the window."""
    series: Series = settings.modalities[modality]  # type: ignore[assignment]
    if not series.series:  # a study folder without one
        return np.full((table.height, series.hours, PARTS * len(series.items or ())), np.nan, np.float32)
    key, where = key_of(settings, series), Path(series.series).name
    whole = long_table(settings, series)
    main = pl.DataFrame({"row": np.arange(table.height), "key": column(table, key, settings.table)})
    long = whole.filter(pl.col(key).is_in(main["key"].drop_nulls().implode()))
    values, report = numbers(long, series.value, where, settings.unreadable)
    frame = pl.DataFrame(
        {"key": long[key], "item": long[series.name], "value": values, "time": hours_of(long, series.time, where)}
    )
    timeless = frame["time"].null_count()
    frame = frame.drop_nulls()
    main = with_starts(main, frame, table, settings, series, dated=looks_dated(long[series.time]))
    hour = (pl.col("time") - pl.col("start")).floor().cast(pl.Int64, strict=False)
    joined = frame.join(main, on="key").with_columns(hour=hour)
    inside = joined.filter(pl.col("hour").is_between(0, series.hours - 1) & pl.col("item").is_in(series.items or ()))
    flow.audits[f"{modality}: measurements"] = {
        "read": whole.height,
        "of studies in the table": long.height,
        "without a time": timeless,
        "in the window and of its items": inside.height,
        "unreadable": report["unreadable"],
    }
    return grid(inside, table.height, series)


def with_starts(
    main: pl.DataFrame, frame: pl.DataFrame, table: pl.DataFrame, settings: Settings, series: Series, *, dated: bool
) -> pl.DataFrame:
    """`main` with the `start` of each row, in hours: the table's column, or else the first time (hours: 0)."""
    if series.start:
        zones = [zones_of(cells) for cells in (table[series.start], long_table(settings, series)[series.time])]
        if zones[0] != zones[1]:
            raise SourceError(
                f"{series.series}: '{series.time}' is of {zone_words(zones[1])}, '{series.start}' of {settings.table} is of "
                f"{zone_words(zones[0])}; write both in one zone"
            )
        return main.with_columns(start=hours_of(table, series.start, settings.table))
    if not dated:
        return main.with_columns(start=pl.lit(0.0))
    firsts = frame.group_by("key").agg(start=pl.col("time").min())
    return main.join(firsts, on="key", how="left", maintain_order="left")


def refuse_unmatched(table: pl.DataFrame, settings: Settings, series: Series) -> None:
    """Raise SourceError where the long table writes a name of the table in another way: it would be left out in silence."""
    key, long = key_of(settings, series), long_table(settings, series)
    keys = column(table, key, settings.table).drop_nulls()
    others = long[key].drop_nulls().unique()
    others = others.filter(~others.is_in(keys.implode()))
    alike = others.filter(bare(others).is_in(bare(keys).implode()))
    if alike.len() and key not in settings.allow:
        raise SourceError(
            f"{Path(series.series).name}: {alike.len()} '{key}' differ from those of {settings.table} only in case, leading zeros, "
            f"'.0' or blanks; write them alike, or, where they are meant, source.allow: [{key}]"
        )


def zones_of(cells: pl.Series) -> set[str | None]:
    """The time zones that a column's times name; None stands for times without one."""
    return {offset(zone) if zone else None for zone in cells.drop_nulls().str.extract(ZONE, 1).unique()}


def zone_words(zones: set[str | None]) -> str:
    """Time zones for a message."""
    named = sorted(zone for zone in zones if zone)[:5]
    return " and ".join([*(["no zone"] if None in zones else []), *(f"zone {zone}" for zone in named)]) or "no time"


def hours_of(table: pl.DataFrame, name: str, where: str) -> pl.Series:
    """A column of times in hours: numbers as they are, dates and times since 1970. Raises SourceError for anything else."""
    cells = column(table, name, where)
    if looks_numeric(cells) or not cells.len():
        return typed(cells, pl.Float64)[0]
    if len(zones := zones_of(cells)) > 1:
        raise SourceError(f"{where}: the times of '{name}' are of {zone_words(zones)}; write them in one zone")
    read, report = typed(cells, pl.Datetime)
    if report["unreadable"]:
        why = f": {report['why']}" if report["why"] else ""
        raise SourceError(
            f"{where}: {report['unreadable']} of {report['cells']} cells of '{name}' are neither hours nor times, such as {report['form']}{why}"
        )
    return read.dt.epoch("us") / 3.6e9


def grid(inside: pl.DataFrame, n_rows: int, series: Series) -> np.ndarray:
    """(row, hour, 3 · channel) of measurements: `row`, `hour`, `item`, `value`, `time`."""
    items: Sequence[str] = series.items or ()
    place = {item: at for at, item in enumerate(items)}
    last = inside.sort("time", maintain_order=True).group_by("row", "hour", "item").agg(pl.col("value").last())
    where = (
        last["row"].to_numpy(),
        last["hour"].to_numpy(),
        last["item"].replace_strict(place, return_dtype=pl.Int64).to_numpy(),
    )
    value = np.full((n_rows, series.hours, len(items)), np.nan, np.float32)
    value[where] = last["value"].to_numpy()
    measured = np.isfinite(value)
    at = np.where(measured, np.arange(series.hours)[None, :, None], -1)
    newest = np.maximum.accumulate(at, axis=1)
    carried = np.take_along_axis(value, np.maximum(newest, 0), axis=1)
    carried[newest < 0] = np.nan
    since = np.where(newest < 0, series.hours, np.arange(series.hours)[None, :, None] - newest).astype(np.float32)
    made = np.concatenate([carried, measured.astype(np.float32), since / series.hours], axis=2)
    made[~measured.any(axis=(1, 2))] = np.nan
    return made.astype(np.float32)
