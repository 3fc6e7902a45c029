"""Sections of a report: results from a comparison, the cohort from its manifest."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.report.pages.figures import Ideal, nice
from i2m2_med.report.pages.html import Section, number
from i2m2_med.report.pages.trust import Trust
from i2m2_med.report.pages.write import SHOWN, wide, with_interval
from i2m2_med.report.statistics.bootstrap import MACRO
from i2m2_med.report.statistics.compare import Comparison
from i2m2_med.report.statistics.differences import BY_PATIENT, PATIENT_AUROC, PRIMARY, THESE_MODELS

PAIRED = ("auroc", "accuracy", "nll", PATIENT_AUROC)
HOW = (
    "Intervals (95 %) resample patients, with the same draws for every paradigm and label; a mean over seeds has the randomness of "
    "training in its interval too. Shares have Clopper and Pearson's interval on as many patients as their error is worth, AUROC "
    "Newcombe's, NLL and Brier one in their logarithm. AUROC and average precision rank samples on log-odds. Macro rows are means "
    "over the labels that define the metric. Lower is better for NLL (nats), Brier and ECE."
)
CHANCE = (
    "ECE has no interval: its sampling error is mostly bias. Beside it stands the range that a perfectly calibrated model of the same "
    "probabilities would show by chance (95 % of draws, from samples each by itself to a patient's samples as repeats of one): an ECE "
    "inside it tells nothing against the model. Average precision stands beside the prevalence, which it is without any skill."
)
ROLES = (
    "Student's t over patients and, with two seeds or more of both paradigms, over training; p is never below what so few patients "
    "can support (<). Only the primary comparison that the config names (`evaluation.primary`) is adjusted (Holm) and may be "
    "concluded from; everything else is exploratory and unadjusted. `patient_max_auroc` ranks each patient's highest score, which is "
    "another quantity than the AUROC of samples."
)
ONE_SEED = (
    "At least one paradigm was trained once, so these are statements about these trained models, not about the paradigms: another "
    "seed may turn them round. Three seeds of each (`seeds: [0, 1, 2]`) would allow a statement about the paradigms."
)


def result_sections(
    comparison: Comparison,
    *,
    trust: Trust,
    pictures: Mapping[str, bytes],
    metric: str,
    ideal: Ideal | None,
    reference: str,
) -> list[Section]:
    """Sections: comparison, paired differences, calibration, availability patterns, operating points, seeds."""
    rows = pd.DataFrame(comparison.rows)
    tables = [("All paradigms", wide(rows, SHOWN))]
    if ideal:
        tables.append(("AUROC beside the ideal observer's", ceiling_table(rows, ideal)))
    figure = f"{nice(metric)} per label and paradigm, 95 % intervals by patient"
    return [
        Section(
            "Comparison",
            [headline(comparison, reference), HOW, CHANCE],
            notes=comparison.notes,
            figures=[(figure, pictures["comparison.png"])],
            tables=tables,
        ),
        paired_section(comparison, reference),
        calibration_section(trust, pictures),
        Section(
            "Missing modalities",
            tables=[
                (
                    "Performance per availability pattern, mean over labels and seeds",
                    with_intervals(comparison.patterns),
                )
            ],
        ),
        operating_section(comparison, reference),
        Section(
            "Seeds and patient-level scores",
            ["The spread over training seeds is not sampling error: it stands beside it."],
            folded=[
                ("Mean and standard deviation over seeds", comparison.seeds),
                ("AUROC of each patient's highest score", with_intervals(comparison.patients)),
            ],
        ),
    ]


def calibration_section(trust: Trust, pictures: Mapping[str, bytes]) -> Section:
    """Reliability, calibration line, decision curve, conformal coverage; then subgroups."""
    captions = {
        "reliability.png": "Share that came true against the probability given",
        "decision.png": "Net benefit of deciding by the probability, against treating all or none",
    }
    tables = {
        "Intercept and slope of the truth's log-odds on those given, and calibration on average (0, 1, 0 and 1 are perfect)": trust.calibration,
        "Subgroups, and each minus all others; calls at the threshold chosen on validation for sensitivity": trust.subgroups,
        "Conformal sets: how often they hold the truth, and their size (`set`: per class, `set_split`: overall)": trust.coverage,
    }
    return Section(
        "Calibration, conformal sets and subgroups",
        figures=[(caption, pictures[name]) for name, caption in captions.items() if name in pictures],
        folded=[(caption, with_intervals(table)) for caption, table in tables.items() if len(table)],
    )


def headline(comparison: Comparison, reference: str) -> str:
    """The differences of the reference that conclusions may rest on, in one sentence per rival, and how far they reach."""
    paired = comparison.paired[comparison.paired["test"] == BY_PATIENT]
    chosen = paired[paired["role"] == PRIMARY]
    named = len(chosen) > 0
    if not named:
        auroc = paired[paired["metric"] == "auroc"]
        chosen = auroc[auroc["label"] == MACRO] if (auroc["label"] == MACRO).any() else auroc
    if not len(chosen):
        return "No paradigm of these is the reference, so no difference is tested."
    differences = chosen[["difference", "low", "high"]].astype(float).to_numpy()
    adjusted = chosen[["p_holm", "p_floor"]].astype(float).to_numpy()
    parts = [
        f"{nice(name)} by {with_interval(*row)}" + (f" (p {p_text(*p)}, Holm)" if named else "")
        for name, row, p in zip(chosen["paradigm"].astype(str), differences, adjusted, strict=True)
    ]
    metric = nice(str(chosen["metric"].iloc[0]))
    head = "Primary comparison" if named else "No primary comparison was named, so all of this is exploratory"
    return f"{head}: {metric} of {nice(reference)} minus that of {'; '.join(parts)} (mean over labels and seeds). {_reach(chosen)}"


def _reach(chosen: pd.DataFrame) -> str:
    """Whom the differences speak of, and what more seeds would allow."""
    if (chosen["scope"] == THESE_MODELS).any():
        return ONE_SEED
    share = float(chosen["refit_share"].astype(float).max())
    narrower = 1 - np.sqrt(1 - share / 2)
    return (
        f"These are statements about the paradigms as trained on these data: training makes up to {share:.0%} of a difference's "
        f"variance, so twice as many seeds would make its interval at least {narrower:.0%} narrower; only more patients shrink the rest."
    )


def paired_section(comparison: Comparison, reference: str) -> Section:
    """Differences with tests; what is not shown at once is folded."""
    table = shown_p(comparison.paired)
    main = table[table["metric"].isin(PAIRED)]
    return Section(
        "Paired differences",
        [f"{nice(reference)} minus the other paradigm, on the same patients. {ROLES}"],
        tables=[("Main metrics", with_intervals(main, "difference"))] if len(main) else [],
        folded=[("Every metric", with_intervals(table, "difference"))] if len(table) else [],
    )


def operating_section(comparison: Comparison, reference: str) -> Section:
    """Return the section of operating points: metrics at the reference's thresholds; those of all paradigms folded."""
    table = with_intervals(comparison.operating)
    own = table[(table["paradigm"] == reference) & table["metric"].isin(["sensitivity", "specificity"])]
    return Section(
        "Operating points",
        [
            "Thresholds were chosen on validation samples only, so that a new patient reaches what they were chosen for with at least "
            "that chance (the ⌈s (n + 1)⌉-th of n patients), and applied as they are; what they reach here stands beside them."
        ],
        tables=[(f"What the thresholds of {nice(reference)} reach", own)] if len(own) else [],
        folded=[("Thresholds of every paradigm and what they do", table)] if len(table) else [],
    )


def shown_p(table: pd.DataFrame) -> pd.DataFrame:
    """p-values as they are printed, with the floor that the sample can support, instead of the columns behind them."""
    words = {
        name: [p_text(*row) for row in table[[name, "p_floor"]].astype(float).to_numpy()] for name in ("p", "p_holm")
    }
    return table.assign(**words).drop(columns=["p_floor", "refit_share"])


def p_text(p: float, floor: float) -> str:
    """'0.034', or '< 0.0078' where the sample can't support less.

    >>> p_text(0.0078125, 0.0078125), p_text(0.034, 0.0078125)
    ('< 0.0078', '0.034')
    """
    if pd.isna(p):
        return "–"
    smallest = max(floor, 1e-4)
    return f"< {smallest:.2g}" if p <= smallest else f"{p:.2g}"


def with_intervals(table: pd.DataFrame, value: str = "value") -> pd.DataFrame:
    """The same table with value and interval in one column."""
    if not len(table):
        return table
    words = [with_interval(*row) for row in table[[value, "low", "high"]].astype(float).to_numpy()]
    place = list(table.columns).index(value)
    short = table.drop(columns=[value, "low", "high"])
    short.insert(place, value, words)
    return short


def ceiling_table(rows: pd.DataFrame, ideal: Ideal) -> pd.DataFrame:
    """AUROC reached and reachable per label and paradigm."""
    table = wide(rows, ("auroc",))
    ceilings = [
        ideal.get(paradigm, {}).get(label) for label, paradigm in zip(table["label"], table["paradigm"], strict=True)
    ]
    return table.assign(**{"ideal observer": ["–" if each is None else number(each) for each in ceilings]})


def facts_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Statements for the head of the page: task, cohort, what may not be claimed, the rules behind labels, versions."""
    facts = {"Task": manifest.get("task"), "Cohort fingerprint": str(manifest.get("fingerprint", "unknown"))[:16]}
    facts["Not to be claimed"] = " ".join(manifest.get("remarks", []))
    facts |= {f"Label '{label}'": rule for label, rule in manifest.get("label_rules", {}).items()}
    if versions := manifest.get("versions"):
        facts["Made with"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return {name: str(text) for name, text in facts.items() if text}


def cohort_sections(manifest: Mapping[str, Any]) -> list[Section]:
    """Return the section of the cohort: its flow, class counts per split, files left out and why, audits."""
    tables: list[tuple[str, pd.DataFrame]] = []
    if flow := manifest.get("flow"):
        tables.append(("Cohort flow", pd.DataFrame(flow)))
    if splits := manifest.get("splits"):
        tables.append(("Splits", split_table(splits)))
    if refused := manifest.get("refused"):
        tables.append(("Files left out", pd.DataFrame(refused)))
    audits = [f"{name}: {outcome}" for name, outcome in dict(manifest.get("audits", {})).items()]
    settings = manifest.get("settings", {}).get("source", {})
    folded = [
        (
            "Settings of the data",
            pd.DataFrame({"setting": list(settings), "value": [str(each) for each in settings.values()]}),
        )
    ]
    return [Section("Cohort", notes=audits, tables=tables, folded=folded if settings else [])]


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
