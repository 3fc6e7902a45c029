"""Figures of a report, as PNG bytes. Drawn without a display; colours are Okabe and Ito's, told apart by the colour-blind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from i2m2_med.drawing import Figure, png

COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#999999",
    "#8C6D31",
    "#B03A78",
    "#7A6FD6",
    "#3A9A5B",
    "#B5524A",
    "#AA4499",
)
FIXED = {"intra": "#E69F00", "inter": "#009E73", "i2m2": "#D55E00"}
"""Paradigms of the paper keep their colour in every figure."""
NAMES = {
    "i2m2": "I2M2",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "nll": "negative log-likelihood (nats)",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
CHANCE = {"auroc": 0.5}
TREAT_ALL = "treat all"

Ideal = Mapping[str, Mapping[str, float]]
"""By paradigm, then label: the AUROC that an ideal observer reaches."""


def bars(
    rows: Sequence[Mapping[str, Any]], metric: str, title: str, ideal: Ideal | None = None, synthetic: bool = False
) -> bytes:
    """A metric per label and paradigm with 95 % intervals; with `ideal`, the ceiling as a black line over each bar.

    rows: as of `Comparison.rows`; the mean over seeds is drawn where there is one.
    """
    table = _one_per_bar(rows, metric)
    labels, paradigms = list(dict.fromkeys(table["label"])), list(dict.fromkeys(table["paradigm"]))
    figure = Figure(figsize=(max(6.4, 1.6 + 0.36 * len(labels) * (len(paradigms) + 1)), 4.4), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / len(paradigms)
    colours = paradigm_colours(paradigms)
    for number, paradigm in enumerate(paradigms):
        places = np.arange(len(labels)) + (number - (len(paradigms) - 1) / 2) * width
        mine = table[table["paradigm"] == paradigm].set_index("label").reindex(labels)
        _draw_bars(
            axes,
            places=places,
            mine=mine,
            width=width,
            colour=colours[paradigm],
            base=CHANCE.get(metric, 0.0),
            name=nice(paradigm),
        )
        if ideal and metric == "auroc":
            _draw_ceilings(axes, places, [ideal.get(paradigm, {}).get(label) for label in labels], width)
    _label_axes(axes, labels, metric, table)
    axes.set_title(title, loc="left", fontsize=11)
    handles, names = axes.get_legend_handles_labels()
    if ideal and any(ideal.values()) and metric == "auroc":
        handles, names = [*handles, Line2D([], [], color="black", lw=2)], [*names, "ideal observer"]
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(len(names), int(figure.get_figwidth() // 1.7)),
        frameon=False,
        fontsize=9,
    )
    return png(figure, synthetic)


def paradigm_colours(paradigms: Sequence[str]) -> dict[str, str]:
    """A colour per paradigm: the paper's are fixed, the others take what is left, in order."""
    free = [colour for colour in COLOURS if colour not in FIXED.values()]
    others = [paradigm for paradigm in paradigms if paradigm not in FIXED]
    return {name: FIXED.get(name) or free[others.index(name) % len(free)] for name in paradigms}


def nice(name: str) -> str:
    """Return the name of a paradigm or metric as figures show it."""
    return NAMES.get(name, name.replace("_", " "))


def _one_per_bar(rows: Sequence[Mapping[str, Any]], metric: str) -> pd.DataFrame:
    """One row per paradigm and label: the mean over seeds, or the only seed."""
    table = pd.DataFrame(rows)
    table = table[table["metric"] == metric].astype({"value": float, "low": float, "high": float})
    table = table.assign(mean=table["seed"].isna()).sort_values("mean", ascending=False, kind="stable")
    return table.drop_duplicates(["paradigm", "label"]).sort_index()


def _draw_bars(
    axes: Axes, *, places: np.ndarray, mine: pd.DataFrame, width: float, colour: str, base: float, name: str
) -> None:
    value = mine["value"].to_numpy(dtype=np.float64)
    reach = np.abs(np.stack([value - mine["low"], mine["high"] - value]).astype(np.float64))
    axes.bar(places, value - base, width * 0.9, bottom=base, color=colour, label=name, zorder=2)
    there = np.isfinite(reach).all(axis=0)
    axes.errorbar(
        places[there],
        value[there],
        yerr=reach[:, there],
        fmt="none",
        ecolor="#222222",
        elinewidth=1.1,
        capsize=2.5,
        zorder=3,
    )
    for place in places[~np.isfinite(value)]:
        axes.text(place, base, " undefined", rotation=90, fontsize=7, ha="center", va="bottom", color="#555555")


def _draw_ceilings(axes: Axes, places: np.ndarray, ceilings: list[float | None], width: float) -> None:
    for place, ceiling in zip(places, ceilings, strict=True):
        if ceiling is not None:
            axes.hlines(ceiling, place - width * 0.45, place + width * 0.45, color="black", lw=2, zorder=4)


def _label_axes(axes: Axes, labels: list[str], metric: str, table: pd.DataFrame) -> None:
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylabel(nice(metric))
    axes.grid(axis="y", color="#DDDDDD", lw=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    if metric == "auroc":
        lowest = float(np.nanmin([0.5, *table["low"], *table["value"]]))
        axes.set_ylim(max(0.0, np.floor((lowest - 0.02) * 20) / 20), 1.005)
        axes.axhline(0.5, color="#555555", lw=1, ls="--", zorder=1)
        axes.annotate("chance", (0.005, 0.5), xycoords=("axes fraction", "data"), fontsize=8, color="#555555", va="top")
