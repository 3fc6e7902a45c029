"""The report of a comparison: every table, figure and page of it, from prediction tables and a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.files import replace_file
from i2m2_med.report.pages import figures
from i2m2_med.report.pages.comparison import cohort_sections, facts_of, result_sections
from i2m2_med.report.pages.html import Section, render_card, render_html
from i2m2_med.report.pages.left_out import left_out_section, left_out_table
from i2m2_med.report.pages.trust import draw_trust, judge_trust
from i2m2_med.report.pages.write import markdown, wide, write_tables
from i2m2_med.report.statistics.compare import Comparison, compare_tables
from i2m2_med.report.statistics.intervals import REPLICATES
from i2m2_med.report.statistics.paired_predictions import Cohort, Model, read_cohort


@dataclass(frozen=True)
class Report:
    """What was found and where it was written."""

    comparison: Comparison
    paths: dict[str, Path]
    """report.html, model_card.md, comparison.{csv,parquet,md,png}, reliability.png, and the further tables by name."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """paradigm, label, metric, value, low, high, seed (None: mean over seeds), labels_used."""
        return self.comparison.rows


def write_report(
    folder: Path,
    *,
    tables: Mapping[Model, pd.DataFrame],
    manifest: Mapping[str, Any],
    title: str,
    synthetic: bool = False,
    ideal: figures.Ideal | None = None,
    facts: Mapping[str, str] | None = None,
    metric: str = "auroc",
    split: str = "test",
    reference: str = "i2m2",
    replicates: int = REPLICATES,
    seed: int = 0,
    fingerprints: Mapping[Model, str] | None = None,
    further: tuple[Section, ...] = (),
) -> Report:
    """Compare {(paradigm, seed): prediction table} and write the report into `folder`.

    ideal: {paradigm: {label: AUROC}} of an ideal observer, drawn as a ceiling. facts: statements for the head of the page,
    such as the rule behind a label. metric: what the main figure shows. further: sections to add (diagnosis, shifts).
    Raises SourceError where the tables can't be paired.
    """
    found = compare_tables(
        tables, split=split, reference=reference, replicates=replicates, seed=seed, fingerprints=fingerprints
    )
    every = read_cohort(tables)
    left_out = left_out_table(every, replicates, seed) if split == "test" else pd.DataFrame()
    cohort = every.of(split)
    cohort = cohort.take(cohort.common)
    trust = judge_trust(every, split, reference, min(replicates, 1000), seed)
    pictures = {
        "comparison.png": figures.bars(found.rows, metric, title, ideal, synthetic),
        **draw_trust(trust, title, synthetic),
    }
    said = facts_of(manifest) | dict(facts or {})
    sections = [
        *result_sections(found, trust, pictures, metric, ideal, reference),
        *left_out_section(left_out, manifest),
        *further,
        *cohort_sections(manifest),
    ]
    card = card_values(cohort, found, manifest, title, synthetic, split, said)
    paths = write_tables(folder, found, trust, {"left_out": left_out} if len(left_out) else {})
    texts = {
        "report.html": render_html(title, sections, synthetic=synthetic, facts=said),
        "model_card.md": render_card(**card),
    }
    for name, content in (texts | pictures).items():
        paths[name] = folder / name
        with replace_file(paths[name]) as beside:
            beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Report(found, paths)


def card_values(
    cohort: Cohort,
    found: Comparison,
    manifest: Mapping[str, Any],
    title: str,
    synthetic: bool,
    split: str,
    said: Mapping[str, str],
) -> dict[str, Any]:
    """What the model card's template names."""
    return {
        "title": title,
        "synthetic": synthetic,
        "paradigms": cohort.paradigms,
        "labels": cohort.first.labels,
        "classes": cohort.first.classes,
        "facts": said,
        "flow": manifest.get("flow", []),
        "split": split,
        "samples": len(cohort.first.samples),
        "patients": cohort.first.samples["patient"].nunique(),
        "results": markdown(wide(pd.DataFrame(found.rows), ("auroc", "accuracy", "nll", "ece"))),
        "notes": found.notes,
    }
