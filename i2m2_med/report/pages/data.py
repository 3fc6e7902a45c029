"""Sections on the data of a report: what it is of, the cohort from its first count, and where the numbers came from."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from i2m2_med.report.pages.html import Section


def facts_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Statements for the head of the page: task, cohort, what may not be claimed, the rules behind labels, versions."""
    facts = {"Task": manifest.get("task"), "Cohort fingerprint": str(manifest.get("fingerprint", "unknown"))[:16]}
    facts["Not to be claimed"] = " ".join(manifest.get("remarks", []))
    facts |= {f"Label '{label}'": rule for label, rule in manifest.get("label_rules", {}).items()}
    return {name: str(text) for name, text in facts.items() if text}


def cohort_sections(manifest: Mapping[str, Any]) -> list[Section]:
    """Return the section of the cohort: its flow, class counts per split, files left out and why, audits."""
    tables: list[tuple[str, pd.DataFrame]] = []
    if splits := manifest.get("splits"):
        tables.append(("Splits", split_table(splits)))
    if folds := manifest.get("folds"):
        each = {f"fold {at}: {name}": counts for at, one in enumerate(folds) for name, counts in one["splits"].items()}
        tables.append(("Folds", split_table(each)))
    if refused := manifest.get("refused"):
        tables.append(("Files left out", pd.DataFrame(refused)))
    audits = [f"{name}: {in_words(outcome)}" for name, outcome in dict(manifest.get("audits", {})).items()]
    settings = manifest.get("settings", {}).get("source", {})
    folded = [
        (
            "Settings of the data",
            pd.DataFrame({"setting": list(settings), "value": [str(each) for each in settings.values()]}),
        )
    ]
    return [
        Section(
            "Cohort", notes=audits, steps=manifest.get("flow", ()), tables=tables, folded=folded if settings else []
        )
    ]


def in_words(outcome: object) -> str:
    """What an audit found: of numbers by name, `name number, …`.

    >>> in_words({"QT": 1575, "KW": 1547})
    'QT 1,575, KW 1,547'
    """
    if isinstance(outcome, dict) and outcome and all(isinstance(each, int) for each in outcome.values()):  # pyright: ignore[reportUnknownVariableType]
        return ", ".join(f"{name} {count:,}" for name, count in outcome.items())  # pyright: ignore[reportUnknownVariableType]
    return str(outcome)  # pyright: ignore[reportUnknownArgumentType]


def split_table(splits: Mapping[str, Any]) -> pd.DataFrame:
    """Patients, studies, samples and class counts per split."""
    rows: list[dict[str, Any]] = []
    for name, counts in splits.items():
        row = {"split": name} | {kind: counts.get(kind) for kind in ("patients", "studies", "samples")}
        for label, classes in counts.get("classes", {}).items():
            row[label] = " / ".join(f"{cls} {n}" for cls, n in classes.items())
            if unknown := counts.get("unknown", {}).get(label):
                row[label] += f" / unknown {unknown}"
        rows.append(row)
    return pd.DataFrame(rows)


def provenance_section(
    manifest: Mapping[str, Any], provenance: Mapping[str, str], seeds: Sequence[int] = ()
) -> Section:
    """Return the section that says which runs, code, data and versions the numbers came from.

    provenance: of the run (`provenance.json`); it holds what differs from run to run, and no other section does.
    """
    versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
    data = {"Data fingerprint": str(manifest.get("fingerprint", "unknown")), "Data prepared with": versions}
    terms = dict(provenance) | data | {"Seeds": ", ".join(map(str, seeds))}
    return Section("Where the numbers came from", terms={name: text for name, text in terms.items() if text})
