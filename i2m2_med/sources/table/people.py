"""Who and what a row is: patient, study, item, labels, split, groups. Everything wrong is said with row numbers, never with a cell."""

from collections.abc import Iterable, Sequence

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.empties import emptied
from i2m2_med.sources.cells.parts import WORDS
from i2m2_med.sources.source import Labels
from i2m2_med.sources.table.columns import words
from i2m2_med.sources.table.reading import column, row_numbers
from i2m2_med.sources.table.settings import Settings

LISTED = 10


def rows_named(rows: Iterable[int]) -> str:
    """'rows 3, 7 and 12', at most so many of them."""
    numbers = list(rows)
    shown = [str(number) for number in numbers[:LISTED]]
    more = [f"{len(numbers) - LISTED} more"] if len(numbers) > LISTED else []
    listed = [*shown, *more]
    return f"row{'s' * (len(numbers) > 1)} " + (
        ", ".join(listed[:-1]) + " and " + listed[-1] if len(listed) > 1 else listed[0]
    )


def identities(table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`patient`, `study`, `item` of each row. Raises SourceError for a row without a patient, or two rows of one name."""
    where, number = settings.table, row_numbers(table)
    patient = column(table, settings.patient, where)
    refuse_rows(number.filter(patient.is_null()), where, f"have no '{settings.patient}': nobody knows whose they are")
    if settings.patient not in settings.allow:
        refuse_alike(patient, number, settings.patient, where)
    study = column(table, settings.study, where) if settings.study else number.cast(pl.String).alias("study")
    refuse_rows(number.filter(study.is_null()), where, f"have no '{settings.study}'")
    item = (
        whole_numbers(table, settings.item, where)
        if settings.item
        else pl.repeat(0, table.height, dtype=pl.Int64, eager=True)
    )
    rows = pl.DataFrame({"patient": patient, "study": study, "item": item, "row": number})
    twice = rows.filter(pl.struct("study", "item").is_duplicated())["row"]
    rule = f"have a '{settings.study}' that stands elsewhere too; give each row its own, or a source.item"
    refuse_rows(twice, where, rule)
    cells = table.select(pl.exclude("__row"))
    refuse_rows(
        number.filter(cells.is_duplicated()), where, "are the same in every cell: a study that stands twice; keep one"
    )
    owners = rows.group_by("study").agg(pl.col("patient").n_unique().alias("n")).filter(pl.col("n") > 1)["study"]
    refuse_rows(
        rows.filter(pl.col("study").is_in(owners.implode()))["row"], where, "give one study to several patients"
    )
    return rows.select("patient", "study", "item")


def bare(names: pl.Series) -> pl.Series:
    """Names without what a spreadsheet adds or takes: the case, leading zeros, a `.0` at the end, signs that nobody sees."""
    return (
        names.str.to_lowercase()
        .str.replace_all(r"[\s\p{Cf}]", "")
        .str.replace(r"^0+(.)", "$1")
        .str.replace(r"\.0+$", "")
    )


def refuse_alike(names: pl.Series, rows: pl.Series, what: str, where: str) -> None:
    """Raise SourceError for names that differ in nothing but what `bare` takes off: one patient would be two, in two splits."""
    frame = pl.DataFrame({"name": names, "bare": bare(names), "row": rows})
    several = frame.unique(["name", "bare"]).filter(pl.col("bare").is_duplicated())["bare"]
    refuse_rows(
        frame.filter(pl.col("bare").is_in(several.implode()))["row"],
        where,
        f"have a '{what}' that differs from another only in case, leading zeros, '.0' or blanks; write each in one way, or, "
        f"where they are meant, source.allow: [{what}]",
    )


def whole_numbers(table: pl.DataFrame, name: str, where: str) -> pl.Series:
    """A column of whole numbers, none missing."""
    cells = words(table, name, where)
    read = cells.cast(pl.Int64, strict=False)
    refuse_rows(row_numbers(table).filter(read.is_null()), where, f"have no whole number as '{name}'")
    return read


def refuse_rows(rows: pl.Series, where: str, why: str) -> None:
    """Raise SourceError that names the rows, where there are any."""
    if rows.len():
        raise SourceError(f"{where}: {rows_named(rows.to_list())} {why}")


def label_columns(table: pl.DataFrame, settings: Settings, labels: Labels) -> pl.DataFrame:
    """`label_<name>` Int8 or Int32, −1 where the cell is empty. Raises SourceError for a word that is none of the classes."""
    made: list[pl.Series] = []
    wide = pl.Int8 if len(labels.classes) < 128 else pl.Int32
    for name, label in settings.labels.items():
        cells = words(table, label.column, settings.table)
        wrong = row_numbers(table).filter(cells.is_not_null() & ~cells.is_in(list(label.classes)))
        listed = ", ".join(label.classes[:10])
        refuse_rows(
            wrong, settings.table, f"have a '{label.column}' that is none of the classes of '{name}' ({listed})"
        )
        place = {word: at for at, word in enumerate(label.classes)}
        codes = cells.replace_strict(place, default=-1, return_dtype=pl.Int64).fill_null(-1).cast(wide)
        made.append(codes.alias(f"label_{name}"))
    return pl.DataFrame(made)


def splits(table: pl.DataFrame, patient: pl.Series, settings: Settings) -> pl.Series | None:
    """`split` of each row as a column says; None where the table has none. Raises SourceError for a patient in two splits."""
    if settings.split is None:
        return None
    named, where = settings.split, settings.table
    cells = words(table, named.column, where)
    number = row_numbers(table)
    refuse_rows(number.filter(cells.is_null()), where, f"have no '{named.column}'")
    if named.test:
        places = {**dict.fromkeys(named.valid, "valid"), **dict.fromkeys(named.test, "test")}
        refuse_missing([word for word in places if word not in set(cells)], named.column, where)
        split = cells.replace_strict(places, default="train", return_dtype=pl.String)
    else:
        split = cells.str.to_lowercase().replace_strict(WORDS, default=None, return_dtype=pl.String)
        unnamed = number.filter(split.is_null())
        refuse_rows(
            unnamed,
            where,
            f"have a '{named.column}' that is none of train, valid, test; say which mean valid and test: "
            f"source.split: {{column: {named.column}, valid: […], test: […]}}",
        )
    rows = pl.DataFrame({"patient": patient, "split": split, "row": number})
    apart = rows.group_by("patient").agg(pl.col("split").n_unique().alias("n")).filter(pl.col("n") > 1)["patient"]
    several = rows.filter(pl.col("patient").is_in(apart.implode()))
    refuse_rows(
        several["row"],
        where,
        f"put {len(apart)} patient{'s' * (len(apart) > 1)} into more than one split; a patient belongs to one",
    )
    return split.alias("split")


def refuse_missing(missing: Sequence[str], name: str, where: str) -> None:
    """Raise SourceError for words of a setting that no row has."""
    if missing:
        raise SourceError(f"{where}: no row has {', '.join(missing)} as '{name}'")


def group_columns(table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`group_<column>` of each subgroup, null where unknown."""
    cells = [
        emptied(column(table, name, settings.table), typed=True).alias(f"group_{name}") for name in settings.groups
    ]
    return pl.DataFrame(cells)
