"""The page of a diagnosis, with the figure of information within and between modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.report.dependence.conditions import ALL
from i2m2_med.report.pages.comparison import with_intervals
from i2m2_med.report.pages.data import cohort_sections, facts_of, provenance_section
from i2m2_med.report.pages.glossary import GLOSSARY
from i2m2_med.report.pages.html import Plot, Section, render_html
from i2m2_med.report.pages.plots import amounts, points, rows_layout
from i2m2_med.report.pages.write import with_interval

NET = "net interaction"
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
    manifest: Mapping[str, Any],
    synthetic: bool,
    trained: str,
    ideal: str = "",
    shown: Sequence[Section] = (),
    provenance: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The page, self-contained. shown: sections of examples."""
    by_label = pd.DataFrame([{"label": name, "verdict": verdict} for name, verdict in verdicts.items()])
    sections = [
        Section(
            "Information",
            [TOGETHER],
            plots=[stacked_amounts(tables["interaction"])],
            tables=[("By label", by_label)]
            if len(by_label) > 2
            else [],  # overall and one label say the same, at the head
            folded=[("In nats", with_intervals(tables["interaction"]))],
        ),
        Section(
            "Modalities of other patients",
            [SHUFFLES],
            plots=dependence_plots(tables["dependence"]),
            folded=[("Every shuffle", with_intervals(tables["dependence"]))],
        ),
        Section(
            "One modality at a time",
            tables=[
                ("As the model says it: paired, one modality only, all shuffled", with_intervals(tables["conditions"]))
            ],
        ),
        *expert_sections(tables, trained),
        *shown,
        *cohort_sections(manifest),
        provenance_section(manifest, provenance),
        GLOSSARY,
    ]
    overall = verdicts["overall"]
    answer = f"{overall[:1].upper()}{overall[1:]}."
    return render_html(title, sections, synthetic=synthetic, answer=answer, reach=ideal, facts=facts_of(manifest))


def expert_sections(tables: Mapping[str, pd.DataFrame], trained: str) -> list[Section]:
    """Subsets of experts, redundant and unique parts of each pair, conflict between the experts."""
    return [
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


def stacked_amounts(table: pd.DataFrame) -> Plot:
    """Each modality alone and the net interaction, stacked: they add up to what all say together. table: of `interaction_table`."""
    labels = [str(label) for label in dict.fromkeys(table["label"])]
    by_kind = table.pivot(index="label", columns="kind", values="value").reindex(labels)
    kinds = [kind for kind in dict.fromkeys(table["kind"]) if str(kind).startswith("alone") or kind == NET]
    parts = {str(kind): by_kind[kind].to_numpy(dtype=np.float64).tolist() for kind in kinds}
    caption = "Nats: each modality alone, and the net interaction (left of zero: they repeat one another), add up to all together"
    plot = amounts(parts, caption, labels)
    total = table[table["kind"] == "total"].set_index("label").reindex(labels)
    ends = total[["value", "low", "high"]].astype(float).to_numpy()
    mark = points(ends, labels, colour="#888888", text=[with_interval(*row) for row in ends], name="together")
    return replace(plot, figure={"data": [*plot.figure["data"], mark], "layout": plot.figure["layout"]})


def dependence_plots(table: pd.DataFrame) -> list[Plot]:
    """Nats within and between modalities per label, all modalities shuffled together, with intervals over patients and seeds."""
    table = table[(table["shuffled"] == ALL) & table["kind"].isin(KINDS)]
    plots: list[Plot] = []
    for label, mine in table.groupby("label", sort=False):
        names = [KINDS[str(kind)] for kind in mine["kind"]]
        ends = mine[["value", "low", "high"]].astype(float).to_numpy()
        text = [with_interval(*row) for row in ends]
        said = "; ".join(f"{name} {words}" for name, words in zip(names, text, strict=True))
        trace = points(ends, names, colour="#0072B2", text=text, name="information")
        layout = rows_layout(names, zero=True)
        plots.append(Plot(f"{label}: nats, 95 % intervals", f"{label}: {said}", {"data": [trace], "layout": layout}))
    return plots


def parts_shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table of decompositions with value and interval in one column, and pairs named."""
    shown = table[["label"]].assign(pair=[f"{a} and {b}" for a, b in zip(table["first"], table["second"], strict=True)])
    for part in PARTS_NAMED:
        cells = table[[part, f"{part}_low", f"{part}_high"]].astype(float).to_numpy()
        shown[PARTS_NAMED[part]] = [with_interval(*cell) for cell in cells]
    return shown
