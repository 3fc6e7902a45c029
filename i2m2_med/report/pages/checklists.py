"""TRIPOD+AI and STARD-AI, filled from the run as far as a run can know; the rest is marked for the authors.

Item numbers are those of Collins et al. (BMJ 2024;385:e078378) and Sounderajah et al. (Nat Med 2025;31:3283); what an item is about
stands in our own words, and the published checklists are what counts.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pandas as pd

from i2m2_med.report.pages.figures import nice
from i2m2_med.report.pages.html import Section, unmarked
from i2m2_med.report.pages.left_out import left_out_name
from i2m2_med.report.pages.write import markdown, with_interval
from i2m2_med.report.statistics.compare import Comparison
from i2m2_med.report.statistics.paired_predictions import PairedPredictions

MOST_CLASSES = 10
"""Of labels with more classes counts are not listed."""
AUTHOR = "TO COMPLETE BY AUTHOR"
CHECKLISTS = {"tripod_ai": "TRIPOD+AI", "stard_ai": "STARD-AI"}
HOW = (
    "What the run knows stands in the cell; what only its authors know is marked. Item numbers are the published ones, what an item is "
    "about is in our words: submit the published form. A filled cell says what was recorded, not that it is enough."
)


def filled(facts: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Both checklists by name: item, about, from the run."""
    return {name: fill(name, facts) for name in CHECKLISTS}


def fill(name: str, facts: Mapping[str, str]) -> pd.DataFrame:
    """One checklist (a CSV beside this code: item, about, names of facts, what is left to the authors)."""
    text = resources.files("i2m2_med.report") / "checklists" / f"{name}.csv"
    with text.open(encoding="utf-8") as file:
        items = pd.read_csv(file, dtype=str, keep_default_na=False)
    cells: list[str] = []
    for wanted, left in zip(items["facts"], items["left"], strict=True):
        known = [facts[each] for each in wanted.split("+") if facts.get(each)]
        rest = [] if known and not left else [f"{AUTHOR}: {left}." if left else f"{AUTHOR}."]
        cells.append(" ".join([*known, *rest]))
    return items[["item", "about"]].assign(**{"from the run": cells})


def checklist_section(lists: Mapping[str, pd.DataFrame]) -> Section:
    """The section of a report, both lists folded."""
    return Section("Reporting checklists", [HOW], folded=[(CHECKLISTS[name], table) for name, table in lists.items()])


def checklists_markdown(title: str, lists: Mapping[str, pd.DataFrame]) -> str:
    """Both checklists as one document."""
    parts = [f"## {CHECKLISTS[name]}\n\n{markdown(table)}\n" for name, table in lists.items()]
    return str(unmarked("\n".join([f"# Reporting checklists: {title}\n", HOW + "\n", *parts])))


def facts_for(
    manifest: Mapping[str, Any],
    method: Mapping[str, str],
    comparison: Comparison,
    judged: PairedPredictions,
    *,
    reference: str,
    metric: str,
    provenance: Mapping[str, str],
    synthetic: bool,
) -> dict[str, str]:
    """Sentences by what they are about, of the run's config (`method`), data and results."""
    settings = manifest.get("settings", {})
    first, groups = judged.first, settings.get("split", {})
    made = "simulated data" if synthetic else "data"
    shares = first.samples["pattern"].value_counts(normalize=True, sort=False).sort_index()
    seeds = {name: len(judged.seeds(name)) for name in judged.paradigms}
    return dict(method) | {
        "task": f"{manifest.get('task', 'Task')}: {', '.join(first.labels)}; classes {', '.join(class_names(manifest))}.",
        "outcome": " ".join(
            [f"Labels {', '.join(first.labels)}.", *(f"{name}: {rule}." for name, rule in manifest.get("label_rules", {}).items())]
        ),
        "source": f"{made.capitalize()} read by the source '{settings.get('source', {}).get('name', 'unknown')}'.",
        "flow": flow_words(manifest.get("flow", ())),
        "split": f"By patient{' in folds' if groups.get('folds') else ''}: {split_words(manifest)}.",
        "sample": f"{split_words(manifest)}.",
        "classes": class_words(manifest),
        "prevalence": class_words(manifest),
        "missing": "A modality that a sample lacks silences the experts that read it. Patterns on the judged split: "
        + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) + ".",
        "measures": f"{nice(metric)} first, then the other metrics and figures of this report; 95 % intervals resample patients.",
        "results": result_words(comparison, reference, metric),
        "subgroups": subgroup_words(list(first.samples.columns)),
        "seeds": "Training seeds: " + ", ".join(f"{nice(name)} {count}" for name, count in seeds.items()) + ".",
        "thresholds": threshold_words(comparison, reference),
        "operating": operating_words(comparison, reference),
        "indeterminate": "Every answered sample has a probability; conformal sets of none or several classes say that it is not told apart; refused samples are counted.",
        "left_out": f"Left out of training: {name}." if (name := left_out_name(manifest)) else "",
        "limits": " ".join(manifest.get("remarks", [])),
        "fingerprint": f"Fingerprint of the data {str(manifest.get('fingerprint', 'unknown'))[:16]}.",
        "code": provenance.get("Code", ""),
        "software": provenance.get("Versions", ""),
        "audit": "Predictions of every sample, config, manifest and model are artifacts of the run; `i2m2 verify` makes them again.",
    }  # fmt: skip


def flow_words(flow: Sequence[Mapping[str, Any]]) -> str:
    """The cohort flow in one sentence."""
    steps = [
        f"{step['step']}: {step['kept']:,}"
        + (f" ({step['dropped']:,} left out: {step['why']})" if step["dropped"] else "")
        for step in flow
    ]
    return "; ".join(steps) + "." if steps else ""


def split_words(manifest: Mapping[str, Any]) -> str:
    """Patients and samples of each split."""
    splits: Mapping[str, Mapping[str, Any]] = manifest.get("splits", {})
    return ", ".join(
        f"{name} {one['patients']:,} patients ({one['samples']:,} samples)" for name, one in splits.items()
    )


def class_words(manifest: Mapping[str, Any]) -> str:
    """Class counts of each split and label."""
    counts = [
        f"{split}, {label}: " + " / ".join(f"{cls} {n:,}" for cls, n in classes.items())
        for split, one in manifest.get("splits", {}).items()
        for label, classes in one.get("classes", {}).items()
        if len(classes) <= MOST_CLASSES
    ]
    return "; ".join(counts) + "." if counts else ""


def class_names(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the classes that were counted, in their order."""
    counted = [one.get("classes", {}).values() for one in manifest.get("splits", {}).values()]
    names = list(dict.fromkeys(name for labels in counted for classes in labels for name in classes))
    return names if len(names) <= MOST_CLASSES else [f"{len(names)} of them"]


def result_words(comparison: Comparison, reference: str, metric: str) -> str:
    """The reference's main metric of every label, with intervals."""
    rows = pd.DataFrame(comparison.rows)
    own = rows[(rows["paradigm"] == reference) & (rows["metric"] == metric)]
    own = own.sort_values("seed", na_position="first", kind="stable").drop_duplicates("label")
    cells = own[["value", "low", "high"]].astype(float).to_numpy()
    words = [f"{label} {with_interval(*cell)}" for label, cell in zip(own["label"], cells, strict=True)]
    return f"{nice(metric)} of {nice(reference)}: {'; '.join(words)}."


def subgroup_words(columns: Sequence[str]) -> str:
    """Which groups results are given by."""
    groups = [str(name).removeprefix("group_") for name in columns if str(name).startswith("group_")]
    return f"Results are given by {', '.join(groups)}." if groups else ""


def threshold_words(comparison: Comparison, reference: str) -> str:
    """Where thresholds came from."""
    own = comparison.operating
    if not len(own) or not (own["paradigm"] == reference).any():
        return ""
    return "Thresholds were chosen on validation before the test split was judged, and applied as they are."


def operating_words(comparison: Comparison, reference: str) -> str:
    """What the reference's thresholds reach."""
    table = comparison.operating
    if not len(table):
        return ""
    own = table[(table["paradigm"] == reference) & table["metric"].isin(["sensitivity", "specificity"])]
    own = own.sort_values("seed", na_position="first", kind="stable").drop_duplicates(["label", "chosen for", "metric"])
    cells = own[["value", "low", "high"]].astype(float).to_numpy()
    named = zip(own["label"], own["chosen for"], own["metric"], cells, strict=True)
    words = [
        f"{label} at the threshold for {aim}: {metric} {with_interval(*cell)}" for label, aim, metric, cell in named
    ]
    return "; ".join(words) + "." if words else ""
