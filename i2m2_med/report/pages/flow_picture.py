"""The cohort flow as a picture: a box per step with what is kept, and beside it what was left out and why."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from i2m2_med.drawing import Figure, png

BOX = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "black", "linewidth": 0.9}


def draw_flow(flow: Sequence[Mapping[str, Any]], title: str, synthetic: bool = False) -> bytes:
    """PNG bytes. flow: the manifest's steps (step, kept, dropped, why), in their order; nobody is named in it.

    An arrow leads to a step whose kept and dropped are what the step before kept; others count something else.
    """
    figure = Figure(figsize=(9.0, 0.9 + 0.95 * len(flow)), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, 10)
    axes.set_ylim(-len(flow) + 0.4, 0.6)
    axes.set_title(title, loc="left", fontsize=11)
    arrow = {"arrowstyle": "-|>", "color": "black", "lw": 0.9, "shrinkA": 18, "shrinkB": 18}
    for row, step in enumerate(flow):
        if row and flow[row - 1]["kept"] == step["kept"] + step["dropped"]:
            axes.annotate("", (2.6, -row), (2.6, -row + 1), arrowprops=arrow)
        kept = textwrap.fill(f"{step['step']}: {step['kept']:,}", 40)
        axes.text(2.6, -row, kept, ha="center", va="center", fontsize=9, bbox=BOX)
        if step["dropped"]:
            why = textwrap.fill(f"left out {step['dropped']:,}: {step['why']}", 60)
            axes.text(5.4, -row, why, ha="left", va="center", fontsize=8.5, color="0.25")
    return png(figure, synthetic)
