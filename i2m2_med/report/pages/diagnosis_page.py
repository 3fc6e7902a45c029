"""The page of a diagnosis, with the figure of information within and between modalities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.drawing import Figure
from i2m2_med.report.dependence.conditions import ALL
from i2m2_med.report.pages.comparison import facts_of, with_intervals
from i2m2_med.report.pages.figures import FIXED, png
from i2m2_med.report.pages.html import Section, render_html
from i2m2_med.report.pages.write import with_interval

KINDS = {"intra": "within modalities (intra)", "inter": "between modalities (inter)"}
SHUFFLES = (
    "Modalities are drawn anew from other patients. Among patients of the same label, what lies between the modalities is gone "
    "and what each says alone is kept; among all patients both are gone. Each condition is re-tempered on validation samples "
    "shuffled alike, so the differences in NLL are information, not the price of trusting a wrong input. A negative amount "
    "between modalities means that they repeat one another; what they share then counts more than once within them."
)
SHARES = (
    "Nats that the experts save against knowing the class shares only; Shapley shares average an expert's saving over all orders "
    "of joining. They are read off held-out losses, never off the size of logits. "
)
IDENTIFIABLE = {
    "joint": "These experts were trained jointly: how the product splits among them is not identifiable, so other seeds may share otherwise.",
    "separate": "These experts were trained separately.",
    "joint+aux": "These experts were trained jointly with a loss of their own each.",
}
PARTS = (
    "Redundant and unique information of each pair of modalities (the decomposition of Bertschinger et al., 2014), from held-out "
    "probabilities, with intervals over patients and seeds; of three modalities or more each pair is taken by itself. Synergy is shown "
    "as the excess over modalities that are independent given the label, since independent evidence has some synergy too; it needs "
    "two seeds and 300 test samples. "
)
PARTS_NAMED = {
    "redundant": "redundant",
    "unique_first": "unique to the first",
    "unique_second": "unique to the second",
    "excess_synergy": "synergistic (excess)",
}
TOGETHER = (
    "Together: nats saved against knowing the class shares only. Alone: the same with all other modalities taken from other patients. "
    "Net interaction = together − the sum of all alone = synergy − redundancy: above zero the modalities say more together than one by "
    "one, below zero they repeat one another. Between: what their relation adds to the same evidence made independent given the label. "
    "Beyond additive: what is lost when the model's log-probabilities are replaced by their best sum over single modalities (EMAP, "
    "Hessel and Lee 2020). All of it is what this model found in these data: a better model, or more data, may find more."
)
NO_PAIR = "No pair can be decomposed: each modality of it needs an expert, or a paradigm of the comparison, that reads it alone."


def diagnosis_page(
    title: str,
    *,
    verdicts: Mapping[str, str],
    tables: Mapping[str, pd.DataFrame],
    picture: bytes,
    manifest: Mapping[str, Any],
    synthetic: bool,
    trained: str,
) -> str:
    """The page, self-contained."""
    by_label = pd.DataFrame([{"label": name, "verdict": verdict} for name, verdict in verdicts.items()])
    sections = [
        Section(
            "Verdict",
            [verdicts["overall"], TOGETHER],
            tables=[("By label", by_label), ("In nats", with_intervals(tables["interaction"]))],
        ),
        Section(
            "Modalities of other patients",
            [SHUFFLES],
            figures=[("Information per label, 95 % intervals over patients and seeds", picture)],
            folded=[("Every shuffle", with_intervals(tables["dependence"]))],
        ),
        Section(
            "One modality at a time",
            tables=[
                ("As the model says it: paired, one modality only, all shuffled", with_intervals(tables["conditions"]))
            ],
        ),
        Section(
            "Subsets of experts",
            [SHARES + IDENTIFIABLE.get(trained, "")],
            tables=[("Shapley shares (nats)", with_intervals(tables["shares"]))],
            folded=[("Every subset", with_intervals(tables["subsets"]))],
        ),
        Section(
            "Redundant, unique, synergistic in excess",
            [PARTS],
            tables=[("In nats", parts) for parts in (parts_shown(tables["decomposition"]),) if len(parts)],
            notes=[] if len(tables["decomposition"]) else [NO_PAIR],
        ),
        Section(
            "Conflict",
            [
                "Jensen–Shannon divergence between what the experts say of a sample, in nats (two experts sure of different classes: 0.69)."
            ],
            tables=[("By label", tables["conflict"])],
            folded=[("Samples to look at", tables["conflicts"])],
        ),
    ]
    return render_html(title, sections, synthetic=synthetic, facts=facts_of(manifest))


def parts_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table of decompositions with value and interval in one column, and pairs named."""
    shown = table[["label"]].assign(pair=[f"{a} and {b}" for a, b in zip(table["first"], table["second"], strict=True)])
    for part in PARTS_NAMED:
        cells = table[[part, f"{part}_low", f"{part}_high"]].astype(float).to_numpy()
        shown[PARTS_NAMED[part]] = [with_interval(*cell) for cell in cells]
    return shown


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
