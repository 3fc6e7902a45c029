"""The contract of a data set: disk → records (and, for array data sets, row-aligned arrays).

A new data set is one module of this package with two names, `Settings` and `Source`, and one config. What else it offers
(pictures, shifts, images of a study, bounds of its inputs) it declares as class attributes of `Source`: no shared module knows
it by name. Nothing here imports torch, MONAI or MLflow at module level: `i2m2 check` reads settings without them, so what lies
above this layer is named by its module's path.
"""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import polars as pl

from i2m2_med.console import Progress
from i2m2_med.errors import SourceError

__all__ = ["Bound", "Coverage", "Flow", "Kind", "Labels", "Progress", "Results", "Source", "Study"]


@dataclass(frozen=True)
class Labels:
    """A set of heads of equal class count: knee 4 × 2, mortality 1 × 6, AV-MNIST 1 × 10."""

    names: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How far the samples have one measured concept."""

    concept: str
    codes: tuple[str, ...]
    """The data set's codes of it that are there."""
    share: float
    """Of the samples, those with a value."""
    median: float | None
    """Of all values; None where too few samples have one."""
    unit: str


@dataclass
class Flow:
    """Cohort flow: who was left out and why, what was refused, and what the audits found. It becomes the manifest."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    audits: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    """Claims that these data do not support, in words."""
    coverage: list[Coverage] = field(default_factory=list[Coverage])
    """Of each measured concept, where a source has concepts that codes stand for; `check` and `prepare` show it."""
    synthetic: bool = False
    """A file says of itself that a simulator made it; a source sets it, wherever the file lies and whatever lies beside it."""
    bad: list[str] = field(default_factory=list[str])
    """Why files were set aside, a line each, until all are checked."""
    skip_bad: bool = False
    """`prepare --skip-bad`: a bad file is listed in `refused` and left out, instead of stopping the run."""

    def step(self, step: str, kept: int, dropped: int = 0, why: str = "") -> None:
        """Count one step of the cohort flow: units kept and dropped, in the unit that the step's name says; why, where any was."""
        self.steps.append({"step": step, "kept": kept, "dropped": dropped, "why": why if dropped else ""})

    def refuse(self, name: str, error: Exception) -> None:
        """Raise `error`, or with `skip_bad` list the file (by its name inside the data folder) and go on."""
        if not self.skip_bad:
            raise error
        self.refused.append({"name": name, "why": str(error)})

    def set_aside(self, name: str, error: Exception) -> None:
        """As `refuse`, but go on checking the other files until `stop_where_bad`."""
        if self.skip_bad:
            self.refuse(name, error)
        else:
            self.bad.append(str(error))

    def stop_where_bad(self, of: int) -> None:
        """Raise SourceError with one line for each file that was set aside. of: files that were checked."""
        if not self.bad:
            return
        hint = "Mend it, or go on without it: --skip-bad."
        if len(self.bad) == 1:
            raise SourceError(f"{self.bad[0].rstrip('.')}. {hint}")
        lines = "\n".join(f"  {why}" for why in self.bad)
        raise SourceError(f"{len(self.bad)} of {of} files can't be used:\n{lines}\n{hint.replace(' it', ' them')}")


@dataclass(frozen=True)
class Study:
    """One opened study folder, ready for the same samples as training data."""

    records: pl.DataFrame
    """Columns as of `Source.ingest`, without labels and split."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])


@dataclass(frozen=True)
class Bound:
    """How far the numbers of a record's private column may lie beyond those of training and still be taken for the same."""

    names: tuple[str, ...]
    """Names of the column's numbers in a warning; a plain number has one name."""
    slack: float
    """Times below the least and above the greatest of training, ≥ 1."""


@dataclass(frozen=True)
class Kind:
    """A record's column of words, each of which training saw or did not."""

    name: str
    """The column's name in a warning."""
    plain: bool = False
    """Its words are ours, not the file's, and may stand in a warning."""


@dataclass(frozen=True)
class Results:
    """The file in which a data set's own evaluation takes what was decided of each study."""

    name: str
    """Of the file, beside the scores."""
    study: re.Pattern[str]
    """How a study is called that the evaluation knows; others stay out of the file."""
    text: Callable[[Mapping[str, str]], str]
    """The file's content, from the name of the class decided on by study."""


class Source(ABC):
    """One data set. `labels` and `modalities` are known from the settings alone."""

    labels: Labels
    modalities: tuple[str, ...]
    """Modalities that the data set can give. An expert may read only these (plus what the config's transforms add)."""
    pictured_by: str | None = None
    """The module whose `draw_prepared(source, folder)` draws a few samples for `i2m2 prepare`, and returns the picture's path."""
    drawn_by: str | None = None
    """The module whose `draw_example` draws one sample as its model saw it (`samples/example.py`), for reports."""
    shifted_by: str | None = None
    """The module whose `SUITE`, a `samples.shifts.Suite`, holds the shifts that fit these data (`i2m2 evaluate --shifts`)."""
    imaged_by: str | None = None
    """The module that shows a study's images as they lie in space (`samples.study_images`), for `i2m2 score --extra`."""
    held_apart_by: str | None = None
    """The column of records (`group_<name>`) each of whose values is evaluated alone, as if all others had been left out."""
    bounds: ClassVar[Mapping[str, Bound]] = MappingProxyType({})
    """By private column of records: how a study may have been acquired, told before transforms make all samples alike."""
    kinds: ClassVar[Mapping[str, Kind]] = MappingProxyType({})
    """By column of records: in what setting a study was acquired, in words; a study without a word is not warned of."""
    marks: tuple[str, ...] = ()
    """Patterns of files that make a folder a study, beside those of the usual formats."""
    posted_columns: tuple[str, ...] = ()
    """Columns of a request to the served model that carry a study themselves (`posted`)."""
    columns: Mapping[str, tuple[int, int]] = MappingProxyType({})
    """By array modality of numbers and categories: how many of its last columns are categories, and how many words each keeps
    apart. What is learnt of them is learnt from training (`samples/normalise.py`)."""
    channels: Mapping[str, int] = MappingProxyType({})
    """By array modality whose width the settings alone decide: the size of its last axis. A model's statistics are held to it."""
    results: Results | None = None
    """How decisions are handed to the data set's own evaluation, where it has one."""
    complex_keys: tuple[str, ...] = ()
    """Keys of a transformed record that hold complex numbers, which no transform of real numbers may touch."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def name(self) -> str:
        """The data set's name in configs."""
        return self.settings.name

    def labels_in(self, folder: Path) -> Labels:  # noqa: ARG002
        """Return the labels of what was prepared in `folder`: `labels`, unless their classes are a result of the data."""
        return self.labels

    @property
    def label_rules(self) -> dict[str, str]:
        """By label, how it is to be read, where its name alone doesn't say it; it stands at the head of every report."""
        return {}

    @abstractmethod
    def files(self) -> list[Path]:
        """Every file that the records come from (for the manifest's hashes). Raises SourceError if what is needed is missing."""

    def attached(self) -> Mapping[str, Sequence[Path]]:
        """Further files by what they are, such as pictures: hashed as `files` are, but the manifest lists each kind as one, since
        their names may name patients."""
        return {}

    @abstractmethod
    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:
        """Read the data set once; one row per sample, in a fixed order.

        folder: where this data set's own arrays may be written; cache: a folder shared by all configs, for typed copies of tables
        (the source keys what it puts there by content). Columns:
        `patient` str and `study` str (true identifiers: the caller replaces them by keyed hashes before anything is kept),
        `item` int (slice, or 0), `label_<name>` Int8 (-1 = unknown; with soft scores -2 = none of the classes),
        optionally `soft_<name>` (for every label or none): a list of `class` and `score` (0 to 1), the answers that are right, `has_<modality>` bool,
        `group_<name>` str (subgroups such as sex, care unit, acquisition; null = unknown),
        optionally `split` str (`train`, `valid`, `test`) where the data set has official splits that always hold,
        optionally `_official` str (`train`, `val`, `test`): the part that it came in, for `split: official`,
        and `_<name>` private columns (paths, row numbers), which never leave the prepared folder.
        """

    def arrays(self, folder: Path) -> Mapping[str, np.ndarray]:  # noqa: ARG002
        """Row-aligned arrays (memory-mapped or resident) by modality, or none where transforms read each record.

        Floats are NaN where not acquired; bytes (uint8) are pixels, read as value / 255; other integers are tokens, 0 = padding.
        """
        return {}

    def audits(self, records: pl.DataFrame, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:  # noqa: ARG002
        """Return the data set's own audits once `records` have their `split`; they are added to the manifest's."""
        return {}

    @abstractmethod
    def study(self, folder: Path) -> Study:
        """Open one study folder for scoring, labels not needed. Raises SourceError with the reason it can't be scored."""

    def row_places(self, table: Path) -> Mapping[str, Path] | None:  # noqa: ARG002
        """By study name, the places that `study` opens as rows of a table; None where studies are folders."""
        return None

    def row_files(self, place: Path) -> tuple[str, list[Path]] | None:  # noqa: ARG002
        """A digest of the cells of a row, and the files that it names; None where `place` is a study folder."""
        return None

    def official_labels(self, path: Path, labels: Labels) -> pl.DataFrame | None:  # noqa: ARG002
        """Return the labels in a file of the data set's own, of studies that `row_places` names: `study`, `patient`, `label_<name>` as
        of `ingest`, and `soft_<name>` where there are soft scores; None where the data set has no such file.

        labels: those of a model, whose classes the file's answers become. Raises SourceError where the file is ill-formed.
        """
        return None

    def posted(self, cells: Mapping[str, Any], root: Path | None) -> Study:
        """Open a study that a request carries in its cells; paths lie below `root`. Raises SourceError where it can't be scored."""
        raise SourceError(f"a study of {self.name} is a folder, not {len(cells)} cells below {root}")

    def expects(self) -> str:
        """How a study to score has to look, for a person."""
        return inspect.getdoc(self.study) or ""
