"""Whether tables are whole: row counts of the releases, and patients that a table says nothing of."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Flow

NAMES = ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "SERVICES", "DIAGNOSES_ICD", "CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")
RELEASES: dict[str, dict[str, int]] = {
    "MIMIC-III 1.4": {name: table.rows for name, table in TABLES.items()},
    "MIMIC-III demo 1.4": dict(zip(NAMES, (100, 129, 136, 163, 1_761, 758_355, 76_074, 11_320), strict=True)),
    "MIMIC-IV demo 2.2": dict(zip(NAMES, (100, 275, 140, 319, 4_506, 668_862, 107_727, 9_362), strict=True)),
    "MIMIC-IV 2.2": dict(
        zip(NAMES, (299_712, 431_231, 73_181, 468_029, 4_756_326, 313_645_063, 118_171_367, 4_234_967), strict=True)
    ),
    "MIMIC-IV 3.1": dict(
        zip(NAMES, (364_627, 546_028, 94_458, 593_071, 6_364_488, 432_997_491, 158_374_764, 5_359_395), strict=True)
    ),
}
"""Rows of every table (mimic-code's validation scripts; the demo as counted)."""
ALIKE = 3
"""A release is meant if its number of patients fits and it is a large one, or if so many tables have its counts."""
LARGE = 10_000
FEWEST, SOME, MOST = 20, 0.1, 0.5
"""From so many patients with an ICU stay on: more than a tenth without a row is said, more than half is refused."""


def check_complete(
    tables: Mapping[str, Ingested], files: Mapping[str, Path], allowed: float, flow: Flow, held_to_release: bool
) -> None:
    """Hold row counts against the release that is meant, and each table against the patients with an ICU stay.

    Raises SourceError for a table that looks truncated; with `flow.skip_bad` it is listed.
    """
    rows = {name: table.counts["rows_read"] for name, table in tables.items()}
    release = release_meant(rows) if held_to_release else None
    if held_to_release:
        flow.audits["release"] = release or "none that is known by its row counts: an extract"
    for name, table in tables.items():
        expected = RELEASES[release].get(name) if release else None
        if expected and table.counts["rows_read"] != expected and not only_mapped_items(name, table):
            difference = f"{files[name].name} holds {table.counts['rows_read']:,} rows, {release} has {expected:,}"
            why = "this looks truncated" if table.counts["rows_read"] < expected else "it holds more than the release"
            flow.refuse(files[name].name, SourceError(f"{difference}: {why}; download it again"))
    check_references(tables, files, allowed, flow)
    for name in ("SERVICES", "DIAGNOSES_ICD", "CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS"):
        check_patients(name, tables, files, flow)


def release_meant(rows: Mapping[str, int]) -> str | None:
    """The release whose counts the tables have, some of them at least; None for an extract or a hospital's own data."""
    for release, expected in RELEASES.items():
        alike = sum(rows[name] == number for name, number in expected.items() if name in rows)
        if alike > ALIKE or (rows["PATIENTS"] == expected["PATIENTS"] > LARGE):
            return release
    return None


def only_mapped_items(name: str, table: Ingested) -> bool:
    """Whether an event table was filtered to the items that are read: then it tells nothing of the release's count."""
    counts = table.counts
    return TABLES[name].by_item and counts["rows_read"] == counts["rows_kept"] + counts["duplicates"]


def check_references(tables: Mapping[str, Ingested], files: Mapping[str, Path], allowed: float, flow: Flow) -> None:
    """Refuse ADMISSIONS or PATIENTS that lack rows which the ICU stays point to."""
    stays = tables["ICUSTAYS"].scan().select("SUBJECT_ID", "HADM_ID").collect()
    for name, key in {"ADMISSIONS": "HADM_ID", "PATIENTS": "SUBJECT_ID"}.items():
        known = tables[name].scan().select(key).collect()[key]
        share = 1 - stays[key].is_in(known.implode()).sum() / max(stays.height, 1)
        if stays.height >= FEWEST and share > allowed:
            lacks = f"{files[name].name} has no row for {100 * share:.3g} % of the ICU stays"
            flow.refuse(files[name].name, SourceError(f"{lacks}: this looks truncated; copy or download it again"))


def check_patients(name: str, tables: Mapping[str, Ingested], files: Mapping[str, Path], flow: Flow) -> None:
    """Say how many patients with an ICU stay a table has no row of, in all and in the worst database; without measurements of
    most of them, refuse."""
    of_table = tables[name].scan().select("SUBJECT_ID").unique().collect()["SUBJECT_ID"]
    stays = tables["ICUSTAYS"].scan().select("SUBJECT_ID", "DBSOURCE").unique().collect()
    if not of_table.len() or stays["SUBJECT_ID"].n_unique() < FEWEST:
        return
    without = stays.with_columns(without=~pl.col("SUBJECT_ID").is_in(of_table.implode()))
    by_source = without.group_by("DBSOURCE").agg(pl.col("without").mean(), pl.len()).filter(pl.col("len") >= FEWEST)
    share = max([float(without["without"].mean()), *by_source["without"]])  # type: ignore[arg-type]
    if share > SOME:
        lacks = f"{files[name].name} has no row for {100 * share:.3g} % of the patients with an ICU stay"
        worst = " of one database" if share > float(without["without"].mean()) else ""  # type: ignore[arg-type]
        if share > MOST and name in ("CHARTEVENTS", "LABEVENTS"):
            flow.refuse(
                files[name].name, SourceError(f"{lacks}{worst}: this looks truncated; copy or download it again")
            )
        else:
            flow.remarks.append(f"{lacks}{worst}: this looks truncated.")
