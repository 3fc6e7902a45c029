"""What the sections of a report say: results from a comparison, the cohort from its manifest."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from i2m2_med.report.pages.figures import Ideal, nice
from i2m2_med.report.pages.html import Section, number
from i2m2_med.report.pages.trust import Trust
from i2m2_med.report.pages.write import SHOWN, said, wide
from i2m2_med.report.statistics.compare import Comparison

PAIRED = ("auroc", "accuracy", "nll")
HOW = (
    "Intervals (95 %) come from a bootstrap that resamples patients, with the same draws for every paradigm and label; they are "
    "normal in the log-odds of a share, and in the logarithm of NLL. "
    "AUROC and average precision rank on log-odds. Macro rows are means over the labels that define the metric. "
    "Lower is better for NLL (nats), Brier and ECE."
)
CHANCE = (
    "ECE of chance is what a perfectly calibrated model of the same probabilities would show on so many samples (mean and 95 % of "
    "simulated draws): each sample by itself, and with a patient's samples as repeats of one. The truth lies between the two."
)


def result_sections(
    found: Comparison, trust: Trust, pictures: Mapping[str, bytes], metric: str, ideal: Ideal | None, reference: str
) -> list[Section]:
    """Comparison, paired differences, calibration, availability patterns, operating points, seeds."""
    rows = pd.DataFrame(found.rows)
    tables = [("All paradigms", wide(rows, SHOWN))]
    if ideal:
        tables.append(("AUROC beside the ideal observer's", ceiling_table(rows, ideal)))
    figure = f"{nice(metric)} per label and paradigm, 95 % intervals by patient"
    return [
        Section(
            "Comparison", [headline(found, reference), HOW], found.notes, [(figure, pictures["comparison.png"])], tables
        ),
        paired_section(found, reference),
        calibration_section(trust, pictures),
        Section(
            "Missing modalities",
            [CHANCE],
            tables=[("Performance per availability pattern, mean over labels and seeds", said_table(found.patterns))],
        ),
        Section(
            "Operating points",
            ["Thresholds were chosen on validation samples only and applied as they are."],
            folded=[("Thresholds and what they do", said_table(found.operating))],
        ),
        Section(
            "Seeds and patient-level scores",
            ["The spread over training seeds is not sampling error: it stands beside it."],
            folded=[
                ("Mean and standard deviation over seeds", found.seeds),
                ("AUROC of each patient's highest score, DeLong", said_table(found.patients)),
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
        "Intercept and slope of the truth's log-odds on those given (0 and 1 are perfect), intervals by patient": trust.calibration,
        "Subgroups, calls at the threshold chosen on validation for sensitivity": trust.subgroups,
        "Conformal sets: how often they hold the truth, and their size (`set`: per class, `set_split`: overall)": trust.coverage,
    }
    return Section(
        "Calibration, conformal sets and subgroups",
        figures=[(caption, pictures[name]) for name, caption in captions.items() if name in pictures],
        folded=[(caption, said_table(table)) for caption, table in tables.items() if len(table)],
    )


def headline(found: Comparison, reference: str) -> str:
    """The paired AUROC differences of the reference, in one sentence per rival."""
    table = found.paired[(found.paired["metric"] == "auroc") & found.paired["test"].str.startswith("bootstrap")]
    overall = table[table["label"] == "macro"] if (table["label"] == "macro").any() else table
    if not len(overall):
        return "No paradigm of these is the reference, so no difference is tested."
    differences = overall[["difference", "low", "high"]].astype(float).to_numpy()
    parts = [
        f"{nice(name)} by {said(*row)}" for name, row in zip(overall["paradigm"].astype(str), differences, strict=True)
    ]
    return f"AUROC of {nice(reference)} minus that of each other paradigm (mean over labels and seeds): {'; '.join(parts)}."


def paired_section(found: Comparison, reference: str) -> Section:
    """Differences with tests; what is not shown at once is folded."""
    table = found.paired
    main = table[table["metric"].isin(PAIRED)]
    text = [
        f"{nice(reference)} minus the other paradigm, on the same patients. Holm's adjustment is over labels × paradigms."
    ]
    folded = [("Every metric", said_table(table, "difference"))] if len(table) else []
    return Section(
        "Paired differences",
        text,
        tables=[("Main metrics", said_table(main, "difference"))] if len(main) else [],
        folded=folded,
    )


def said_table(table: pd.DataFrame, value: str = "value") -> pd.DataFrame:
    """The same table with value and interval in one column."""
    if not len(table):
        return table
    words = [said(*row) for row in table[[value, "low", "high"]].astype(float).to_numpy()]
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
    """Who is in the cohort, who was left out and why, class counts per split, and audits."""
    tables: list[tuple[str, pd.DataFrame]] = []
    if flow := manifest.get("flow"):
        tables.append(("Cohort flow", pd.DataFrame(flow)))
    if splits := manifest.get("splits"):
        tables.append(("Splits", split_table(splits)))
    if refused := manifest.get("refused"):
        tables.append(("Files left out", pd.DataFrame(refused)))
    audits = [f"{name}: {found}" for name, found in dict(manifest.get("audits", {})).items()]
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
