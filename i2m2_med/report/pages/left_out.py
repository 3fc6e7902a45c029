"""A group that was left out of training (`split.test_group`), beside the rest, whom training did not see either."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.report.pages.html import Section
from i2m2_med.report.pages.write import with_interval
from i2m2_med.report.statistics.bootstrap import Row, by_label, members, replicate_cube, supports_of
from i2m2_med.report.statistics.intervals import Interval, difference_interval, draw_weights, metric_interval
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.patterns import FEWEST
from i2m2_med.report.statistics.refits import contrast, of_draws
from i2m2_med.report.statistics.support import Support

REST = "rest"
COLUMNS = ["paradigm", "label", "metric", "who", "value", "low", "high"]
SHOWN = ("auroc", "accuracy", "nll", "ece")
HOW = (
    "Trained without any sample of {group}, and judged on them (left out); the rest are samples of the other groups. Training saw "
    "none of their patients. Mean over seeds, intervals by patient."
)


def left_out_name(manifest: Mapping[str, Any]) -> str:
    """'acquisition = CORPDFS_FBK'; empty where nothing was left out."""
    groups = manifest.get("settings", {}).get("split", {}).get("test_group", {})
    left_out = {name: [value] if isinstance(value, str) else value for name, value in groups.items()}
    return ", ".join(f"{name} = {' or '.join(values)}" for name, values in left_out.items())


def held_apart(tables: Iterable[pd.DataFrame], manifest: Mapping[str, Any]) -> dict[str, list[pd.DataFrame]]:
    """By name, one table per seed: the group that was left out, and the rest; empty where nothing was left out."""
    every = list(tables)
    if not (group := left_out_name(manifest)) or not all((table["split"] == REST).any() for table in every):
        return {}
    names = {f"left out of training: {group}": "test", f"the rest beside {group}": REST}
    return {name: [table[table["split"] == split] for table in every] for name, split in names.items()}


def left_out_table(every: PairedPredictions, replicates: int, seed: int = 0) -> pd.DataFrame:
    """Every metric of each paradigm and label on `left out` (test) and `rest`, and `left out − rest`.

    Empty without `rest`, and where either holds fewer than ten patients.
    """
    parts = [every.of(split) for split in ("test", REST)]
    parts = [part.take(part.common) for part in parts]
    names = [part.first.samples["patient"].drop_duplicates() for part in parts]
    if min(map(len, names)) < FEWEST:
        return pd.DataFrame(columns=COLUMNS)
    both = pd.Index(pd.concat(names).drop_duplicates())  # who has samples of either is drawn once for both
    weights = draw_weights(len(both), replicates, seed)
    cubes = [
        replicate_cube(part, weights[both.get_indexer(pd.Index(who))]) for part, who in zip(parts, names, strict=True)
    ]
    rows: list[Row] = []
    supports = [supports_of(part) for part in parts]
    for paradigm in every.paradigms:
        own = members(every, paradigm)
        away, rest = (np.moveaxis(cube[own], 0, -1) for cube in cubes)
        for who, values in (("left out", away), ("rest", rest), ("left out − rest", away - rest)):
            for label, metric, draws, _ in by_label(parts[0], values):
                estimate = _interval(who, metric, draws.T, [one[label, metric] for one in supports])
                rows.append({"paradigm": paradigm, "label": label, "metric": metric, "who": who, **estimate._asdict()})
    return pd.DataFrame(rows, columns=COLUMNS)


def _interval(who: str, metric: str, draws: np.ndarray, supports: list[Support]) -> Interval:
    """Of draws (seed, draw) of the group, the rest or their difference, which stands on the smaller of the two."""
    if who != "left out − rest":
        return metric_interval(metric, draws, supports[who == "rest"])
    smaller = min(supports, key=lambda one: one.size)
    return difference_interval(metric, contrast([(1.0, of_draws(draws))], smaller.freedom), smaller)


def left_out_section(table: pd.DataFrame, manifest: Mapping[str, Any]) -> tuple[Section, ...]:
    """The section of a report; none where nothing was left out."""
    if not len(table):
        return ()
    words = [with_interval(*row) for row in table[["value", "low", "high"]].astype(float).to_numpy()]
    lines = table.assign(cell=words).pivot(index=["label", "paradigm", "metric"], columns="who", values="cell")
    order = pd.MultiIndex.from_frame(table[["label", "paradigm", "metric"]].drop_duplicates())
    wide = lines.reindex(order)[["left out", "rest", "left out − rest"]].reset_index().rename_axis(columns=None)
    group = left_out_name(manifest) or "the test group"
    return (
        Section(
            "Left out of training",
            [HOW.format(group=group)],
            tables=[(f"Left out: {group}", wide[wide["metric"].isin(SHOWN)])],
            folded=[("Every metric", wide)],
        ),
    )
