"""The diagnosis of a data set by a model: every table of it, and the page that tells them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from i2m2_med.files import replace_file
from i2m2_med.report.dependence.conditions import PAIRED, Shuffled, dependence, dependence_table, four_conditions
from i2m2_med.report.dependence.conflict import conflict_summary, conflict_table
from i2m2_med.report.dependence.decomposition_table import Reads, decomposition_table
from i2m2_med.report.dependence.interaction import interaction_table, interactions
from i2m2_med.report.dependence.subsets import subset_tables
from i2m2_med.report.dependence.verdict import verdicts
from i2m2_med.report.pages.dependence_figure import dependence_figure
from i2m2_med.report.pages.diagnosis_page import diagnosis_page
from i2m2_med.report.pages.examples import example_sections
from i2m2_med.report.statistics.table import Predictions


@dataclass(frozen=True)
class Diagnosis:
    """Verdicts and tables of a diagnosis, and the paths they were written to."""

    verdicts: dict[str, str]
    """`overall`, then by label."""
    tables: dict[str, pd.DataFrame]
    """interaction, dependence, conditions, subsets, shares, decomposition, conflicts, conflict."""
    paths: dict[str, Path]


def write_diagnosis(
    folder: Path,
    *,
    seeds: Sequence[Shuffled],
    reads: Reads,
    manifest: Mapping[str, Any],
    title: str,
    synthetic: bool = False,
    alone: Mapping[str, Predictions] | None = None,
    trained: str = "joint",
    ideal: str = "",
    examples: Path | None = None,
    paradigm: str = "",
    provenance: Mapping[str, str] = MappingProxyType({}),
    classes: Sequence[str] = (),
    draws: int = 1000,
) -> Diagnosis:
    """Diagnose and write diagnosis.html, dependence.png and the tables as CSV into `folder`.

    seeds: predictions by condition for each seed of one paradigm. alone: by modality, predictions of a model that was trained
    on it alone, where there is one (for the decomposition). trained: the mode of training, for the reader; ideal: a sentence on
    what an ideal observer gets, where the data are simulated; examples: a folder of samples to look at, of `paradigm`'s first seed;
    provenance: what is said of the page's origin; classes: their names.
    """
    modalities = list(dict.fromkeys(modality for names in reads.values() for modality in names))
    paired = [one[PAIRED] for one in seeds]
    by_label = interactions(seeds, modalities, draws)
    subsets, shares = subset_tables(paired, draws)
    tables = {
        "interaction": interaction_table(by_label),
        "dependence": dependence_table(dependence(seeds, modalities, draws)),
        "conditions": four_conditions(seeds, modalities, draws),
        "subsets": subsets,
        "shares": shares,
        "decomposition": decomposition_table(seeds, reads, alone or {}),
        "conflict": conflict_summary(paired[0].of("test")),
        "conflicts": conflict_table(paired[0].of("test"), classes),
    }
    verdict_of = verdicts(by_label)
    picture = dependence_figure(tables["dependence"], title, synthetic)
    page = diagnosis_page(
        title,
        verdicts=verdict_of,
        tables=tables,
        manifest=manifest,
        synthetic=synthetic,
        trained=trained,
        ideal=ideal,
        shown=example_sections(examples, paradigm),
        provenance=provenance,
    )
    return Diagnosis(
        verdict_of, tables, _write(folder, tables, {"diagnosis.html": page.encode(), "dependence.png": picture})
    )


def _write(folder: Path, tables: Mapping[str, pd.DataFrame], contents: Mapping[str, bytes]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for name, table in tables.items():
        paths[name] = folder / f"{name}.csv"
        with replace_file(paths[name]) as beside:
            table.to_csv(beside, index=False)
    for name, content in contents.items():
        paths[name] = folder / name
        with replace_file(paths[name]) as beside:
            beside.write_bytes(content)
    return paths
