"""Studies of other kinds beside the tables (pictures, ECGs): a manifest says whose they are, when they were made, and where they lie.

A manifest is a CSV with a row per file: `subject_id`, `hadm_id` or `stay_id` (`icustay_id`), a time (`time`, or `StudyDate` and
`StudyTime`, or `ecg_time`), a `path` that counts from the manifest's folder, and optionally `kind` (`picture`, `ecg`). Published
ones are read as they are: MIMIC-CXR-JPG's metadata (its paths follow from `subject_id`, `study_id`, `dicom_id`) and MIMIC-IV-ECG's
`record_list.csv`.

A row belongs to a stay by the finest id that it has; by subject alone only from the hospital admission on. It counts if it was
made before the input ended, and of several the latest does (of one moment: the last path in order).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.column import CellReader
from i2m2_med.sources.formats.picture import opened
from i2m2_med.sources.formats.wfdb import read_header
from i2m2_med.sources.mimic3.judging import UTC, percent
from i2m2_med.sources.mimic3.scanning import header_of, refuse_cut, unreadable
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.tables import ID, TIME
from i2m2_med.sources.source import Flow

ATTACHED = {"picture": "pictures", "ecg": "ecgs"}
"""By modality, the setting that names its manifest, and the folder of a study to score that holds its files."""
ENDINGS = {"picture": (".jpg", ".jpeg", ".png"), "ecg": (".hea",)}
IDS = {"ICUSTAY_ID": ("ICUSTAY_ID", "STAY_ID"), "HADM_ID": ("HADM_ID",), "SUBJECT_ID": ("SUBJECT_ID",)}
"""Ids of a stay, finest first, and their names in manifests."""
TIMES = ("TIME", "CHARTTIME", "ECG_TIME")
CXR = ("SUBJECT_ID", "STUDY_ID", "DICOM_ID")
MOST_NAMED = 20
LONGEST_NAME, LONGEST_PATH = 255, 4_096


def manifests(settings: Settings) -> dict[str, Path]:
    """By modality, the manifest that the settings name."""
    named = {modality: getattr(settings, name) for modality, name in ATTACHED.items()}
    return {modality: path for modality, path in named.items() if path is not None}


def check_file(modality: str, path: Path) -> None:
    """Raise SourceError for a file that can't be opened as what it should be; its pixels or samples are not read."""
    if not path.is_file():
        raise SourceError(f"the {modality} is not there")
    if modality == "picture":
        with opened(path):
            return
    if not read_header(path).data.is_file():
        raise SourceError("the waveform's data are not there")


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


def files_of(settings: Settings) -> dict[str, list[Path]]:
    """By modality, every file that a manifest names and that is there (what is not, `attach` says)."""
    found: dict[str, list[Path]] = {}
    for modality, manifest in manifests(settings).items():
        rows = read_manifest(manifest, modality, settings, Flow(skip_bad=True))
        paths = set[Path]()
        for text in rows["path"].unique().drop_nulls():
            try:
                path = located(manifest.parent, text)
                every = [path, read_header(path).data] if modality == "ecg" and path.is_file() else [path]
            except SourceError:
                continue
            paths |= {each for each in every if each.is_file()}
        found[modality] = sorted(paths)
    return found


def attach(samples: pl.DataFrame, settings: Settings, flow: Flow) -> pl.DataFrame:
    """A column of paths per modality (`_picture`: text, null where there is none), aligned with `samples`.

    Raises SourceError that lists the files that can't be used, by the manifest's line; with `flow.skip_bad` they are left out.
    """
    columns = {
        f"_{modality}": latest(modality, manifest, samples, settings, flow)
        for modality, manifest in manifests(settings).items()
    }
    return pl.DataFrame(columns)


def latest(modality: str, manifest: Path, samples: pl.DataFrame, settings: Settings, flow: Flow) -> pl.Series:
    """The path of each sample's latest file of one modality."""
    rows = read_manifest(manifest, modality, settings, flow)
    joined = joined_to(samples, rows)
    timed = joined.drop_nulls("at")
    inside = timed.filter(pl.col("at") <= pl.col("origin") + pl.duration(hours=settings.window_hours))
    sound = sound_lines(modality, manifest, inside.select("line", "path").unique().sort("line"), flow)
    usable = inside.filter(pl.col("line").is_in(sound.implode()))
    chosen = usable.sort("row", "at", "path").unique("row", keep="last", maintain_order=True)
    several = int((usable.group_by("row").agg(pl.col("path").n_unique())["path"] > 1).sum())
    flow.audits.setdefault("attached", {})[modality] = {
        "files in the manifest": rows.height,
        "of no sample": rows.height - joined["line"].n_unique(),
        "without a time": joined.filter(pl.col("at").is_null())["line"].n_unique(),
        "after the input of every sample": timed["line"].n_unique() - inside["line"].n_unique(),
        "used": chosen["line"].n_unique(),
    }
    if not chosen.height:
        counts = ", ".join(f"{n:,} {what}" for what, n in flow.audits["attached"][modality].items())
        raise SourceError(
            f"{manifest.name}: no sample has a {modality} ({counts}); check ids, times and views, or take source.{ATTACHED[modality]} out"
        )
    flow.step(f"samples: with {modality}", chosen.height, samples.height - chosen.height, "none before the input ended")
    if several:
        flow.remarks.append(f"{several:,} samples have several {modality}s before the input ended; the latest counts.")
    place = samples.select("row").join(chosen.select("row", "path"), on="row", how="left", maintain_order="left")
    return place.select(pl.format(f"{manifest.parent.absolute()}/{{}}", "path")).to_series()


def joined_to(samples: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of a manifest with the samples (`row`, `origin`) that they belong to."""
    parts: list[pl.DataFrame] = []
    rest = rows
    for key in IDS:
        own = rest.filter(pl.col(key).is_not_null()).select("line", "at", "path", key)
        rest = rest.filter(pl.col(key).is_null())
        joined = own.join(samples.select("row", "origin", "ADMITTIME", key), on=key)
        if key == "SUBJECT_ID":
            joined = joined.filter(pl.col("at").is_null() | (pl.col("at") >= pl.col("ADMITTIME")))
        parts.append(joined.select("line", "at", "path", "row", "origin"))
    return pl.concat(parts)


def sound_lines(modality: str, manifest: Path, files: pl.DataFrame, flow: Flow) -> pl.Series:
    """The lines whose file is there and opens. Raises SourceError that names the others by their line, or lists them."""
    bad: dict[int, str] = {}
    for line, text in files.iter_rows():
        try:
            check_file(modality, located(manifest.parent, text))
        except SourceError as error:
            bad[line] = str(error)
    lines = [f"{manifest.name} line {line}: {why}" for line, why in bad.items()]
    if lines and not flow.skip_bad:
        rest = f"\n  … and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
        listed = "\n  ".join(lines[:MOST_NAMED])
        raise SourceError(
            f"{len(lines)} of {files.height} {modality}s can't be used:\n  {listed}{rest}\nMend them, or go on without: --skip-bad."
        )
    for line, why in bad.items():
        flow.refuse(f"{manifest.name} line {line}", SourceError(why))
    return files.filter(~pl.col("line").is_in(list(bad)))["line"]


def of_study(folder: Path, settings: Settings) -> Mapping[str, list[tuple[float, Path]]]:
    """By modality, (hours after ICU admission, file) of what a study to score holds: `pictures/HOURS_name.jpg`, `ecgs/HOURS_name.hea`.

    Raises SourceError for a name that does not begin with its hour.
    """
    found: dict[str, list[tuple[float, Path]]] = {}
    for modality in manifests(settings):
        files = [
            path for path in sorted((folder / ATTACHED[modality]).glob("*")) if path.suffix.lower() in ENDINGS[modality]
        ]
        found[modality] = [(hours_of(path), path) for path in files]
    return found


def hours_of(path: Path) -> float:
    """The hour that a file's name begins with."""
    head = path.stem.partition("_")[0]
    try:
        hours = float(head)
    except ValueError as error:
        raise SourceError(
            f"a file of {path.parent.name} has no hour before its name; call it HOURS_name{path.suffix}"
        ) from error
    if not -1e6 < hours < 1e6:
        raise SourceError(f"a file of {path.parent.name} has an hour that is none")
    return hours
