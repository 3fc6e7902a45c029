"""Studies of other kinds beside the tables (pictures, ECGs), joined to samples by a manifest (`manifest.py`).

A row belongs to a stay by the finest id that it has; by subject alone only from the hospital admission on. It counts if it was
made before the input ended, and of several the latest does (of one moment: the last path in order).
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.picture import opened_grey
from i2m2_med.sources.formats.wfdb import read_header
from i2m2_med.sources.mimic3.manifest import ATTACHED, IDS, located, manifests, read_manifest
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.source import Flow

ENDINGS = {"picture": (".jpg", ".jpeg", ".png"), "ecg": (".hea",)}
MOST_NAMED = 20


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


def check_file(modality: str, path: Path) -> None:
    """Raise SourceError for a file that can't be opened as what it should be; its pixels or samples are not read."""
    if not path.is_file():
        raise SourceError(f"the {modality} is not there")
    if modality == "picture":
        with opened_grey(path):
            return
    if not read_header(path).data.is_file():
        raise SourceError("the waveform's data are not there")


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
