"""Test sets that are parts of the test split, one sample in several of them perhaps: every paradigm on each, and their plain mean."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.report.pages.html import Section, number
from i2m2_med.report.statistics.bootstrap import Cube, Row, by_label, members, replicate_cube, supports_of
from i2m2_med.report.statistics.intervals import draw_weights, metric_interval
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.patterns import FEWEST
from i2m2_med.report.statistics.support import Support

AUDIT = "shifted test sets"
"""The audit in which a source names such sets: each is the samples that have a value in `group_<name>`."""
WHOLE, MEAN = "whole split", "plain mean of the sets"
SHOWN = ("accuracy", "soft_accuracy", "nll")
IDEAL_OBSERVERS = "ideal observers, who know how the data were simulated"
HOW = "Each set is a part of the test split, and sets overlap: a draw of patients is used for all of them, and for their plain mean."


def named_sets_table(
    every: PairedPredictions, manifest: Mapping[str, Any], split: str, replicates: int, seed: int = 0
) -> pd.DataFrame:
    """paradigm, label, metric, set, value, low, high: the mean over seeds, intervals by patient.

    Empty where the data name no sets; a set of fewer than ten patients is left out, of the mean too.
    """
    named = manifest.get("audits", {}).get(AUDIT, {})
    if not named:
        return pd.DataFrame()
    whole = every.of(split)
    whole = whole.take(whole.common)
    samples, everyone = whole.first.samples, pd.Index(whole.first.samples["patient"].drop_duplicates())
    inside = {name: samples[f"group_{name}"].notna().to_numpy() for name in named}
    weights = draw_weights(len(everyone), replicates, seed)
    cubes: dict[str, Cube] = {}
    supports: dict[str, dict[tuple[str, str], Support]] = {}
    for name, rows in {WHOLE: np.ones(len(samples), dtype=bool), **inside}.items():
        part = whole.take(rows)  # one at a time: together the sets are larger than the split
        who = pd.Index(part.first.samples["patient"].drop_duplicates())
        if len(who) < FEWEST:
            continue
        drawn = weights if who.equals(everyone) else weights[everyone.get_indexer(who)]
        cubes[name], supports[name] = replicate_cube(part, drawn), supports_of(part)
    if not cubes.keys() - {WHOLE}:
        return pd.DataFrame()
    cubes[MEAN] = np.mean([cube for name, cube in cubes.items() if name != WHOLE], axis=0)
    found: list[Row] = []
    for name, cube in cubes.items():
        support = supports.get(name, supports[WHOLE])
        for paradigm in whole.paradigms:
            for label, metric, draws, _ in by_label(whole, np.moveaxis(cube[members(whole, paradigm)], 0, -1)):
                head = {"paradigm": paradigm, "label": label, "metric": metric, "set": name}
                if metric in SHOWN:
                    found.append(head | metric_interval(metric, draws.T, support[label, metric])._asdict())
    return pd.DataFrame(found)


def named_sets_section(table: pd.DataFrame, manifest: Mapping[str, Any]) -> list[Section]:
    """A table for each metric, with a row for each set and a column for each paradigm; of simulated data the ideal observers' too."""
    if not len(table):
        return []
    numbers = table[["value", "low", "high"]].astype(float).to_numpy()
    words = table.assign(value=[in_short(*row) for row in numbers])
    order = {"set": list(dict.fromkeys(table["set"])), "paradigm": list(dict.fromkeys(table["paradigm"]))}
    alone = ["label"] if table["label"].nunique() == 1 else []
    shown = [
        (metric, part.pivot(index=["label", "set"], columns="paradigm", values="value")[order["paradigm"]])
        for metric, part in words.groupby("metric", sort=False)
    ]
    tables = [
        (str(metric), part.reindex(order["set"], level="set").reset_index().drop(columns=alone))
        for metric, part in shown
    ]
    best = ideal_accuracy(manifest, order["set"])
    ideal = [(f"accuracy of {IDEAL_OBSERVERS}", best)] if len(best) else []
    return [Section("Named test sets", [HOW], tables=[*tables[:1], *ideal], folded=tables[1:])]


def in_short(value: float, low: float, high: float) -> str:
    """Three decimals of a share and its interval: that it is 0.00065 or 0.00064 is of no interest here."""
    return "–" if np.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def ideal_accuracy(manifest: Mapping[str, Any], sets: Sequence[str]) -> pd.DataFrame:
    """set, and a column for each ideal observer of simulated data: its accuracy as the simulator computed it; empty for real data.

    What the simulator names otherwise than any set of the data is its whole test split.
    """
    accuracy, named = (manifest.get("ideal") or {}).get("accuracy", {}), manifest.get("audits", {}).get(AUDIT, {})
    if not accuracy:
        return pd.DataFrame()
    found = pd.DataFrame(accuracy).rename(index=lambda name: name if name in named else WHOLE)
    parts = [name for name in sets if name in found.index and name != WHOLE]
    found.loc[MEAN] = found.loc[parts].mean()
    return found.loc[[WHOLE, *parts, MEAN]].map(number).rename_axis("set").reset_index()
