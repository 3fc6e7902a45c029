"""The figure of information within and between modalities, as a file beside the page."""

import numpy as np
import pandas as pd

from i2m2_med.drawing import Figure, png
from i2m2_med.report.dependence.conditions import ALL
from i2m2_med.report.pages.diagnosis_page import KINDS
from i2m2_med.report.pages.figures import FIXED


def dependence_figure(table: pd.DataFrame, title: str, synthetic: bool) -> bytes:
    """Nats within and between modalities per label, all modalities shuffled together."""
    table = table[table["shuffled"] == ALL]
    labels = list(dict.fromkeys(table["label"]))
    figure = Figure(figsize=(max(5.2, 1.8 + 1.3 * len(labels)), 3.9), layout="constrained")
    axes = figure.subplots()
    for number, (kind, name) in enumerate(KINDS.items()):
        mine = table[table["kind"] == kind].set_index("label").reindex(labels)
        places = np.arange(len(labels)) + (number - 0.5) * 0.36
        value = mine["value"].to_numpy(dtype=np.float64)
        margin = value - mine["low"].to_numpy(dtype=np.float64)
        axes.bar(places, value, 0.32, color=FIXED[kind], label=name, zorder=2)
        axes.errorbar(places, value, margin, fmt="none", ecolor="#222222", elinewidth=1.1, capsize=2.5, zorder=3)
    axes.axhline(0, color="#555555", lw=1)
    axes.set_xticks(np.arange(len(labels)), labels)
    axes.set_ylabel("information (nats)")
    axes.grid(axis="y", color="#DDDDDD", lw=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return png(figure, synthetic)
