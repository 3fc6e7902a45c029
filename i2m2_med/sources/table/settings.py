"""Settings of `source: {name: table, …}`: which columns are what."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from i2m2_med.config import settings
from i2m2_med.sources.text.settings import Text as TextTokens

KINDS = ("image", "columns", "series", "text", "signal", "kspace")
"""The setting that tells what a modality is made of."""


MADE = ("magnitude", "phase")
"""The modalities that are made of k-space."""


def as_word(value: Any) -> Any:
    """A class or fold that YAML took for a whole number, as the word that stands in the table."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Label(settings.Settings):
    """One label: its column and the words of its classes."""

    column: str
    """The column that holds it."""
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=1_000)]
    """The words in the order of the classes; an empty cell is unknown, any other word is refused."""

    @field_validator("classes", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return [as_word(each) for each in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _once(self) -> "Label":
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class stands twice")
        return self


class SplitColumn(settings.Settings):
    """A column that says which rows train, validate and test."""

    column: str
    """The column."""
    valid: tuple[str, ...] = ()
    """Words (such as numbers of folds) that mean validation; none where the column says train, valid and test by their names."""
    test: tuple[str, ...] = ()
    """Words that mean test; every other one is training."""

    @field_validator("valid", "test", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return [as_word(each) for each in (value if isinstance(value, list | tuple) else [value])]

    @model_validator(mode="after")
    def _both(self) -> "SplitColumn":
        if bool(self.valid) != bool(self.test) or set(self.valid) & set(self.test):
            raise ValueError("valid and test go together, and share no word")
        return self


class Image(settings.Settings):
    """An image: a column of paths."""

    image: str
    """Column of paths: NIfTI, DICOM (a file or a folder), PNG, JPEG, TIFF, BMP, npy, npz, MHA, or `file.h5::dataset`."""
    dimensions: Literal[2, 3] | None = None
    """Of space; as the files say where not given."""
    channels: int | None = Field(None, ge=1, le=1_024)
    """Channels of every file; as the files say where not given."""


class Columns(settings.Settings):
    """Numbers and categories of the row itself."""

    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    """The columns, in the order in which they are read; numbers are put before categories."""
    categories: tuple[str, ...] | None = None
    """Those of them that hold words (or numbers that stand for words); told from the cells where not given."""
    levels: int = Field(30, ge=2, le=1_000)
    """Words of a category that are told apart, the most frequent of training; rarer ones are one code with unknown words."""

    @model_validator(mode="after")
    def _known(self) -> "Columns":
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("a column stands twice")
        if strangers := sorted(set(self.categories or ()) - set(self.columns)):
            raise ValueError(f"categories names {', '.join(strangers)}, which columns does not")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that hold numbers."""
        return tuple(name for name in self.columns if name not in (self.categories or ()))


class Series(settings.Settings):
    """Measurements over time in a long table of their own: a row per study, time and item."""

    series: str
    """The long table's path, from `root`."""
    time: str
    """Its column of hours since the start, or of dates and times."""
    value: str
    """Its column of numbers."""
    name: str
    """Its column that says what was measured."""
    by: str | None = None
    """The column, of both tables, by which they are joined; `study` of the source, or else `patient`, where not given."""
    start: str | None = None
    """The main table's column of times from which hours count; each study's first time where not given (numbers: 0)."""
    hours: int = Field(48, ge=1, le=10_000)
    """Length of the input, in hourly bins."""
    items: tuple[str, ...] | None = None
    """The items that are channels; the most frequent ones, 50 at most, where not given."""


class Text(TextTokens):
    """A text: a column of texts, or of paths to text files."""

    text: str
    """The column."""
    files: bool | None = None
    """Whether the column holds paths; told from the cells where not given."""


class Signal(settings.Settings):
    """Signals in arrays of their own: a column of paths to npy, npz or `file.h5::dataset`, each (channel, time) or (time,)."""

    signal: str
    """Column of paths."""
    length: int = Field(ge=8, le=10_000_000)
    """Samples that are read from the start; a shorter signal is filled with zeros at its end."""
    channels: int | None = Field(None, ge=1, le=10_000)
    """Channels of every file; as the files say where not given."""


class KSpace(settings.Settings):
    """K-space: a column of paths; one slice of each file becomes the modalities `magnitude` and `phase`."""

    kspace: str
    """Column of paths: fastMRI's HDF5, ISMRMRD (.h5), BART (.cfl with its .hdr), or .npy, ([slice,] coil, readout, phase)."""
    slice: Annotated[int, Field(ge=0)] | str | None = None
    """The slice, counted from 0, or the column that says it; the middle one where not given."""
    size: Annotated[tuple[Annotated[int, Field(ge=8, le=1_024)], ...], Field(min_length=2, max_length=2)] = (320, 320)
    """Height and width of the images that are made of it where `modalities.transforms` says nothing."""


def kind_of(content: Any) -> str | None:
    """The kind of a modality by the setting that it names; None where it names none, or several."""
    names = content if isinstance(content, Mapping) else vars(content) if hasattr(content, "__dict__") else {}
    named = [kind for kind in KINDS if kind in names]
    return named[0] if len(named) == 1 else None


Modality = Annotated[
    Annotated[Image, Tag("image")]
    | Annotated[Columns, Tag("columns")]
    | Annotated[Series, Tag("series")]
    | Annotated[Text, Tag("text")]
    | Annotated[Signal, Tag("signal")]
    | Annotated[KSpace, Tag("kspace")],
    Discriminator(
        kind_of,
        custom_error_type="modality",
        custom_error_message=f"a modality names exactly one of {', '.join(KINDS)}",
    ),
]


class Settings(settings.Settings):
    """`source: {name: table, table: cohort.csv, patient: …, labels: …, modalities: …}`."""

    name: Literal["table"] = "table"
    root: Path
    """Folder of the table and of the files that it names; the table's own folder where not given."""
    table: str
    """The table's path, from `root`: CSV, TSV, Parquet, Excel (.xlsx), or MONAI's datalist JSON."""
    sheet: str | None = None
    """Of a workbook with several sheets, the one."""
    patient: str
    """Column that says whose row it is; splits and intervals go by it."""
    study: str | None = None
    """Column that names the study, once each (or once with each `item`); where not given a row is a study."""
    item: str | None = None
    """Column of whole numbers that tells rows of one study apart."""
    labels: Annotated[dict[str, Label], Field(min_length=1)]
    """By label, its column and classes; several have the same number of classes."""
    split: SplitColumn | None = None
    """Column of the splits, where the table has one; else the run's `split` decides."""
    groups: tuple[str, ...] = ()
    """Columns whose values are subgroups of the report."""
    modalities: Annotated[dict[str, Modality], Field(min_length=1)]
    """By modality, the columns or files that it is made of."""
    allow: tuple[str, ...] = ()
    """Input columns that are read although they look like identifiers or dates, or all but say the label."""
    unreadable: float = Field(0.01, ge=0, le=1)
    """Share of a column's cells that may be unreadable: above it `prepare` refuses, below it says so."""

    @model_validator(mode="before")
    @classmethod
    def _place(cls, given: Any) -> Any:
        """Without `root`, a table's folder is the root."""
        if not isinstance(given, dict) or not isinstance(given.get("table"), str) or given.get("root") is not None:
            return given
        path = Path(given["table"])
        return {**given, "root": str(path.parent), "table": path.name}

    @model_validator(mode="after")
    def _sensible(self) -> "Settings":
        if Path(self.table).is_absolute() or ".." in Path(self.table).parts:
            raise ValueError("table is a path from root; set root to the folder that holds it")
        if len({len(label.classes) for label in self.labels.values()}) > 1:
            raise ValueError("labels have different numbers of classes; give each number a config of its own")
        if len({label.classes for label in self.labels.values()}) > 1 and len(self.labels) > 1:
            raise ValueError("labels of one config have the same classes, in the same order")
        scans = self.of_kind(KSpace)
        if len(scans) > 1:
            raise ValueError("one modality is of k-space: magnitude and phase can be made of one")
        reserved = {"study", "patient", "item", "split", "target", *(MADE if scans else ())} & set(self.modalities)
        if reserved or not all(name.isidentifier() for name in (*self.modalities, *self.labels)):
            raise ValueError(
                "names of labels and modalities are plain words (letters, digits, _), none of them study, patient, item or split, "
                "nor magnitude or phase beside k-space"
            )
        return self

    def of_kind(self, kind: type) -> dict[str, Any]:
        """The modalities of a kind, by name."""
        return {name: modality for name, modality in self.modalities.items() if isinstance(modality, kind)}
