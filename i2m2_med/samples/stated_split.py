"""Splits that are stated, not drawn: the data set's own parts (`split: official`), or a table that names each volume's or patient's."""

import csv
from collections.abc import Callable
from pathlib import Path

import polars as pl

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.sources.cells.parts import WORDS

OFFICIAL = "_official"
"""Column of records: the part of the data set (train, val, test) that a sample came in; null where none says so."""


def official_split(records: pl.DataFrame, cut: Callable[[list[str]], list[str]]) -> tuple[pl.DataFrame, str]:
    """`records` with the parts that they came in as `split`, and how it was made: `val` is test, and validation is cut from `train`.

    The data set's own test part, whose answers nobody is meant to have, is `unused`; so are training samples of patients who
    are in `val` too. cut: patients of training → train or valid of each. Raises ConfigError where the data set has no parts,
    SourceError where a sample is in none.
    """
    if "split" in records.columns:
        return records, "the data set's own"
    parts = records[OFFICIAL] if OFFICIAL in records.columns else pl.Series([None] * len(records), dtype=pl.String)
    if parts.null_count() == len(records):
        raise ConfigError("split.official: these data come in no parts train and val; leave it out, or give split.file")
    if parts.null_count():
        studies = records.filter(parts.is_null())["study"].n_unique()
        raise SourceError(
            f"{studies} studies lie in no folder of the official parts (train, val); move them, or give split.file"
        )
    tested = set(records.filter(parts == "val")["patient"])
    trained = sorted(set(records.filter(parts == "train")["patient"]) - tested)
    table = pl.DataFrame({"patient": trained, "split": cut(trained)}, schema={"patient": pl.String, "split": pl.String})
    records = records.join(table, on="patient", how="left", maintain_order="left")
    shared = int(((parts == "train") & records["split"].is_null()).sum())
    place = pl.when(parts == "train").then(pl.col("split").fill_null("unused"))
    place = place.when(parts == "val").then(pl.lit("test")).otherwise(pl.lit("unused"))
    how = "official: val is test, validation is cut from train by the hash of the patient"
    how += f" ({shared} samples of train are unused: their patients are in val)" if shared else ""
    return records.with_columns(split=place), how


def split_from_file(records: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, str]:
    """`records` with the `split` that a CSV gives each study or each patient, whatever its columns are called.

    The column of splits is the one that holds nothing but their names (`WORDS`); the column of names is the one in which every
    study is found (with or without folder and ending), or else every patient. Raises SourceError where either can't be told.
    """
    table = _read(path)
    splits = [name for name in table.columns if set(table[name].str.to_lowercase()) <= set(WORDS)]
    if len(splits) != 1:
        raise SourceError(
            f"{path.name} has {len(splits)} columns that hold nothing but train, valid (or val) and test; exactly one is "
            f"needed (its columns are {', '.join(table.columns)})"
        )
    places = table[splits[0]].str.to_lowercase().replace_strict(WORDS)
    kind, names = _names(records, table.drop(splits), path)
    return _joined(records, kind, names, places, path), f"{kind} by {path.name}"


def folds_from_file(records: pl.DataFrame, path: Path, folds: int) -> tuple[pl.Series, str]:
    """The fold, 0 to folds − 1, that a CSV gives each study or each patient, row for row of `records`, and how that was read.

    The column of folds is the one that holds exactly the whole numbers 0 to folds − 1, or 1 to folds. Raises SourceError where it,
    or the column of names (as of `split_from_file`), can't be told, a patient stands in two folds, or a name lacks.
    """
    table = _read(path)
    counts = {start: {str(start + number) for number in range(folds)} for start in (0, 1)}
    columns = [
        (name, start) for name in table.columns for start, wanted in counts.items() if set(table[name]) == wanted
    ]
    if len(columns) != 1:
        raise SourceError(
            f"{path.name} has {len(columns)} columns that hold the numbers 0 to {folds - 1} (or 1 to {folds}) and nothing else; "
            f"exactly one is needed (its columns are {', '.join(table.columns)}), with as many numbers as split.folds says"
        )
    column, start = columns[0]
    kind, names = _names(records, table.drop(column), path)
    placed = _joined(records, kind, names, table[column].cast(pl.Int64) - start, path)
    apart = int((placed.group_by("patient").agg(pl.col("split").n_unique())["split"] > 1).sum())
    if apart:
        raise SourceError(f"{path.name} puts {apart} patients into more than one fold; a patient belongs to one")
    more = len(set(names) - set(records[kind].cast(pl.String)))
    return placed["split"], f"{folds} folds, {kind} by {path.name}" + (
        f" ({more} of its names are not in the data)" if more else ""
    )


def _names(records: pl.DataFrame, table: pl.DataFrame, path: Path) -> tuple[str, pl.Series]:
    """`study` or `patient`, and the column of a table in which every one of them is found, as it is to be read."""
    for kind in ("study", "patient"):
        wanted = set(records[kind].cast(pl.String))
        for column in table.columns:
            for names in _readings(table[column]):
                if wanted <= set(names):
                    return kind, names
    raise SourceError(
        f"{path.name} names neither every study nor every patient in one column (of {', '.join(table.columns)}); "
        f"{_best(records, table)} are found at most"
    )


def _read(path: Path) -> pl.DataFrame:
    """A CSV as text, cells stripped, lines without any value dropped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.read(4096)
        separator = csv.Sniffer().sniff(head.partition("\n")[0], ",;\t").delimiter
        table = pl.read_csv(path, infer_schema=False, separator=separator)
    except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError) as error:
        raise SourceError(f"split.file: {path} can't be read as CSV with at least two columns") from error
    table = table.select(pl.all().str.strip_chars().replace("", None))
    return table.filter(~pl.all_horizontal(pl.all().is_null()))


def _readings(column: pl.Series) -> list[pl.Series]:
    """A column of names as it is, without folders, and without what follows a point in the name (`.h5`, `.nii.gz`)."""
    file = column.str.extract(r"([^/\\]*)$", 1)
    return [column, file, file.str.extract(r"^([^.]*)", 1)]


def _joined(records: pl.DataFrame, kind: str, names: pl.Series, places: pl.Series, path: Path) -> pl.DataFrame:
    table = pl.DataFrame({kind: names, "split": places}).drop_nulls().unique()
    twice = table.group_by(kind).len().filter(pl.col("len") > 1)
    if twice.height:
        raise SourceError(f"{path.name} gives {twice.height} of its names more than one split; give each one")
    return records.drop("split", strict=False).join(table, on=kind, how="left", maintain_order="left")


def _best(records: pl.DataFrame, table: pl.DataFrame) -> str:
    """'40 of 44 studies'."""
    wanted = set(records["study"].cast(pl.String))
    most = max(len(wanted & set(names)) for column in table.columns for names in _readings(table[column]))
    return f"{most} of {len(wanted)} studies"
