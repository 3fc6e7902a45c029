"""Coverage of the concepts: which codes of each are there, in how many samples, and around which number."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from i2m2_med.sources.mimic3.items import CHANNELS, items_of
from i2m2_med.sources.mimic3.measure import RAW_SAPS
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.units import BENCHMARK, SAPS
from i2m2_med.sources.source import Coverage

FEWEST = 5
"""A median of fewer samples would tell of single patients."""


def coverage(
    values: pl.DataFrame,
    rows: pl.Series,
    counts: Mapping[str, Mapping[str, Any]],
    settings: Settings,
    called: Mapping[int, Sequence[str]],
) -> list[Coverage]:
    """One entry per series before PaO2 and FiO2 become one, in the order of the channels.

    values: of `measure.measured`; rows: those of the samples that were kept; counts: the manifest's rejections, by table and item;
    called: the codes that stand for an item, where they aren't its number.
    """
    saps = settings.channels == "saps12"
    names, concepts = (RAW_SAPS, SAPS) if saps else (CHANNELS[settings.channels], BENCHMARK)
    there = {int(item) for items in counts.values() for item in items}
    mapped = items_of(settings.channels, settings.items).select("concept", "item").unique().sort("item")
    own = values.filter(pl.col("row").is_in(rows.implode()))
    by_channel = {
        int(channel): (samples, median)
        for channel, samples, median in own.group_by("channel")
        .agg(pl.col("row").n_unique(), pl.col("value").median())
        .iter_rows()
    }
    in_data = [(concept, item) for concept, item in mapped.iter_rows() if item in there]
    table: list[Coverage] = []
    for number, name in enumerate(names):
        codes = [c for concept, item in in_data if is_of(concept, name) for c in called.get(item, [str(item)])]
        samples, median = by_channel.get(number, (0, None))
        enough = median is not None and samples >= FEWEST
        unit = next(iter(concepts[name].units))
        share = round(samples / max(rows.len(), 1), 4)
        table.append(Coverage(name, tuple(codes), share, round(float(median), 2) if enough else None, unit))  # type: ignore[arg-type]
    return table


def is_of(concept: str, name: str) -> bool:
    """Whether an item's concept goes into a series: its own, a part of it (`gcs_eye` of `gcs`, `fio2_lab` of `fio2`), or `so2` of
    an arterial sample into `spo2`.

    >>> is_of("gcs_eye", "gcs"), is_of("sbp", "sbp"), is_of("pao2_fio2", "pao2")
    (True, True, False)
    """
    return (
        concept == name
        or (concept, name) == ("so2", "spo2")
        or concept in (f"{name}_eye", f"{name}_motor", f"{name}_verbal", f"{name}_lab", f"{name}_chart")
    )
