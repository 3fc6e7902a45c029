"""A table on disk → records and arrays. Images stay where they are: records carry their paths, transforms read them."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.files import existing_folder, replace_file
from i2m2_med.sources.source import Flow, Labels, Progress, Study
from i2m2_med.sources.source import Source as BaseSource
from i2m2_med.sources.table import settings as table_settings
from i2m2_med.sources.table.columns import raw_array, refuse_suspects
from i2m2_med.sources.table.expected import described
from i2m2_med.sources.table.leaks import refuse_empty, refuse_telling, telling_columns
from i2m2_med.sources.table.people import group_columns, identities, label_columns, splits, whole_numbers
from i2m2_med.sources.table.reading import column, read_table, row_numbers
from i2m2_med.sources.table.references import References, check_images, find_references, path_column, refuse_shared
from i2m2_med.sources.table.scans import scan_columns
from i2m2_med.sources.table.series import key_of, long_table, refuse_unmatched, series_array
from i2m2_med.sources.table.settings import MADE, Columns, Image, KSpace, Series, Signal, Text
from i2m2_med.sources.table.signals import read_signal
from i2m2_med.sources.table.study import (
    ROW,
    input_columns,
    is_row,
    names_rows,
    open_posted,
    open_study,
    row_files,
    row_names,
)
from i2m2_med.sources.table.texts import read_text_file, text_array


class Source(BaseSource):
    """`source: {name: table, …}`: the modalities that the settings name."""

    settings: table_settings.Settings
    drawn_by = "i2m2_med.samples.table.example"

    def __init__(self, settings: table_settings.Settings) -> None:
        super().__init__(settings)
        first = next(iter(settings.labels.values()))
        self.labels = Labels(tuple(settings.labels), first.classes)
        scans = settings.of_kind(KSpace)
        self.modalities = (*(name for name in settings.modalities if name not in scans), *(MADE if scans else ()))
        self.complex_keys = ("kspace", "image") if scans else ()
        columns: dict[str, Columns] = settings.of_kind(Columns)
        self.posted_columns = tuple(input_columns(settings))
        self.columns = {name: (len(each.categories or ()), each.levels) for name, each in columns.items()}
        self.channels = {name: len(each.columns) for name, each in columns.items()}

    @cached_property
    def table(self) -> pl.DataFrame:
        """The table as text, read once."""
        existing_folder(self.settings.root, "it should hold the table; set source.root")
        return read_table(self.settings.root / self.settings.table, self.settings.sheet)

    @cached_property
    def references(self) -> References:
        """The files that the table names, looked for once."""
        return find_references(self.table, self.settings)

    def files(self) -> list[Path]:
        """The table, the tables of series, and every file that a row names. Raises SourceError that lists all that are missing."""
        tables = [self.settings.root / each.series for each in self.settings.of_kind(Series).values()]
        for each in self.settings.of_kind(Series).values():
            long_table(self.settings, each)
        return [self.settings.root / self.settings.table, *dict.fromkeys(tables), *self.references.files]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per row of the table that has a modality and a label, in the table's order."""
        settings, table = self.settings, self.table
        flow.step("rows of the table", table.height)
        who = identities(table, settings)
        inputs = [name for each in settings.of_kind(Columns).values() for name in each.columns]
        refuse_roles(inputs, settings)
        refuse_suspects(table, inputs, settings.allow, settings.table)
        refuse_shared(self.references, who["patient"], table, settings.table)
        for each in settings.of_kind(Series).values():
            refuse_unmatched(table, settings, each)
        split = splits(table, who["patient"], settings)
        parts = [who, label_columns(table, settings, self.labels), group_columns(table, settings)]
        records = pl.concat([part for part in parts if part.width], how="horizontal")
        records = records if split is None else records.with_columns(split)
        bad = check_images(self.references, settings, table, flow, progress)
        arrays = self.make_arrays(table, self.references, flow)
        for name, series in settings.of_kind(Series).items():
            if not np.isfinite(arrays[name]).any():
                raise SourceError(
                    f"{series.series}: no measurement falls into the first {series.hours} hours of any study; look at time, start and by"
                )
        scans = self.checked_scans(table, flow, bad)
        records = records.with_columns(*self.presence(arrays), *scans, **self.paths(self.references))
        kept = self.kept_rows(records, bad, flow)
        for name, array in arrays.items():
            with replace_file(folder / f"{name}.npy") as beside, beside.open("wb") as file:
                np.save(file, array[kept])
        return records[kept]

    def make_arrays(self, table: pl.DataFrame, references: References, flow: Flow) -> dict[str, np.ndarray]:
        """By modality that is no image, its row-aligned array."""
        settings = self.settings
        arrays: dict[str, np.ndarray] = {}
        for name, modality in settings.modalities.items():
            if isinstance(modality, Columns):
                reports: dict[str, Any] = {}
                arrays[name] = raw_array(table, modality, settings.table, settings.unreadable, reports)
                lost = {one: report["unreadable"] for one, report in reports.items() if report["unreadable"]}
                flow.audits |= {f"{name}: unreadable cells, taken as missing": lost} if lost else {}
            elif isinstance(modality, Series):
                arrays[name] = series_array(table, settings, name, flow)
            elif isinstance(modality, Text):
                named = references.cells.get(name)
                cells = column(table, modality.text, settings.table).to_list()
                texts = (
                    cells if named is None else [None if path is None else read_text_file(Path(path)) for path in named]
                )
                arrays[name] = text_array(texts, modality)
            elif isinstance(modality, Signal):
                arrays[name] = np.stack([read_signal(path, modality) for path in references.cells[name]])
        return arrays

    def presence(self, arrays: Mapping[str, np.ndarray]) -> list[pl.Series]:
        """`has_<modality>` of each row: a number, a token, or a path."""
        found: list[pl.Series] = []
        for name, modality in self.settings.modalities.items():
            there: Any
            if isinstance(modality, KSpace):  # `scans` says it
                continue
            if isinstance(modality, Image):
                there = [cell is not None for cell in self.references.cells[name]]
            else:
                flat = arrays[name].reshape(len(arrays[name]), -1)
                there = (np.isfinite(flat) if flat.dtype.kind == "f" else flat > 0).any(axis=1).tolist()
            found.append(pl.Series(f"has_{name}", there, dtype=pl.Boolean))
        return found

    def paths(self, references: References) -> dict[str, pl.Series]:
        """`_<modality>` of each row: the path of its image."""
        names = [name for name, each in self.settings.modalities.items() if isinstance(each, Image)]
        return {f"_{name}": pl.Series(references.cells[name], dtype=pl.String) for name in names}

    def scans(
        self, table: pl.DataFrame, references: References, refuse: Callable[[int, SourceError], None]
    ) -> pl.DataFrame:
        """The columns that transforms read of each row's k-space; none without such a modality. refuse: as of `scan_columns`."""
        made = pl.DataFrame()
        for name, scan in self.settings.of_kind(KSpace).items():
            slices: list[int | None] = [scan.slice if isinstance(scan.slice, int) else None] * table.height
            if isinstance(scan.slice, str):
                slices = whole_numbers(table, scan.slice, self.settings.table).to_list()
            made = scan_columns(references.cells[name], slices, refuse)
        return made

    def checked_scans(self, table: pl.DataFrame, flow: Flow, bad: set[int]) -> pl.DataFrame:
        """As `scans`; bad files are listed all at once, and their rows noted in `bad` (with --skip-bad)."""
        numbers, where = row_numbers(table).to_list(), self.settings.table

        def set_aside(at: int, error: SourceError) -> None:
            flow.set_aside(f"row {numbers[at]}", SourceError(f"{where} row {numbers[at]}: {error}"))
            bad.add(at)

        made = self.scans(table, self.references, set_aside)
        flow.stop_where_bad(table.height)
        return made

    def kept_rows(self, records: pl.DataFrame, bad: set[int], flow: Flow) -> np.ndarray:
        """The rows that are samples; who is left out stands in the cohort flow."""
        usable = np.array([at not in bad for at in range(len(records))], dtype=bool)
        flow.step("rows whose images can be read", int(usable.sum()), len(bad), "set aside (--skip-bad)")
        there = records.select(pl.any_horizontal(pl.col("^has_.*$"))).to_series().to_numpy()
        flow.step(
            "rows with a modality",
            int((usable & there).sum()),
            int((usable & ~there).sum()),
            "every modality's cells are empty",
        )
        usable &= there
        labelled = records.select(pl.any_horizontal(pl.col("^label_.*$") >= 0)).to_series().to_numpy()
        flow.step(
            "rows with a label",
            int((usable & labelled).sum()),
            int((usable & ~labelled).sum()),
            "the label's cell is empty",
        )
        return np.flatnonzero(usable & labelled)

    def arrays(self, folder: Path) -> Mapping[str, np.ndarray]:
        """Columns in memory, all else memory-mapped."""
        columns, pictures = (
            self.settings.of_kind(Columns),
            {**self.settings.of_kind(Image), **self.settings.of_kind(KSpace)},
        )
        return {
            name: np.load(folder / f"{name}.npy", mmap_mode=None if name in columns else "r")
            for name in self.settings.modalities
            if name not in pictures
        }

    def audits(self, records: pl.DataFrame, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Refuse columns that all but say a label, as training rows show; those that are allowed are named."""
        refuse_empty(records, arrays, self.settings.of_kind(Columns), self.settings.table)
        telling = telling_columns(records, arrays, self.settings.of_kind(Columns), self.labels.names)
        refuse_telling(telling, self.settings.allow, self.settings.table)
        return {"input columns that all but say a label, and are allowed": telling} if telling else {}

    def study(self, folder: Path) -> Study:
        """Open a study folder, or a row of a table (`TABLE/number`), for scoring."""
        return open_study(folder, self)

    def row_places(self, table: Path) -> dict[str, Path] | None:
        """By study name, the rows of a table of studies; None for a file that is none."""
        if not names_rows(table, self.settings):
            return None
        names = row_names(table, self.settings)
        return {name: table.absolute() / str(number) for number, name in enumerate(names)}

    def row_files(self, place: Path) -> tuple[str, list[Path]] | None:
        """A digest of a row's cells, and its files; None for a study folder."""
        return row_files(place, self.settings) if is_row(place) else None

    @property
    def marks(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  (it follows from the settings)
        """Files that make a folder a study: those called as a modality is, or as the column of its paths."""
        stems = dict.fromkeys([*self.modalities, *filter(None, map(path_column, self.settings.modalities.values()))])
        return (ROW, *(f"{stem}.*" for stem in stems))

    def posted(self, cells: Mapping[str, Any], root: Path | None) -> Study:
        """Open a row that a request carries."""
        return open_posted(cells, root, self)

    def expects(self) -> str:
        """How a study has to look, for a person."""
        return described(self.settings)


def refuse_roles(inputs: list[str], settings: table_settings.Settings) -> None:
    """Raise SourceError for an input column that is the patient, study, label or split itself."""
    roles = {settings.patient: "patient", settings.study: "study", settings.item: "item"}
    roles |= {label.column: f"label '{name}'" for name, label in settings.labels.items()}
    roles |= {settings.split.column: "split"} if settings.split else {}
    for each in settings.of_kind(Series).values():
        roles.setdefault(key_of(settings, each), "key of a series")
    for name in inputs:
        if name in roles:
            raise SourceError(f"source.modalities: the column '{name}' is the {roles[name]}, and can't be an input too")
