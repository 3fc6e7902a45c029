"""The report of a comparison: every table, figure and page of it, from prediction tables and a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.files import replace_file
from i2m2_med.predictions import Rows
from i2m2_med.report.pages import figures
from i2m2_med.report.pages.answer import answer
from i2m2_med.report.pages.checklists import checklist_section, checklists_markdown, facts_for, filled
from i2m2_med.report.pages.comparison import detail_sections, evidence_sections, result_sections
from i2m2_med.report.pages.cost import cost_sections, cost_table
from i2m2_med.report.pages.curves import curve_sections
from i2m2_med.report.pages.data import cohort_sections, facts_of, provenance_section
from i2m2_med.report.pages.examples import example_sections
from i2m2_med.report.pages.glossary import GLOSSARY
from i2m2_med.report.pages.html import Section, render_card, render_html
from i2m2_med.report.pages.left_out import left_out_section, left_out_table
from i2m2_med.report.pages.named_sets import named_sets_section, named_sets_table
from i2m2_med.report.pages.trust import judge_trust
from i2m2_med.report.pages.write import markdown, wide, write_tables
from i2m2_med.report.statistics.compare import Comparison, compare_paired
from i2m2_med.report.statistics.intervals import REPLICATES
from i2m2_med.report.statistics.paired_predictions import Model, PairedPredictions, pair_predictions


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Prediction tables that are judged together, and everything that decides how."""

    tables: Mapping[Model, pd.DataFrame]
    """By (paradigm, seed)."""
    manifest: Mapping[str, Any]
    """Of the data that are judged."""
    title: str
    reference: str = "i2m2"
    """The paradigm that the others are paired with."""
    split: str = "test"
    metric: str | None = None
    """Of the main figure; the AUROC, or what epochs are chosen by, where not said."""
    synthetic: bool = False
    ideal: figures.Ideal | None = None
    """{paradigm: {label: AUROC}} of an ideal observer, drawn as a ceiling."""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Statements for the head of the page, such as the rule behind a label."""
    method: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sentences on inputs, model and training for the checklists (`method.py`)."""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where the numbers came from: runs, code, command."""
    fingerprints: Mapping[Model, str] | None = None
    """Of the data of each run, where the tables come from several: they have to be one."""
    costs: Mapping[Model, Mapping[str, int | float]] = field(default_factory=dict[Model, Mapping[str, int | float]])
    """`parameters`, `epochs` and `seconds` of each run's training; nothing where they are not known."""
    examples: Path | None = None
    """A folder of samples to look at, with pictures (`examples.py`), of the reference's first seed."""
    curves: Mapping[Model, pd.DataFrame] = field(default_factory=dict[Model, pd.DataFrame])
    """What training recorded after each epoch (`curves.csv` of each run)."""
    further: tuple[Section, ...] = ()
    """Sections to add (diagnosis, shifts)."""
    replicates: int = REPLICATES
    seed: int = 0
    evaluation: Evaluation = field(default_factory=Evaluation)
    """The primary comparison, the operating point and the population's class shares."""


@dataclass(frozen=True)
class WrittenReport:
    """The results of a report and its files."""

    comparison: Comparison
    paths: dict[str, Path]
    """report.html, model_card.md, comparison.{csv,parquet,md,png}, and the further tables by name."""
    verdict: str
    """The sentence that the report begins with, and how far it reaches."""

    @property
    def rows(self) -> Rows:
        """paradigm, label, metric, value, low, high, seed (None: mean over seeds), labels_used."""
        return self.comparison.rows


def write_report(folder: Path, evidence: Evidence) -> WrittenReport:
    """Compare the tables and write the report into `folder`. Raises SourceError where they can't be paired."""
    one, metric = evidence, evidence.metric or "auroc"
    every = pair_predictions(one.tables, one.fingerprints, one.evaluation.prior)
    comparison = compare_paired(every, one.split, one.reference, one.replicates, one.seed, one.evaluation)
    left_out = left_out_table(every, one.replicates, one.seed) if one.split == "test" else pd.DataFrame()
    draws, sensitivity = min(one.replicates, 1000), one.evaluation.sensitivity
    trust = judge_trust(
        every, split=one.split, reference=one.reference, draws=draws, seed=one.seed, sensitivity=sensitivity
    )
    named = named_sets_table(every, one.manifest, one.split, draws, one.seed)
    picture = figures.bars(comparison.rows, metric, one.title, one.ideal, one.synthetic)
    facts = facts_of(one.manifest) | dict(one.facts)
    judged = every.of(one.split)
    lists = filled(
        facts_for(
            one.manifest,
            one.method,
            comparison,
            judged,
            reference=one.reference,
            metric=metric,
            provenance=one.provenance,
            synthetic=one.synthetic,
        )
    )
    sections = [
        *result_sections(comparison, metric=metric, ideal=one.ideal, reference=one.reference),
        *evidence_sections(trust, judged),
        *one.further,
        *(example_sections(one.examples, one.reference) if one.split == "test" else []),
        *left_out_section(left_out, one.manifest),
        *named_sets_section(named, one.manifest),
        *detail_sections(comparison, trust, every, one.reference),
        *cohort_sections(one.manifest),
        *curve_sections(one.curves, one.reference),
        *cost_sections(one.costs),
        provenance_section(one.manifest, one.provenance, seeds=sorted({seed for _, seed in one.tables})),
        checklist_section(lists),
        GLOSSARY,
    ]
    answered, reach = answer(comparison, metric, one.reference)
    more = {"left_out": left_out, "named_sets": named, "cost": cost_table(one.costs), **lists}
    paths = write_tables(folder, comparison, trust, {name: table for name, table in more.items() if len(table)})
    page = render_html(one.title, sections, synthetic=one.synthetic, answer=answered, reach=reach, facts=facts)
    card = render_card(**card_values(one, every, comparison, facts))
    for name, content in {
        "report.html": page.encode(),
        "model_card.md": card.encode(),
        "checklists.md": checklists_markdown(one.title, lists).encode(),
        "comparison.png": picture,
    }.items():
        paths[name] = folder / name
        with replace_file(paths[name]) as beside:
            beside.write_bytes(content)
    return WrittenReport(comparison, paths, f"**{answered}** {reach}")


def card_values(
    evidence: Evidence, every: PairedPredictions, comparison: Comparison, facts: Mapping[str, str]
) -> dict[str, Any]:
    """Return the values that the model card's template names. every: the cohort of all splits."""
    judged = every.of(evidence.split)
    first = judged.take(judged.common).first
    return {
        "title": evidence.title,
        "synthetic": evidence.synthetic,
        "paradigms": judged.paradigms,
        "labels": first.labels,
        "classes": first.classes,
        "facts": facts,
        "flow": evidence.manifest.get("flow", []),
        "split": evidence.split,
        "samples": len(first.samples),
        "patients": first.samples["patient"].nunique(),
        "results": markdown(wide(pd.DataFrame(comparison.rows), ("auroc", "accuracy", "nll", "ece"))),
        "notes": comparison.notes,
    }
