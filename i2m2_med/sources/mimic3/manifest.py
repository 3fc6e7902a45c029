"""A manifest of files beside the tables: a CSV that says whose each is, when it was made, and where it lies.

A row per file: `subject_id`, `hadm_id` or `stay_id` (`icustay_id`), a time (`time`, or `StudyDate` and `StudyTime`, or `ecg_time`), a
`path` that counts from the manifest's folder, and optionally `kind` (`picture`, `ecg`). Published ones are read as they are:
MIMIC-CXR-JPG's metadata (its paths follow from `subject_id`, `study_id`, `dicom_id`) and MIMIC-IV-ECG's `record_list.csv`.
"""

from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.column import CellReader
from i2m2_med.sources.mimic3.judging import UTC, percent
from i2m2_med.sources.mimic3.scanning import header_of, refuse_cut, unreadable
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.tables import ID, TIME
from i2m2_med.sources.source import Flow

ATTACHED = {"picture": "pictures", "ecg": "ecgs"}
"""By modality, the setting that names its manifest, and the folder of a study to score that holds its files."""
IDS = {"ICUSTAY_ID": ("ICUSTAY_ID", "STAY_ID"), "HADM_ID": ("HADM_ID",), "SUBJECT_ID": ("SUBJECT_ID",)}
"""Ids of a stay, finest first, and their names in manifests."""
TIMES = ("TIME", "CHARTTIME", "ECG_TIME")
CXR = ("SUBJECT_ID", "STUDY_ID", "DICOM_ID")
LONGEST_NAME, LONGEST_PATH = 255, 4_096


def manifests(settings: Settings) -> dict[str, Path]:
    """By modality, the manifest that the settings name."""
    named = {modality: getattr(settings, name) for modality, name in ATTACHED.items()}
    return {modality: path for modality, path in named.items() if path is not None}


def read_manifest(path: Path, modality: str, settings: Settings, flow: Flow) -> pl.DataFrame:
    """`line` (of the file), SUBJECT_ID, HADM_ID, ICUSTAY_ID, `at`, `path` (text) of every row of the modality; null where empty.

    Raises SourceError for what can't be read, or a column of ids or times of which more than `unreadable` of the cells can't.
    """
    text = read_text(path, ATTACHED[modality])
    there = text.columns
    rows = text.with_row_index("line", offset=2)
    if "KIND" in there:
        rows = rows.filter(pl.col("KIND").str.strip_chars().str.to_lowercase() == modality)
    if settings.picture_views and "VIEWPOSITION" in there and modality == "picture":
        rows = rows.filter(pl.col("VIEWPOSITION").str.strip_chars().is_in(settings.picture_views))
    known = {key: next((name for name in names if name in there), None) for key, names in IDS.items()}
    if not any(known.values()):
        raise SourceError(f"{path.name} lacks a column that says whose a file is: stay_id, hadm_id or subject_id")
    parts = {"line": rows["line"], "at": typed(rows, time_text(rows, path), TIME, path, settings, flow)}
    for key, name in known.items():
        none = pl.Series(key, [None] * rows.height, dtype=ID)
        parts[key] = none if name is None else typed(rows, pl.col(name), ID, path, settings, flow).alias(key)
    return pl.DataFrame(parts | {"path": rows.select(path_text(rows, path, modality)).to_series()})


def read_text(path: Path, setting: str) -> pl.DataFrame:
    """A manifest's cells as text, column names in capitals. Raises SourceError for what is no whole CSV."""
    if not path.is_file():
        raise SourceError(f"source.{setting}: {path} is no file; name the CSV of their paths and times")
    names = [name.strip().upper() for name in header_of(path)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{path.name} has the column {', '.join(twice)} more than once; keep one of them")
    refuse_cut(path, len(names))
    try:
        return pl.read_csv(path, infer_schema=False, encoding="utf8-lossy", new_columns=names)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise unreadable(path, error) from error


def typed(rows: pl.DataFrame, text: pl.Expr, kind: Any, path: Path, settings: Settings, flow: Flow) -> pl.Series:
    """One column in its type; its unreadable cells are refused above the allowed share, reported below it."""
    cells = rows.select(text.alias("cells")).to_series()
    column = CellReader("cells", kind, lambda _: cells.to_frame().lazy())
    values, report = column.read(cells), column.report()
    what = "a time" if kind == TIME else "an id"
    if report["unreadable"]:
        share = report["unreadable"] / max(report["cells"], 1)
        lost = f"{path.name}: {what} can't be read in {percent(share)} of the rows (form {report['form']})"
        if share > settings.unreadable:
            flow.refuse(path.name, SourceError(f"{lost}; write it again, or allow more by source.unreadable"))
        else:
            flow.remarks.append(f"{lost}; they are left out.")
    if report["dates"]:
        flow.refuse(path.name, SourceError(f"{path.name}: {report['dates']:,} times are dates without an hour"))
    if report["zones"]:
        zones = ", ".join(report["zones"])
        if report["zones"] != [UTC]:
            flow.refuse(
                path.name, SourceError(f"{path.name}: times name the zone {zones}; write them as the tables' clock")
            )
        flow.remarks.append(
            f"{path.name}: times name the zone {zones}; they are read as the wall clock that they show."
        )
    return values


def time_text(rows: pl.DataFrame, path: Path) -> pl.Expr:
    """The time of a row as text; MIMIC-CXR's date and time of day (which lost its leading zeros) put together."""
    if {"STUDYDATE", "STUDYTIME"} <= set(rows.columns):
        clock = pl.col("STUDYTIME").str.strip_chars().str.split(".").list.first().str.zfill(6)
        return pl.concat_str(pl.col("STUDYDATE").str.strip_chars(), pl.lit("T"), clock)
    name = next((name for name in TIMES if name in rows.columns), None)
    if name is None:
        raise SourceError(f"{path.name} lacks a time: a column 'time', 'ecg_time', or 'StudyDate' and 'StudyTime'")
    return pl.col(name)


def path_text(rows: pl.DataFrame, path: Path, modality: str) -> pl.Expr:
    """The path of a row's file, from the manifest's folder."""
    if "PATH" in rows.columns:
        named = pl.col("PATH").str.strip_chars()
        bare = named.str.to_lowercase().str.ends_with(".hea")
        return named if modality == "picture" else pl.when(bare).then(named).otherwise(named + ".hea")
    if not set(CXR) <= set(rows.columns):
        raise SourceError(
            f"{path.name} lacks a column 'path' (or subject_id, study_id and dicom_id, as MIMIC-CXR names files)"
        )
    subject, study, dicom = (pl.col(name).str.strip_chars() for name in CXR)
    return pl.format("files/p{}/p{}/s{}/{}.jpg", subject.str.head(2), subject, study, dicom)


def located(root: Path, text: str | None) -> Path:
    """A manifest's path below `root`. Raises SourceError for one that is empty or leads elsewhere, by `..`, or a link."""
    if not text:
        raise SourceError("it names no path")
    if max(map(len, text.split("/"))) > LONGEST_NAME or len(text) > LONGEST_PATH:
        raise SourceError("its path is too long to be one")
    try:
        path = (root / text).resolve()
        inside = path.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError("its path is none") from error
    if not inside:
        raise SourceError("its path leads out of the manifest's folder")
    return root / text
