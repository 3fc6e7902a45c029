"""One study folder for scoring: `series.csv`, `static.json`, `notes/HOURS_category.txt`; times in hours since ICU admission.

What is not there is an absent modality. A concept that no channel knows, a value outside its limits, and whatever falls
outside the window is not read; what can't be understood is refused. The window is that of the task; for one that is asked at any
hour, or when a stay ends, it ends with the hour of the study's latest entry.
"""

import csv
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.documents import NotPlain, read_json, read_start
from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.attached import of_study
from i2m2_med.sources.mimic3.cohort import CAPPED_AGE
from i2m2_med.sources.mimic3.grid import series
from i2m2_med.sources.mimic3.items import CHANNELS
from i2m2_med.sources.mimic3.manifest import ATTACHED
from i2m2_med.sources.mimic3.measure import LEAST, LOOKBACK_HOURS, RAW_SAPS
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.static import CANCER, STATIC
from i2m2_med.sources.mimic3.units import canonical, known_concepts, unit_of
from i2m2_med.sources.source import Study
from i2m2_med.sources.text.chunks import chunked
from i2m2_med.sources.text.tokens import tokens

COLUMNS = ("time", "concept", "value", "unit")
ADMISSION_TYPES = ("medical", "scheduled_surgical", "unscheduled_surgical")
OLDEST = 130
NOTE_NAME = re.compile(r"(\d+(?:\.\d+)?)(?:_([^.]*))?\.txt")
REFUSED_CATEGORY = "discharge"


def open_study(folder: Path, settings: Settings) -> Study:
    """Records (one row) and arrays of a study. Raises SourceError with the one reason why it can't be scored."""
    if settings.normalise == "all_samples":
        raise SourceError(
            "a model of the published profile knows no study by itself: its z-scores run over all samples"
        )
    path = folder / "series.csv"
    rows = list(read_rows(path, settings)) if path.exists() else []
    notes = read_notes(folder, settings) if settings.notes else []
    attached = of_study(folder, settings)
    begin = begin_of([*(hours for hours, _, _ in rows), *(hours for _, hours, _ in notes)], attached, settings)
    arrays = {"series": read_series(rows, begin, settings), "static": read_static(folder, settings)}
    present = {f"has_{name}": bool(np.isfinite(array).any()) for name, array in arrays.items()}
    if settings.notes:
        arrays["notes"] = note_tokens(notes, begin, settings)
        present["has_notes"] = bool(arrays["notes"].any())
    paths = {f"_{name}": latest(files, begin + settings.window_hours) for name, files in attached.items()}
    present |= {f"has{name}": path is not None for name, path in paths.items()}
    if not any(present.values()):
        folders = [*(["notes"] if settings.notes else []), *(ATTACHED[name] for name in attached)]
        names = ", ".join(["series.csv", "static.json", *(f"{name}/" for name in folders)])
        raise SourceError(f"the study holds none of {names} with anything from the window; nothing can be said of it")
    record = {"patient": folder.name, "study": folder.name, "item": 0, **present, **paths}
    return Study(pl.DataFrame([record], schema_overrides=dict.fromkeys(paths, pl.String)), arrays)


def begin_of(times: list[float], attached: Mapping[str, list[tuple[float, Path]]], settings: Settings) -> int:
    """Hours from ICU admission to hour 0 of the input: 0, or so that it ends with the hour of the latest entry."""
    if not settings.at_the_end:
        return 0
    latest = max([*times, *(hours for files in attached.values() for hours, _ in files)], default=0.0)
    return math.floor(latest) + 1 - settings.window_hours


def latest(files: list[tuple[float, Path]], until: int) -> str | None:
    """The path of the last file up to an hour; None where there is none."""
    return max(((hours, str(path)) for hours, path in files if hours <= until), default=(0.0, None))[1]


def read_series(measured: list[tuple[float, str, float]], begin: int, settings: Settings) -> np.ndarray:
    """(1, hour, channel) from `begin` (hours); all NaN where nothing was measured. measured: of `read_rows`."""
    names = RAW_SAPS if settings.channels == "saps12" else CHANNELS[settings.channels]
    schema = {"seconds": pl.Int64, "channel": pl.Int32, "value": pl.Float64}
    rows = [(round(hours * 3600), names.index(name), value) for hours, name, value in measured]
    frame = pl.DataFrame(rows, schema=schema, orient="row").unique(maintain_order=True)
    least = pl.col("channel").is_in([index for index, name in enumerate(names) if name in LEAST])
    published = pl.when(least.first()).then(pl.col("value").min()).otherwise(pl.col("value").mean())
    by_moment = frame.group_by("seconds", "channel").agg(
        pl.col("value").median() if settings.moments == "last_stored" else published
    )
    values = by_moment.with_columns(row=pl.lit(0, pl.Int32)).sort("channel", "seconds")
    first, last = values["seconds"].min(), values["seconds"].max()
    start = first if settings.origin == "first_record" else begin * 3600
    times = pl.DataFrame({"row": [0], "start": [start or 0], "last": [last or 0]}, schema_overrides={"row": pl.Int32})
    return series(values, times, settings)


def read_rows(path: Path, settings: Settings) -> list[tuple[float, str, float]]:
    """(hours, concept, value in the concept's unit) of every row that counts."""
    concepts = known_concepts(settings.channels)
    first_window = settings.fill == "causal" and not settings.at_the_end
    until = settings.window_hours if first_window else math.inf
    rows: list[tuple[float, str, float]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(
                    f"series.csv lacks the column {', '.join(missing)}; its columns are time, concept, value, unit"
                )
            for line, row in enumerate(reader, start=2):
                hours = number(row["time"], "time", line)
                name, spelled = str(row["concept"]).strip().lower(), str(row["unit"] or "").strip()
                unit = (unit_of(spelled) or spelled) if spelled else ""
                value = number(row["value"], "value", line)
                concept = concepts.get(name)
                if concept is None:
                    continue
                if unit not in concept.units:
                    raise SourceError(
                        f"series.csv line {line}: {name} has an unknown unit; give it in {', '.join(concept.units)}"
                    )
                factor, offset = concept.units[unit]
                value = value * factor + offset
                if concept.low <= value <= concept.high and -LOOKBACK_HOURS <= hours <= until:
                    rows.append((hours, canonical(name, settings.channels), value))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError("series.csv is not comma-separated text in UTF-8; write it again") from error
    return rows


def number(cell: str | None, column: str, line: int) -> float:
    """A finite number. Raises SourceError that names line and column, not the cell."""
    try:
        value = float(cell or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(f"series.csv line {line}: the {column} is not a number")
    return value


def read_static(folder: Path, settings: Settings) -> np.ndarray:
    """(1, 5) as `static.STATIC`; NaN where there is no `static.json`."""
    path = folder / "static.json"
    if not path.exists():
        return np.full((1, len(STATIC)), np.nan, np.float32)
    try:
        known: Any = read_json(read_start(path))
    except NotPlain as error:
        raise SourceError("static.json is not JSON; write it again") from error
    if not isinstance(known, dict):
        raise SourceError("static.json is not an object of age_years, admission_type, aids, …")
    age = known.get("age_years")
    if isinstance(age, bool) or not isinstance(age, int | float) or not 0 <= age <= OLDEST:
        raise SourceError(f"static.json: age_years is missing, or not a number from 0 to {OLDEST}")
    if known.get("admission_type") not in ADMISSION_TYPES:
        raise SourceError(f"static.json: admission_type is not one of {', '.join(ADMISSION_TYPES)}")
    flags = [flag(known, name) for name in STATIC[1:4]]
    flags = [
        0.0 if name in CANCER and not settings.cancer_flags else flag
        for name, flag in zip(STATIC[1:4], flags, strict=True)
    ]
    years = min(float(age), CAPPED_AGE) if settings.age == "years" else round(float(age), 2) * 365.242
    return np.array([[years, *flags, ADMISSION_TYPES.index(known["admission_type"])]], np.float32)


def flag(known: dict[str, Any], name: str) -> float:
    """A 0/1 flag; one that is not given is 0, as no code known is in the tables."""
    value = known.get(name, False)
    if not isinstance(value, bool) and value not in (0, 1):
        raise SourceError(f"static.json: {name} is neither true nor false")
    return float(value)


def read_notes(folder: Path, settings: Settings) -> list[tuple[int, float, str]]:
    """(0, hours, text) of each note. Its time is its name's first part; without one, or after the window, or a discharge note, it is not read."""
    until = math.inf if settings.at_the_end else settings.window_hours
    kept: list[tuple[int, float, str]] = []
    for path in sorted((folder / "notes").glob("*.txt")):
        named = NOTE_NAME.fullmatch(path.name)
        if not path.name.isascii():  # a soft hyphen, or a letter that looks like another one, would hide "discharge"
            raise SourceError(
                "the category in a note's name holds other signs than plain letters; write it as MIMIC does"
            )
        if named is None or float(named[1]) > until or REFUSED_CATEGORY in (named[2] or "").lower():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SourceError("a note is not text in UTF-8; write it again") from error
        if text.strip():
            kept.append((0, float(named[1]), text))
    return kept


def note_tokens(kept: list[tuple[int, float, str]], begin: int, settings: Settings) -> np.ndarray:
    """(1, chunk, token) of notes as of `read_notes`; begin: hour 0 of the input."""
    assert settings.notes is not None
    schema = {"row": pl.Int32, "hours": pl.Float64, "text": pl.String}
    notes = pl.DataFrame(kept, schema=schema, orient="row").sort("hours", maintain_order=True)
    return tokens(chunked(notes.with_columns(pl.col("hours") - begin), settings.notes), 1, settings.notes)
