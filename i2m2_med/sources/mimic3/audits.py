"""The manifest's audits of the data: rejections per item, ids that resolve nowhere, missingness, leaks, the database's trace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3.completeness import check_complete
from i2m2_med.sources.mimic3.grid import channel_names
from i2m2_med.sources.mimic3.icd9 import check_codes
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.items import in_range, items_of, number_of, rules_of, unit_fits
from i2m2_med.sources.mimic3.judging import judge_units, judge_zones
from i2m2_med.sources.mimic3.measure import EVENTS, as_events
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.static import CANCER, COMORBIDITIES, STATIC
from i2m2_med.sources.mimic3.tables import table_named
from i2m2_med.sources.source import Flow

LEAK_PRECISION, LEAK_POSITIVES = 0.95, 5
"""A flag that says yes to at least so many labelled patients and is right this often stands for the label."""
FEWEST_TO_PROBE = 20


def audit_ingest(
    tables: dict[str, Ingested], files: dict[str, Path], settings: Settings, flow: Flow, held_to_release: bool
) -> None:
    """Row counts of every table, held against the release that is meant; zones, codes, units; rejections per item."""
    flow.audits["tables"] = {name: table.counts for name, table in tables.items()}
    for name, table in tables.items():
        unit = "of mapped items" if table_named(name).by_item else "all"
        read, kept = table.counts["rows_read"], table.counts["rows_kept"]
        flow.step(f"{name}: rows kept ({unit})", kept, read - kept, "other items, repeated rows" if read > kept else "")
    judge_zones(tables, flow)
    check_complete(tables, files, settings.unreadable, flow, held_to_release)
    check_codes(tables["DIAGNOSES_ICD"], files["DIAGNOSES_ICD"].name, settings.unreadable, flow)
    if settings.items != "published":  # which reads no units
        for name in EVENTS:
            judge_units(name, files[name], tables[name], settings, flow)
    flow.audits["available"] = {name: availability(tables[name], settings) for name in EVENTS}
    flow.audits["items"] = {name: rejections(name, tables[name], settings) for name in EVENTS}
    flow.audits["unresolved"] = {name: unresolved(tables[name], tables["PATIENTS"]) for name in EVENTS}


def availability(table: Ingested, settings: Settings) -> str:
    """Return the column that says since when a table's values are known, and why it is that one."""
    known = table.scan().select(pl.col("STORETIME").is_not_null().any()).collect().item()
    if settings.available == "charted":
        return "CHARTTIME, as asked"
    return "STORETIME" if known else "CHARTTIME: the table has no STORETIME"


def rejections(name: str, table: Ingested, settings: Settings) -> dict[str, dict[str, int]]:
    """By item: rows, and how many of them are marked as errors, have no time, no number, another unit, or lie out of range."""
    known = items_of(settings.channels, settings.items).filter(pl.col("table") == name)
    no_number = pl.col("number").is_null() & (pl.col("converter").fill_null("") != "text")
    reasons = {
        "marked as error": pl.col("ERROR"),
        "no time": pl.col("CHARTTIME").is_null(),
        "no number": no_number,
        "other unit": ~unit_fits(),
        "out of range": ~in_range().fill_null(True),
    }
    counted = (
        as_events(table, name)
        .join(rules_of(known), on="ITEMID")
        .with_columns(number=number_of())
        .group_by("ITEMID")
        .agg(pl.len().alias("rows"), *(rule.sum().alias(reason) for reason, rule in reasons.items()))
        .sort("ITEMID")
        .collect(engine="streaming")
    )
    return {str(row.pop("ITEMID")): {why: n for why, n in row.items() if n} for row in counted.iter_rows(named=True)}


def unresolved(table: Ingested, patients: Ingested) -> int:
    """Rows whose patient is in no PATIENTS row: they can't be joined to anybody."""
    rows = table.scan().select("SUBJECT_ID")
    return (
        rows.join(patients.scan().select("SUBJECT_ID"), on="SUBJECT_ID", how="anti").select(pl.len()).collect().item()
    )


def audit_splits(
    records: pl.DataFrame, arrays: dict[str, np.ndarray], settings: Settings, labels: Sequence[str]
) -> dict[str, Any]:
    """Return the audits that need every record's split: `missing`, `static_vs_label` (of several labels: by label), `database_probe`."""
    static = np.asarray(arrays["static"])
    against = {label: static_against_label(records, static, settings, label) for label in labels}
    names = channel_names(settings)
    parts = {split: np.flatnonzero((records["split"] == split).to_numpy()) for split in ("train", "valid", "test")}
    return {
        "missing": {
            split: missing(np.asarray(arrays["series"])[rows], names) for split, rows in parts.items() if len(rows)
        },
        "static_vs_label": against if len(labels) > 1 else against[labels[0]],
        "database_probe": database_probe(records, np.asarray(arrays["series"])),
    }


def missing(series: np.ndarray, names: list[str]) -> dict[str, float]:
    """Share of samples in which a channel is never known, by channel."""
    never = ~np.isfinite(series).any(axis=1)
    return {name: round(float(share), 4) for name, share in zip(names, never.mean(axis=0), strict=True)}


def static_against_label(records: pl.DataFrame, static: np.ndarray, settings: Settings, label: str) -> dict[str, Any]:
    """How well each 0/1 flag alone tells the label (precision, recall of a positive class), and which flags leak it.

    A flag taken from this admission's own discharge codes leaks an ICD-9 task by construction; any flag does that is
    nearly always right.
    """
    target = records[f"label_{label}"].to_numpy()
    by_flag: dict[str, Any] = {}
    for name in COMORBIDITIES:
        values = static[:, STATIC.index(name)]
        flagged = (values > np.nanmin(values)) & (target >= 0)  # also where z-scored: the larger of two values
        positive = target > 0
        hits, n_flagged, all_positive = int((flagged & positive).sum()), int(flagged.sum()), int(positive.sum())
        precision, recall = (hits / n_flagged if n_flagged else None), (hits / all_positive if all_positive else None)
        of_codes = settings.task in ("icd9", "phenotyping")
        same_codes = settings.comorbidities == "this_admission" and of_codes
        sure = n_flagged >= LEAK_POSITIVES and precision is not None and precision >= LEAK_PRECISION
        filled = settings.cancer_flags or name not in CANCER
        by_flag[name] = {
            "flagged": n_flagged,
            "precision": precision,
            "recall": recall,
            "leak": filled and ((same_codes and n_flagged > 0) or (of_codes and sure)),
        }
    return by_flag


def database_probe(records: pl.DataFrame, series: np.ndarray) -> dict[str, Any]:
    """Can a trivial classifier tell CareVue from MetaVision? AUROC of a logistic regression on channel means and missingness,
    fitted on the training split; null where a split holds one database only. 0.5 = no, 1 = the source can be read off."""
    source = records["group_source"].fill_null("").to_numpy()
    of_one = np.isin(source, ["carevue", "metavision"])
    train = of_one & (records["split"] == "train").to_numpy()
    rest = of_one & ~train
    metavision = source == "metavision"
    enough = min(train.sum(), rest.sum()) >= FEWEST_TO_PROBE
    if not enough or any(len(set(metavision[part])) < 2 for part in (train, rest)):
        return {"auroc": None, "why": "too few stays, or one database only"}
    known = np.isfinite(series)
    count = known.sum(axis=1)
    mean = np.where(known, series, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    seen = count > 0
    center = np.where(seen, mean, 0)[train].sum(axis=0) / np.maximum(seen[train].sum(axis=0), 1)
    spread = np.where(seen, mean - center, 0)[train].std(axis=0)
    features = np.hstack(
        [np.where(seen, (mean - center) / np.where(spread > 0, spread, 1), 0), count / series.shape[1]]
    )
    auroc = ranked_apart(told_apart(features[train], metavision[train], features[rest]), metavision[rest])
    return {"auroc": round(auroc, 4), "stays": int(rest.sum())}


def told_apart(known: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Log-odds of `asked` rows by a logistic regression on the `known`, with a ridge of 1 on its slopes.

    As scikit-learn's, importing which took longer than all else of preparing a small cohort.
    """
    from scipy.optimize import minimize

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds, slopes = known @ weights[:-1] + weights[-1], weights[:-1]
        wrong = 1 / (1 + np.exp(-odds.clip(-700, 700))) - truth
        value = np.logaddexp(0, np.where(truth, -odds, odds)).sum() + slopes @ slopes / 2
        return float(value), np.append(known.T @ wrong + slopes, wrong.sum())

    weights = minimize(loss, np.zeros(known.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return asked @ weights[:-1] + weights[-1]


def ranked_apart(score: np.ndarray, truth: np.ndarray) -> float:
    """AUROC, by the rank sum; equal scores share a rank."""
    ranks, n = pl.Series(score).rank("average").to_numpy(), int(truth.sum())
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))
