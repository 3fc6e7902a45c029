"""The diagnosis of a data set by a model: every table of it, and the page that tells them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.files import replace_file
from i2m2_med.report.conflict import conflict_summary, conflict_table
from i2m2_med.report.decomposition import decompose, parts_row
from i2m2_med.report.dependence import PAIRED, Shuffled, dependence, dependence_table, four_conditions
from i2m2_med.report.diagnosis_page import dependence_figure, diagnosis_page
from i2m2_med.report.retemper import heard, loss, prior_log_p, retemper
from i2m2_med.report.subsets import subset_tables
from i2m2_med.report.table import Predictions
from i2m2_med.report.verdict import verdicts

Reads = Mapping[str, Sequence[str]]
"""By expert: the modalities it reads."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found, and where it was written."""

    verdicts: dict[str, str]
    """`overall`, then by label."""
    tables: dict[str, pd.DataFrame]
    """dependence, conditions, subsets, shares, decomposition, conflicts, conflict."""
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
    draws: int = 1000,
) -> Diagnosis:
    """Diagnose and write diagnosis.html, dependence.png and the tables as CSV into `folder`.

    seeds: predictions by condition for each seed of one paradigm. alone: by modality, predictions of a model that was trained
    on it alone, where there is one (for the decomposition). trained: the mode of training, for the reader.
    """
    modalities = list(dict.fromkeys(modality for names in reads.values() for modality in names))
    said = [one[PAIRED] for one in seeds]
    found = dependence(seeds, modalities, draws)
    subsets, shares = subset_tables(said, draws)
    tables = {
        "dependence": dependence_table(found),
        "conditions": four_conditions(seeds, modalities, draws),
        "subsets": subsets,
        "shares": shares,
        "decomposition": decomposition_table(said[0], reads, alone or {}),
        "conflict": conflict_summary(said[0].of("test")),
        "conflicts": conflict_table(said[0].of("test")),
    }
    said_of = verdicts(found)
    picture = dependence_figure(tables["dependence"], title, synthetic)
    page = diagnosis_page(title, said_of, tables, picture, manifest, synthetic, trained)
    return Diagnosis(
        said_of, tables, _write(folder, tables, {"diagnosis.html": page.encode(), "dependence.png": picture})
    )


def decomposition_table(said: Predictions, reads: Reads, alone: Mapping[str, Predictions]) -> pd.DataFrame:
    """Redundant, unique and synergistic nats of every pair of modalities, on test samples.

    What a modality says alone comes from a model trained on it alone where there is one, else from the experts that read
    only it; what a pair says together, from the experts that read nothing else.
    """
    rows: list[dict[str, Any]] = []
    modalities = list(dict.fromkeys(modality for names in reads.values() for modality in names))
    for first, second in combinations(modalities, 2):
        together = [name for name, names in reads.items() if set(names) <= {first, second}]
        single = {each: [name for name, names in reads.items() if set(names) == {each}] for each in (first, second)}
        if not together or not all(single[each] or each in alone for each in single):
            continue
        for at, label in enumerate(said.labels):
            known = (said.samples["split"].to_numpy(dtype=str) == "test") & (said.target[:, at] >= 0)
            opinions = [
                _opinion(alone[each], at, ()) if each in alone else _opinion(said, at, single[each])
                for each in (first, second)
            ]
            joint = _nats(said, at, together, known)
            parts = decompose(np.exp(opinions[0][known]), np.exp(opinions[1][known]), said.target[known, at], joint)
            rows.append(parts_row(label, first, second, parts))
    return pd.DataFrame(
        rows, columns=["label", "first", "second", "redundant", "unique_first", "unique_second", "synergistic"]
    )


def _opinion(said: Predictions, label: int, experts: Sequence[str]) -> np.ndarray:
    """Log-probabilities (sample, classes) of some experts together (none named: of all), re-tempered on validation."""
    logs = heard(said, label)
    fit = said.samples["split"].to_numpy(dtype=str) == "valid"
    return retemper(np.stack([logs[name] for name in experts or logs]), said.target[:, label], fit)


def _nats(said: Predictions, label: int, experts: Sequence[str], rows: np.ndarray) -> float:
    """Information of some experts on the samples `rows`, against knowing the class shares only."""
    target = said.target[:, label]
    fit = said.samples["split"].to_numpy(dtype=str) == "valid"
    prior = loss(prior_log_p(target, fit, said.p.shape[2]), target)
    return float((prior - loss(_opinion(said, label, experts), target))[rows].mean())


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
