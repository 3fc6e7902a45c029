"""A study to score: a row of a table (`TABLE/number`), or a folder whose files are called as the modalities or columns are."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.documents import NotPlain, read_json, read_start
from i2m2_med.errors import SourceError
from i2m2_med.files import digest
from i2m2_med.sources.formats.description import FILE, read_description
from i2m2_med.sources.formats.kspace import ENDINGS
from i2m2_med.sources.source import Flow, Study
from i2m2_med.sources.table.reading import FORMATS, cell_text, read_table
from i2m2_med.sources.table.references import References, find_references, path_column
from i2m2_med.sources.table.series import OWN, key_of, long_table, refuse_unmatched
from i2m2_med.sources.table.settings import Columns, KSpace, Series, Settings, Text

ROW = "row.json"
"""A file of a study folder that gives cells by column."""


def is_row(place: Path) -> bool:
    """Whether a place is a row of a table: a number below a file."""
    return place.name.isdigit() and place.parent.suffix.lower() in FORMATS and place.parent.is_file()


def input_columns(settings: Settings) -> list[str]:
    """The columns that inputs are made of, each once."""
    named: list[str | None] = []
    for modality in settings.modalities.values():
        named += (
            modality.columns
            if isinstance(modality, Columns)
            else [modality.text]
            if isinstance(modality, Text)
            else [path_column(modality)]
        )
        if isinstance(modality, Series):
            named += [key_of(settings, modality), modality.start]
        if isinstance(modality, KSpace) and isinstance(modality.slice, str):
            named.append(modality.slice)
    return list(dict.fromkeys(name for name in named if name))


def opened_table(path: Path, sheet: str | None) -> pl.DataFrame:
    """A table that is read once as long as it stays the same."""
    status = path.stat()
    return cached_table(path, sheet, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def cached_table(path: Path, sheet: str | None, size: int, changed: int) -> pl.DataFrame:  # noqa: ARG001
    """As `read_table`."""
    return read_table(path, sheet)


def row_names(path: Path, settings: Settings) -> list[str]:
    """By row, the name of its study: the study's or, where it stands once, the patient's cell, else the row's number.

    Raises SourceError where a column that the model reads is missing, or a study stands twice.
    """
    table = opened_table(path, settings.sheet)
    lacking = [name for name in input_columns(settings) if name not in table.columns]
    if lacking:
        raise SourceError(
            f"{path.name} lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; leave cells empty where nothing is known, not columns out"
        )
    for modality in settings.of_kind(Series).values():
        if not (path.parent / modality.series).is_file():
            raise SourceError(
                f"{modality.series} is not beside {path.name}; put the long table there, or its header alone"
            )
        refuse_unmatched(table, settings.model_copy(update={"root": path.parent, "table": path.name}), modality)
    for name in (settings.study, settings.patient):
        names = table[name] if name is not None and name in table.columns else None
        if names is not None and not names.null_count() and names.n_unique() == table.height:
            return names.to_list()
    return [f"row_{number:05d}" for number in table["__row"]]


def names_rows(path: Path, settings: Settings) -> bool:
    """Whether a file is a table of rows as the model reads them, rather than a list of study folders."""
    if path.suffix.lower() not in FORMATS or not path.is_file():
        return False
    return bool(set(input_columns(settings)) & set(opened_table(path, settings.sheet).columns))


def open_study(place: Path, source: Any) -> Study:
    """A row of a table, or a folder, as one record and its arrays. Raises SourceError with the one reason why it can't be scored."""
    table, own = row_of(place, source.settings) if is_row(place) else folder_of(place, source.settings)
    return one_study(table, own, source, str(table["__row"][0]) if is_row(place) else place.name)


def open_posted(cells: Mapping[str, Any], root: Path | None, source: Any) -> Study:
    """A row that a request carries; a series can't be carried and is absent."""
    settings: Settings = source.settings
    given = cells_of(cells, "the row")
    refuse_strangers(given, settings)
    modalities = {
        name: one.model_copy(update={"series": "", "by": OWN}) if isinstance(one, Series) else one
        for name, one in settings.modalities.items()
    }
    own = settings.model_copy(update={"root": root or Path(), "table": "row", "modalities": modalities})
    paths = [column for column in map(path_column, settings.modalities.values()) if column and given.get(column)]
    if root is None and paths:
        raise SourceError(
            "this server opens no files; start it with I2M2_STUDIES=FOLDER, and give paths below that folder"
        )
    return one_study(row_table(given, settings), own, source, given.get(settings.patient) or "row")


def one_study(table: pl.DataFrame, settings: Settings, source: Any, name: str) -> Study:
    """One row as a study."""
    known = type(source)(settings)
    known.__dict__["table"], known.__dict__["references"] = (
        table,
        inside(find_references(table, settings), settings.root),
    )
    arrays = known.make_arrays(table, known.references, Flow())
    there = [*known.presence(arrays), *known.scans(table, known.references, refused)]
    if not any(column[0] for column in there if column.name.startswith("has_")):
        raise SourceError(f"the study holds none of {', '.join(settings.modalities)}; nothing can be said of it")
    patient = table[settings.patient][0] if settings.patient in table.columns else None
    who = pl.DataFrame({"patient": [patient or name], "study": [name], "item": [0]})
    groups = [table[one].alias(f"group_{one}") for one in settings.groups if one in table.columns]
    return Study(who.with_columns(*there, *groups, **known.paths(known.references)), arrays)


def refused(_: int, error: SourceError) -> None:
    """Refuse the study for its k-space."""
    raise error


def row_table(cells: Mapping[str, str | None], settings: Settings) -> pl.DataFrame:
    """A table of one row; a column that is not given is empty."""
    names = dict.fromkeys(
        [*input_columns(settings), settings.patient, *(name for name in settings.groups if name in cells)]
    )
    table = pl.DataFrame({name: pl.Series([cells.get(name)], dtype=pl.String) for name in names})
    return table.with_columns(pl.lit(OWN).alias(OWN)).with_row_index("__row", offset=1)


def inside(references: References, root: Path) -> References:
    """The same. Raises SourceError for a link out of the root: what is scored lies where its table or folder does."""
    home = root.resolve()
    for path in references.files:
        if not path.resolve().is_relative_to(home):
            raise SourceError("a link in the study points out of it; put the file itself there")
    return references


def row_of(place: Path, settings: Settings) -> tuple[pl.DataFrame, Settings]:
    """The one row, and the settings of its table."""
    path = place.parent
    whole = opened_table(path, settings.sheet)
    number = int(place.name)
    if number >= whole.height:
        raise SourceError(f"{path.name} has no row {number}: it was changed meanwhile")
    return whole[number : number + 1], settings.model_copy(update={"root": path.parent, "table": path.name})


def folder_of(folder: Path, settings: Settings) -> tuple[pl.DataFrame, Settings]:
    """A folder's files as the one row of a table, and the settings of it."""
    if not folder.is_dir():
        raise SourceError("the study folder is not there, or is no folder")
    given = read_description(folder)
    cells: dict[str, str | None] = read_cells(folder / ROW)
    modalities = dict(settings.modalities)
    for name, modality in settings.modalities.items():
        column = path_column(modality)
        if isinstance(modality, Columns):
            cells = {**read_cells(folder / f"{name}.json"), **cells}
        elif isinstance(modality, Series):
            found = given.get(name) or file_called(folder, (name,), FORMATS)
            modalities[name] = modality.model_copy(update={"series": found or "", "by": OWN})
        elif isinstance(modality, Text):
            found = given.get(name) or file_called(folder, (name, modality.text), (".txt",))
            modalities[name] = modality.model_copy(update={"files": True}) if found else modality
            cells.setdefault(modality.text, found)
        elif column is not None:
            endings = ENDINGS if isinstance(modality, KSpace) else ()
            cells.setdefault(
                column, given.get(name) or given.get(column) or file_called(folder, (name, column), endings)
            )
    refuse_strangers(cells, settings)
    return row_table(cells, settings), settings.model_copy(
        update={"root": folder, "table": ROW, "modalities": modalities}
    )


def read_cells(path: Path) -> dict[str, str | None]:
    """Cells by column, of a JSON object; nothing where there is no such file. Raises SourceError for anything but plain values."""
    if not path.is_file():
        return {}
    try:
        content: Any = read_json(read_start(path))
    except NotPlain as error:
        raise SourceError(f"{path.name} is not JSON: {error}") from error
    return cells_of(content, path.name)


def cells_of(content: Any, name: str) -> dict[str, str | None]:
    """Cells as text. Raises SourceError for anything but an object of plain values."""
    if not isinstance(content, Mapping) or any(isinstance(value, list | dict) for value in content.values()):
        raise SourceError(f"{name} is no object of columns and their values")
    texts = {str(column): cell_text(value) for column, value in content.items()}
    return {column: text.strip() or None if text else None for column, text in texts.items()}


def refuse_strangers(cells: Mapping[str, Any], settings: Settings) -> None:
    """Raise SourceError for a column that the model does not know: misspelt, it would be taken for missing."""
    roles = {
        settings.patient,
        settings.study,
        settings.item,
        *settings.groups,
        *(label.column for label in settings.labels.values()),
    }
    strangers = sorted(set(cells) - set(input_columns(settings)) - roles)
    if strangers:
        raise SourceError(
            f"the model knows no column {', '.join(strangers)}; it reads {', '.join(input_columns(settings))}"
        )


def file_called(folder: Path, stems: tuple[str, ...], endings: tuple[str, ...] = ()) -> str | None:
    """The one file or folder whose name, without ending, is one of `stems`. Raises SourceError where there are two."""
    found = sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name.partition(".")[0] in stems
        and entry.name not in {FILE, ROW}
        and (not endings or Path(entry.name).suffix.lower() in endings)
        and (endings or Path(entry.name).suffix != ".json")
    )
    if len(found) > 1:
        raise SourceError(f"{len(found)} files could be {stems[0]}; keep one, or name it in {FILE}")
    return found[0] if found else None


def row_files(place: Path, settings: Settings) -> tuple[str, list[Path]]:
    """What a row's result depends on: a digest of its cells and measurements, and its files."""
    table, own = row_of(place, settings)
    cells = table.select(input_columns(settings)).row(0)
    measured: list[Any] = []
    for modality in own.of_kind(Series).values():
        long, key = long_table(own, modality), key_of(own, modality)
        measured.append(long.filter(pl.col(key) == table[key][0]).select(pl.exclude("__row")).rows())
    return digest([cells, measured]), inside(find_references(table, own), own.root).files
