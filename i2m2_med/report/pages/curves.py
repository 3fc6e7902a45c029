"""The section of training curves: loss on training and validation, and what the epoch was chosen by; a thin line per seed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from i2m2_med.report.pages.figures import nice
from i2m2_med.report.pages.html import Plot, Section
from i2m2_med.report.pages.plots import PALETTE, line, square_layout
from i2m2_med.report.statistics.metrics import LOWER_IS_BETTER
from i2m2_med.report.statistics.paired_predictions import Model

HOW = (
    "A thin line per seed (and learning rate, where several were tried). The training loss is what was minimised: summed over labels, "
    "with the experts' own losses, weights of classes and augmentation where the config has them, as a mean over an epoch in which "
    "weights move. Validation NLL is a mean over labels, so only the shapes of the two compare. The figure beside it is what the epoch "
    "was chosen by; a dot marks the epoch that was."
)
LOSSES = {"train_loss": ("training loss", PALETTE[0]), "valid_nll": ("validation NLL", PALETTE[1])}


def curve_sections(curves: Mapping[Model, pd.DataFrame], reference: str) -> list[Section]:
    """The reference's curves, those of other paradigms folded; none where none were recorded. curves: by (paradigm, seed)."""
    names = list(dict.fromkeys(name for (name, _), table in curves.items() if len(table)))
    plots = {name: paradigm_plots(name, curves) for name in names}
    others = [plot for name, each in plots.items() if name != reference for plot in each]
    return (
        [Section("Training curves", [HOW], plots=plots.get(reference, []), folded_plots={"Other paradigms": others})]
        if names
        else []
    )


def paradigm_plots(paradigm: str, curves: Mapping[Model, pd.DataFrame]) -> list[Plot]:
    """Two figures per stage: losses, and the metric that chose."""
    own = {seed: table for (name, seed), table in curves.items() if name == paradigm}
    stages = list(dict.fromkeys(stage for table in own.values() for stage in table["stage"]))
    plots: list[Plot] = []
    for stage in stages:
        lines = {
            f"seed {seed}, rate {rate:g}": part
            for seed, table in own.items()
            for rate, part in table[table["stage"] == stage].groupby("learning_rate", sort=False)
        }
        plots += [losses(paradigm, str(stage), lines), chosen(paradigm, str(stage), lines)]
    return plots


def losses(paradigm: str, stage: str, lines: Mapping[str, pd.DataFrame]) -> Plot:
    """Loss on training and validation against the epoch."""
    traces = [
        line(part["epoch"], part[column], name, colour, width=1.0)
        | {"legendgroup": name, "showlegend": at == 0, "text": who}
        for at, (who, part) in enumerate(lines.items())
        for column, (name, colour) in LOSSES.items()
    ]
    ends = "; ".join(
        f"{who}: from {part['valid_nll'].iloc[0]:.3g} to {part['valid_nll'].iloc[-1]:.3g} nats after {len(part)} epochs"
        for who, part in lines.items()
    )
    return Plot(
        f"{nice(paradigm)}, experts {stage}: loss",
        f"Validation loss of {nice(paradigm)}, {stage}, {ends}",
        {"data": traces, "layout": epochs_layout("loss (nats)", most(lines))},
    )


def chosen(paradigm: str, stage: str, lines: Mapping[str, pd.DataFrame]) -> Plot:
    """The metric that chose the epoch, with the epoch that was chosen."""
    metric = next(str(part["select"].iloc[0]) for part in lines.values())
    traces, words = list[dict[str, Any]](), list[str]()
    for who, part in lines.items():
        traces.append(line(part["epoch"], part["value"], who, PALETTE[2], width=1.0) | {"showlegend": False})
        known = part.dropna(subset="value")
        if len(known):
            best = known.sort_values("value", ascending=metric in LOWER_IS_BETTER, kind="stable").iloc[0]
            traces.append(dot(float(best["epoch"]), float(best["value"]), who))
            words.append(f"{who}: {best['value']:.3g} at epoch {best['epoch']:.0f}")
    return Plot(
        f"{nice(paradigm)}, experts {stage}: {nice(metric)} on validation",
        f"Best {nice(metric)} on validation of {nice(paradigm)}, {stage}: {'; '.join(words) or 'undefined'}",
        {"data": traces, "layout": epochs_layout(nice(metric), most(lines))},
    )


def most(lines: Mapping[str, pd.DataFrame]) -> int:
    """The epochs of the longest line."""
    return max(map(len, lines.values()))


def dot(epoch: float, value: float, who: str) -> dict[str, Any]:
    """The epoch that was chosen."""
    mark = {"size": 8, "color": PALETTE[2]}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [epoch],
        "y": [value],
        "name": f"{who}, chosen",
        "marker": mark,
    } | {"showlegend": False}


def epochs_layout(y: str, epochs: int) -> dict[str, Any]:
    """The layout of a curve over epochs."""
    layout = square_layout("epoch", y)
    layout["height"] = 320
    layout["legend"] |= {"y": -0.3}
    layout["xaxis"] |= {"range": None, "tick0": 1, "dtick": max(1, epochs // 6)}
    layout["yaxis"] |= {"range": None, "zeroline": False}
    return layout
