"""Sections of a report: results from a comparison, the cohort from its manifest."""

from dataclasses import replace

import numpy as np
import pandas as pd

from i2m2_med.report.pages.answer import one_per_paradigm, p_text
from i2m2_med.report.pages.evidence_plots import decisions, discrimination, forest, reliability, values
from i2m2_med.report.pages.figures import Ideal, nice
from i2m2_med.report.pages.html import Plot, Section, number
from i2m2_med.report.pages.plots import amounts
from i2m2_med.report.pages.trust import Trust
from i2m2_med.report.pages.write import SHOWN, wide, with_interval
from i2m2_med.report.statistics.bootstrap import MACRO
from i2m2_med.report.statistics.compare import Comparison
from i2m2_med.report.statistics.differences import BY_PATIENT, PATIENT_AUROC
from i2m2_med.report.statistics.paired_predictions import PairedPredictions

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
BY_LABEL = "Figures by label"
FOLDED = (
    "Every patient is predicted by a model of a fold that had neither trained, nor chosen an epoch, nor been calibrated on them. Each "
    "fold's predictions are calibrated on its own validation, which puts them on one scale, and pooled: AUROC then also compares "
    "patients of different folds, needs no fold to hold both classes, and has all patients behind one number. The mean of folds, "
    "which compares within folds only, stands beside it."
)
FIRST_SEED = "Curves are of each paradigm's first seed."


def result_sections(comparison: Comparison, *, metric: str, ideal: Ideal | None, reference: str) -> list[Section]:
    """Differences to the reference first, then the paradigms' values, then what may not be claimed."""
    rows = pd.DataFrame(comparison.rows)
    shown = one_per_paradigm(rows, metric)
    labels = [str(label) for label in dict.fromkeys(shown["label"])]
    overall = MACRO if MACRO in labels else labels[0]
    named = {MACRO: "Mean over labels"}
    paired = comparison.paired[(comparison.paired["test"] == BY_PATIENT) & (comparison.paired["metric"] == metric)]
    each = {label: paired[paired["label"] == label] for label in labels}
    forests = [
        forest(part, reference, metric, named.get(label, label), wide=label == overall)
        for label, part in each.items()
        if len(part)
    ]
    best = ideal if metric == "auroc" else None  # an ideal observer's AUROC is no ceiling of another metric
    dots = [
        values(shown[shown["label"] == label], metric, label, named.get(label, label), best, wide=label == overall)
        for label in labels
    ]
    first = [plot for plot in forests if plot.wide], [plot for plot in forests if not plot.wide]
    second = [plot for plot in dots if plot.wide], [plot for plot in dots if not plot.wide]
    table = wide(rows, (metric,))
    table = table[table["label"] == overall].drop(columns="label")
    known = ideal if ideal and any(ideal.values()) else None
    ceilings = [("AUROC beside the ideal observer's", ceiling_table(rows, known))] if known else []
    return [
        Section("Differences", plots=first[0], folded_plots={BY_LABEL: first[1]}),
        Section(
            "Paradigms",
            plots=second[0],
            folded_plots={BY_LABEL: second[1]},
            tables=[(f"{nice(metric)}, {named.get(overall, overall)}", table)],
            folded=[("Every metric and label", wide(rows, SHOWN)), *ceilings],
        ),
        Section("How to read the numbers, and what may not be claimed", [HOW, CHANCE], notes=comparison.notes),
        paired_section(comparison, reference),
    ]


def evidence_sections(trust: Trust, judged: PairedPredictions) -> list[Section]:
    """ROC and precision–recall curves, reliability, decision curves; the tables of calibration and conformal sets folded."""
    drawn = [name for name in judged.paradigms if name in set(trust.reliability["paradigm"])]
    models = {(name, judged.seeds(name)[0]): judged.of_paradigm(name)[0] for name in drawn}
    rocs, recalls = discrimination(replace(judged, models=models).take(judged.common)) if models else ([], [])
    tables = {
        "Intercept and slope of the truth's log-odds on those given, and calibration on average (0, 1, 0 and 1 are perfect)": trust.calibration,
        "Conformal sets: how often they hold the truth, and their size (`set`: per class, `set_split`: overall)": trust.coverage,
    }
    folded = [(caption, with_intervals(table)) for caption, table in tables.items() if len(table)]
    return [
        Section("Telling apart", [FIRST_SEED], plots=rocs, folded_plots={"Precision and recall": recalls})
        if rocs
        else Section(""),
        Section(
            "Calibration, decisions, conformal sets",
            plots=reliability(trust.reliability) if len(trust.reliability) else [],
            folded_plots={"Decision curves": decisions(trust.decision)} if len(trust.decision) else {},
            folded=folded,
        ),
    ]


def detail_sections(comparison: Comparison, trust: Trust, every: PairedPredictions, reference: str) -> list[Section]:
    """Availability patterns, operating points, subgroups, seeds; only what these data have."""
    several = comparison.patterns["pattern"].nunique() > 1 if len(comparison.patterns) else False
    again = comparison.seeds["sd"].notna().any() if "sd" in comparison.seeds else False
    subgroups = "Subgroups, and each minus all others; calls at the threshold chosen on validation for sensitivity"
    return [
        Section(
            "Missing modalities",
            plots=[presence(every)] if several else [],
            tables=[
                (
                    "Performance per availability pattern, mean over labels and seeds",
                    with_intervals(comparison.patterns),
                )
            ]
            if several
            else [],
        ),
        operating_section(comparison, reference),
        *fold_section(comparison),
        Section("Subgroups", folded=[(subgroups, with_intervals(trust.subgroups))] if len(trust.subgroups) else []),
        Section(
            "Seeds and patient-level scores",
            ["The spread over training seeds is not sampling error: it stands beside it."] if again else [],
            folded=[
                *([("Mean and standard deviation over seeds", comparison.seeds)] if again else []),
                ("AUROC of each patient's highest score", with_intervals(comparison.patients)),
            ],
        ),
    ]


def presence(every: PairedPredictions) -> Plot:
    """How many samples of each split had which modalities."""
    counts = every.first.samples.groupby(["pattern", "split"]).size().unstack(fill_value=0)
    shares = counts / counts.sum()
    table = {str(split): shares[split].to_numpy(dtype=np.float64).tolist() for split in shares.columns}
    patterns = [str(name) for name in shares.index]
    plot = amounts(table, "Which modalities samples had, as a share of each split's samples", patterns)
    layout = dict(plot.figure["layout"]) | {"barmode": "group"}
    return replace(plot, figure={"data": plot.figure["data"], "layout": layout})


def paired_section(comparison: Comparison, reference: str) -> Section:
    """Differences with tests; what is not shown at once is folded."""
    table = shown_p(comparison.paired)
    if not len(table):
        return Section("Paired differences")
    main = table[table["metric"].isin(PAIRED)]
    return Section(
        "Paired differences",
        [f"{nice(reference)} minus the other paradigm, on the same patients. {ROLES}"],
        folded=[
            (name, with_intervals(part, "difference"))
            for name, part in {"Main metrics": main, "Every metric": table}.items()
            if len(part)
        ],
    )


def fold_section(comparison: Comparison) -> list[Section]:
    """Return the section of a cross-validation's folds; none outside of one."""
    if not len(comparison.folds):
        return []
    numbers = comparison.folds.select_dtypes("number").columns
    words = comparison.folds.assign(**{name: comparison.folds[name].map(number) for name in numbers})
    return [Section("Folds", [FOLDED], folded=[("Fold by fold, and pooled (mean over seeds)", words)])]


def operating_section(comparison: Comparison, reference: str) -> Section:
    """Return the section of operating points: metrics at the reference's thresholds; those of all paradigms folded."""
    if not len(comparison.operating):
        return Section("Operating points")
    table = with_intervals(comparison.operating)
    own = table[(table["paradigm"] == reference) & table["metric"].isin(["sensitivity", "specificity"])]
    return Section(
        "Operating points",
        [
            "Thresholds were chosen on validation samples only, so that a new patient reaches what they were chosen for with at least "
            "that chance (the ⌈s (n + 1)⌉-th of n patients), and applied as they are; what they reach here stands beside them."
        ],
        tables=[(f"What the thresholds of {nice(reference)} reach", own)] if len(own) else [],
        folded=[("Thresholds of every paradigm and what they do", table)],
    )


def shown_p(table: pd.DataFrame) -> pd.DataFrame:
    """p-values as they are printed, with the floor that the sample can support, instead of the columns behind them."""
    words = {
        name: [p_text(*row) for row in table[[name, "p_floor"]].astype(float).to_numpy()] for name in ("p", "p_holm")
    }
    return table.assign(**words).drop(columns=["p_floor", "refit_share"])


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
