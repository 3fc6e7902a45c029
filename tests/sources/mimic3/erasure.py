"""Delete from the tables whatever was not known when a sample's input ended, and say which inputs changed by it."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3.grid import channel_names
from i2m2_med.sources.mimic3.static import STATIC

from .conftest import Built

EVENTS = {"CHARTEVENTS": "CHARTTIME", "LABEVENTS": "CHARTTIME", "OUTPUTEVENTS": "CHARTTIME"}
ROWS = {**EVENTS, "ICUSTAYS": "INTIME", "ADMISSIONS": "ADMITTIME", "SERVICES": "TRANSFERTIME"}
CELLS = {"ICUSTAYS": ["OUTTIME"], "ADMISSIONS": ["DISCHTIME", "DEATHTIME"], "PATIENTS": ["DOD"]}
TABLES = ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "SERVICES", "DIAGNOSES_ICD", *EVENTS, "NOTEEVENTS")


@lru_cache(maxsize=32)
def read(root: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(root / f"{name}.csv.gz", infer_schema=False)


def moment(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)


def input_ends(root: Path, built: Built) -> pl.DataFrame:
    """SUBJECT_ID, `study`, `end`: when the input of each patient's earliest sample ended."""
    key = "HADM_ID" if built.source.settings.unit == "first_admission" else "ICUSTAY_ID"
    stays = read(root, "ICUSTAYS").sort("INTIME").unique(key, keep="first", maintain_order=True)
    samples = built.records.select(SUBJECT_ID="patient", study="study", hours="_input_hours")
    timed = samples.join(stays.select(study=key, begin=moment("INTIME")), on="study")
    ends = timed.select("SUBJECT_ID", "study", end=pl.col("begin") + pl.duration(seconds=pl.col("hours") * 3600))
    return ends.sort("end").unique("SUBJECT_ID", keep="first", maintain_order=True)


def erase(root: Path, out: Path, built: Built) -> Path:
    """The tables without what came after each sampled patient's input; other patients stay as they are."""
    out.mkdir()
    ends = input_ends(root, built).drop("study")
    later = read(root, "ADMISSIONS").join(ends, on="SUBJECT_ID").filter(moment("DISCHTIME") > pl.col("end"))
    for name in TABLES:
        table = read(root, name).join(ends, on="SUBJECT_ID", how="left", maintain_order="left")
        if name in ROWS:
            table = table.filter(pl.col("end").is_null() | (moment(ROWS[name]) <= pl.col("end")))
        if name in EVENTS and "STORETIME" in table.columns:  # charted in time, but nobody could have read it
            known = (moment("STORETIME") <= pl.col("end")).fill_null(True)
            table = table.filter(pl.col("end").is_null() | known)
        if name == "NOTEEVENTS":  # stored or charted later, or on a day that was not over
            stored = pl.max_horizontal(moment("CHARTTIME"), moment("STORETIME"))
            day = pl.col("CHARTDATE").str.head(10).str.to_datetime("%Y-%m-%d", strict=False) + pl.duration(days=1)
            known = pl.when(pl.col("CHARTTIME").is_null()).then(day).otherwise(stored)
            table = table.filter(pl.col("end").is_null() | (known <= pl.col("end")))
        if name == "DIAGNOSES_ICD":  # codes are given after discharge
            table = table.join(later.select("HADM_ID"), on="HADM_ID", how="anti", maintain_order="left")
        for cell in CELLS.get(name, ()):
            table = table.with_columns(pl.when(~(moment(cell) > pl.col("end")).fill_null(False)).then(cell).alias(cell))
        table.drop("end").write_csv(out / f"{name}.csv", quote_style="necessary")
    return out


def changed(root: Path, before: Built, after: Built) -> dict[str, int]:
    """Where inputs differ: samples by channel, static column, or notes; and samples that are gone."""
    place = {study: row for row, study in enumerate(after.records["study"])}
    earliest = set(input_ends(root, before)["study"])
    judged = [(row, study) for row, study in enumerate(before.records["study"]) if study in earliest]
    both = [(row, place[study]) for row, study in judged if study in place]
    rows, others = np.array([row for row, _ in both], int), np.array([other for _, other in both], int)
    found = {"samples gone": len(judged) - len(both)}
    names = {"series": channel_names(before.source.settings), "static": list(STATIC)}
    for modality, array in before.arrays.items():
        ours, theirs = array[rows].copy(), after.arrays[modality][others].copy()
        assert ours.dtype == theirs.dtype
        differs = ours.view(np.uint32) != theirs.view(np.uint32)
        if modality == "notes":
            found["notes"] = int(differs.any(axis=(1, 2)).sum())
        else:
            per_channel = differs.any(axis=1) if modality == "series" else differs
            found |= {
                f"{modality}: {name}": int(n) for name, n in zip(names[modality], per_channel.sum(axis=0), strict=True)
            }
    return {where: n for where, n in found.items() if n}
