"""The files that a table names, each found before anything is read; what they hold is held against one another."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.source import Flow, Progress
from i2m2_med.sources.table.images import Facts, facts
from i2m2_med.sources.table.paths import DATASET, WrongPaths, files_below, located
from i2m2_med.sources.table.people import rows_named
from i2m2_med.sources.table.reading import column, row_numbers
from i2m2_med.sources.table.scans import scan_files
from i2m2_med.sources.table.settings import Image, KSpace, Settings, Signal, Text


@dataclass(frozen=True)
class References:
    """By modality, the file of each row: `path` or `path::data set`, None where the cell is empty."""

    cells: dict[str, list[str | None]]
    files: list[Path]
    """Every file, each once; of an image that is a folder, the files in it."""


def path_column(modality: object) -> str | None:
    """The column of paths of a modality; None where it has none."""
    if isinstance(modality, Image):
        return modality.image
    if isinstance(modality, Signal):
        return modality.signal
    if isinstance(modality, KSpace):
        return modality.kspace
    return modality.text if isinstance(modality, Text) and modality.files else None


def find_references(table: pl.DataFrame, settings: Settings) -> References:
    """Find every file. Raises SourceError that lists all that are missing, outside the root, or empty folders."""
    homes = list(dict.fromkeys((settings.root / Path(settings.table).parent, settings.root)))
    wrong, asked = WrongPaths(), 0
    cells: dict[str, list[str | None]] = {}
    files: dict[Path, None] = {}
    for name, modality in settings.modalities.items():
        wanted = path_column(modality)
        if wanted is None:
            continue
        cells[name] = []
        for row, cell in zip(row_numbers(table), column(table, wanted, settings.table), strict=True):
            cells[name].append(None)
            if cell is None:
                continue
            asked += 1
            try:
                path = located(cell, homes, settings.root)
                files |= dict.fromkeys(scan_files(path) if isinstance(modality, KSpace) else files_below(path))
            except SourceError as error:
                wrong.add(row, wanted, str(error))
            else:
                inside = cell.partition(DATASET)[2]
                cells[name][-1] = f"{path}{DATASET}{inside}" if inside else str(path)
    wrong.refuse(settings.table, asked)
    return References(cells, list(files))


def refuse_shared(references: References, patients: pl.Series, table: pl.DataFrame, where: str) -> None:
    """Raise SourceError where one file belongs to rows of two patients: they could fall into two splits."""
    numbers = row_numbers(table).to_list()
    owner: dict[str, int] = {}
    people = patients.to_list()
    for cells in references.cells.values():
        for at, cell in enumerate(cells):
            first = owner.setdefault(cell, at) if cell is not None else at
            if people[first] != people[at]:
                raise SourceError(
                    f"{where}: {rows_named([numbers[first], numbers[at]])} name the same file for two patients"
                )


def check_images(
    references: References, settings: Settings, table: pl.DataFrame, flow: Flow, progress: Progress
) -> set[int]:
    """Read the header of every image; return the rows whose image can't be used (with --skip-bad), else raise with all of them."""
    numbers = row_numbers(table).to_list()
    bad: set[int] = set()
    for name, image in settings.of_kind(Image).items():
        cells = references.cells[name]
        known: dict[int, Facts] = {}
        for at, cell in progress.track(list(enumerate(cells)), f"looking at {name}", len(cells)):
            if cell is None:
                continue
            try:
                known[at] = facts(cell, Path(cell.partition(DATASET)[0]), image.dimensions)
            except SourceError as error:
                flow.set_aside(f"row {numbers[at]}", SourceError(f"{settings.table} row {numbers[at]}: {error}"))
                bad.add(at)
        for at, why in unlike(known, image).items():
            flow.set_aside(f"row {numbers[at]}", SourceError(f"{settings.table} row {numbers[at]}: {name} {why}"))
            bad.add(at)
        flow.audits[f"{name}: sizes"] = {
            " × ".join(map(str, shape)): n for shape, n in Counter(f.shape for f in known.values()).most_common(10)
        }
    flow.stop_where_bad(sum(cell is not None for cells in references.cells.values() for cell in cells))
    return bad


def unlike(known: dict[int, Facts], image: Image) -> dict[int, str]:
    """By place, why an image does not go with the others: another number of dimensions, or of channels."""
    if not known:
        return {}
    common = Counter((fact.dimensions, fact.channels) for fact in known.values()).most_common(1)[0][0]
    dimensions, channels = image.dimensions or common[0], image.channels or common[1]
    reasons: dict[int, str] = {}
    for at, fact in known.items():
        if fact.dimensions != dimensions:
            reasons[at] = f"is {fact.dimensions}-D, the others are {dimensions}-D"
        elif fact.channels != channels:
            reasons[at] = f"has {fact.channels} channels, the others have {channels}"
    return reasons
