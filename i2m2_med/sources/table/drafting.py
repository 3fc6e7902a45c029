"""What each column of a stranger's table most likely is, and why: patient, study, label, split, group, image, signal, text, input."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.sources.cells.parts import WORDS
from i2m2_med.sources.table.columns import looks_dated, looks_numeric, suspicion, typed, words
from i2m2_med.sources.table.completion import LOOKED_AT, holds_paths
from i2m2_med.sources.table.image_files import HDF5
from i2m2_med.sources.table.leaks import DETERMINES, determined
from i2m2_med.sources.table.paths import file_of, located
from i2m2_med.sources.table.reading import column, read_table
from i2m2_med.sources.table.signals import stored_signal

PATIENT = re.compile(
    r"(patient|subject|participant|person|case|sub|pat)([ _-]?(id|no|nr|number|key))?|p?id|mrn", re.IGNORECASE
)
STUDY = re.compile(r"(study|scan|session|visit|exam|accession)([ _-]?(id|no|nr|number|uid))?", re.IGNORECASE)
LABEL = re.compile(
    r"(label|target|class|diagnosis|dx|outcome|y|answer|grade|finding|disease|malignan\w*|survived|died|mortality)",
    re.IGNORECASE,
)
SPLIT = re.compile(r"(split|fold|set|partition|subset|cohort)", re.IGNORECASE)
GROUP = re.compile(
    r"(sex|gender|site|scanner|cent(er|re)|hospital|manufacturer|vendor|race|ethnicity|clinic|ward)([ _-]?(id|name))?",
    re.IGNORECASE,
)
WHERE = re.compile(r"(site|scanner|cent(er|re)|hospital|manufacturer|vendor|clinic|ward)", re.IGNORECASE)
LONG_TABLE = {
    "time": re.compile(r"(chart|sample|store)?_?(time|date|datetime|hours?)", re.IGNORECASE),
    "value": re.compile(r"value(num)?|result", re.IGNORECASE),
    "name": re.compile(r"item|name|test|analyte|parameter|concept|variable", re.IGNORECASE),
}
HEALTHY = ("control", "healthy", "normal", "no", "none", "negative", "absent", "benign", "false", "alive", "0")
MOST_CLASSES = 20
MOST_GROUPS = 10
LONG = 30
"""Characters of a cell, in the mean, that make a column of words one of texts."""


@dataclass
class Draft:
    """A source block in the making, and why each column is what it is."""

    table: Path
    patient: str = ""
    study: str | None = None
    label: str = ""
    classes: list[str] = field(default_factory=list[str])
    split: dict[str, Any] | None = None
    groups: list[str] = field(default_factory=list[str])
    modalities: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    inputs: list[str] = field(default_factory=list[str])
    reasons: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """(column, what it is taken for, why)."""

    def note(self, column: str, role: str, why: str) -> None:
        """Say what a column is taken for."""
        self.reasons.append((column, role, why))


def draft(path: Path, patient: str | None = None, label: str | None = None) -> Draft:
    """Read a table and decide. Raises ConfigError where no patient or label can be told, SourceError for what is no table."""
    table = read_table(path)
    made = Draft(path)
    cells = {name: table[name] for name in table.columns if name != "__row"}
    made.patient = given(patient, table, path) or find_patient(cells)
    made.note(
        made.patient, "patient", "asked for" if patient else "by its name, or as the first column that names each row"
    )
    made.label = given(label, table, path) or find_label(cells, made.patient)
    made.classes = classes_of(words(table, made.label, path.name))
    made.note(
        made.label,
        f"label ({', '.join(made.classes)})",
        "asked for" if label else "by its name, or as the last column of few words",
    )
    for name, column_cells in cells.items():
        if name not in (made.patient, made.label):
            decide(made, name, column_cells, table)
    find_series(made)
    if not made.modalities and not made.inputs:
        raise ConfigError(f"{path.name}: no column is left that could be an input; name the label: --label COLUMN")
    return made


def find_series(made: Draft) -> None:
    """Long tables beside: those with the patient's column and columns of times, values and what was measured."""
    for path in sorted(made.table.parent.iterdir()):
        if path == made.table or path.suffix.lower() not in (".csv", ".tsv", ".parquet") or len(made.modalities) > 20:
            continue
        try:
            names = [name for name in read_table(path).columns if name != "__row"]
        except SourceError:
            continue
        roles = {
            role: next((name for name in names if rule.fullmatch(name)), None) for role, rule in LONG_TABLE.items()
        }
        if made.patient in names and all(roles.values()):
            block = {"series": path.name, "by": made.patient, **roles, "hours": 48}
            made.modalities[plain_name(path.stem, made)] = block
            made.note(
                path.name,
                f"series '{path.stem}'",
                f"a table with {made.patient}, {', '.join(map(str, roles.values()))}; the first 48 hours",
            )


def given(name: str | None, table: pl.DataFrame, path: Path) -> str | None:
    """A column that was asked for. Raises SourceError where the table lacks it."""
    return None if name is None else column(table, name, path.name).name


def find_patient(cells: dict[str, pl.Series]) -> str:
    """The column named as patients are, or the first that names nearly each row."""
    named = [name for name in cells if PATIENT.fullmatch(name)]
    alone = [
        name
        for name, each in cells.items()
        if not each.null_count() and each.n_unique() > 0.9 * each.len() and not looks_dated(each)
    ]
    for name in (*named, *alone):
        if not cells[name].null_count():
            return name
    raise ConfigError("no column names the patients; say which does: --patient COLUMN")


def find_label(cells: dict[str, pl.Series], patient: str) -> str:
    """The column named as labels are, or the last of few words."""
    few = [
        name for name, each in cells.items() if name != patient and 2 <= each.drop_nulls().n_unique() <= MOST_CLASSES
    ]
    named = [name for name in few if LABEL.fullmatch(name)] or [name for name in few if LABEL.match(name)]
    others = [name for name in few if not (GROUP.fullmatch(name) or SPLIT.fullmatch(name))]
    if not (named or others):
        raise ConfigError("no column looks like a label (2 to 20 different words); say which is: --label COLUMN")
    return named[0] if named else others[-1]


def classes_of(cells: pl.Series) -> list[str]:
    """The words of a label, the healthy one first, numbers in their order."""
    found = cells.drop_nulls().unique().to_list()
    if len(found) < 2 or len(found) > 1_000:
        raise ConfigError(
            f"the label '{cells.name}' has {len(found)} different words; a label has 2 or more, few of them"
        )
    try:
        return sorted(found, key=float)
    except ValueError:
        return sorted(found, key=lambda word: (word.lower() not in HEALTHY, word))


def decide(made: Draft, name: str, cells: pl.Series, table: pl.DataFrame) -> None:
    """Take one column for the first of what it can be."""
    known = cells.drop_nulls()
    if known.n_unique() < 2:
        return made.note(name, "left out", "it says the same in every row")
    for take in (as_split, as_study, as_files, as_text, as_input):
        if take(made, name, cells, table):
            return None
    return None


def as_split(made: Draft, name: str, cells: pl.Series, table: pl.DataFrame) -> bool:  # noqa: ARG001
    """train, valid and test by their names."""
    found = set(cells.drop_nulls().str.to_lowercase())
    if (
        not SPLIT.fullmatch(name)
        or cells.null_count()
        or not {WORDS.get(word) for word in found} >= {"train", "valid", "test"}
    ):
        return False
    made.split = {"column": name}
    made.note(name, "split", "its words are train, valid and test")
    return True


def as_study(made: Draft, name: str, cells: pl.Series, table: pl.DataFrame) -> bool:  # noqa: ARG001
    """The study's name, once each."""
    if made.study or not STUDY.fullmatch(name) or cells.null_count() or cells.n_unique() < cells.len():
        return False
    made.study = name
    made.note(name, "study", "by its name; it stands once in each row")
    return True


def as_files(made: Draft, name: str, cells: pl.Series, table: pl.DataFrame) -> bool:  # noqa: ARG001
    """Paths that are there: images, signals or texts."""
    root = made.table.parent
    if not holds_paths(cells, [root], root):
        return False
    cell = cells.drop_nulls()[0]
    path = located(cell, [root], root)
    modality = plain_name(name, made)
    if path.suffix.lower() == ".txt":
        made.modalities[modality] = {"text": name, "files": True}
        made.note(name, f"text '{modality}'", "its cells name text files")
    elif length := signal_length(cells.drop_nulls().head(LOOKED_AT).to_list(), root):
        made.modalities[modality] = {"signal": name, "length": length}
        made.note(name, f"signal '{modality}'", "its cells name arrays of few rows and many columns")
    else:
        made.modalities[modality] = {"image": name}
        made.note(name, f"image '{modality}'", "its cells name files that are there")
    return True


def signal_length(cells: Sequence[str], root: Path) -> int | None:
    """The median length of what look like signals (one axis, or one of few channels and a long one); None for anything else."""
    lengths: list[int] = []
    for cell in cells:
        path = Path(file_of(str(located(cell, [root], root))))
        if path.is_dir() or not path.name.lower().endswith((".npy", ".npz", *HDF5)):
            return None
        try:
            channels, length = stored_signal(cell, path).shape
        except Exception:  # an array of other axes: no signal
            return None
        if length < 8 * channels:
            return None
        lengths.append(length)
    return int(np.median(lengths)) if lengths else None


def as_text(made: Draft, name: str, cells: pl.Series, table: pl.DataFrame) -> bool:  # noqa: ARG001
    """Sentences."""
    known = cells.drop_nulls()
    if looks_numeric(cells) or looks_dated(cells):
        return False
    long = float(known.str.len_chars().mean() or 0)  # type: ignore[arg-type]
    spaced = float(known.str.contains(r"\s\S+\s").mean() or 0)  # type: ignore[arg-type]
    if long < LONG and not (spaced > 0.5 and known.n_unique() > MOST_CLASSES):
        return False
    modality = plain_name(name, made)
    made.modalities[modality] = {"text": name, "files": False}
    made.note(name, f"text '{modality}'", f"its cells are sentences of {long:.0f} signs in the mean")
    return True


def as_input(made: Draft, name: str, cells: pl.Series, table: pl.DataFrame) -> bool:
    """A number or category; what could tell the patient, the place or the label is left out."""
    few = cells.drop_nulls().n_unique() <= MOST_GROUPS
    if GROUP.fullmatch(name) and few:
        made.groups.append(name)
    why = suspicion(cells)
    if why is None and WHERE.match(name):
        why = "says where, which can stand for the label"
    if why is None:
        share = telling(cells, words(table, made.label, made.table.name), made.classes)
        why = (
            f"all but says the label ({share:.2f} of its entropy): made from it, or after it?"
            if share > DETERMINES
            else None
        )
    if why is not None:
        made.note(name, "subgroup only" if name in made.groups else "left out", why)
        return True
    made.inputs.append(name)
    kind = "number" if looks_numeric(cells) else "category"
    made.note(
        name,
        f"{kind}{' and subgroup' if name in made.groups else ''}",
        f"{cells.drop_nulls().n_unique()} different cells, {cells.null_count()} empty",
    )
    return True


def telling(cells: pl.Series, label: pl.Series, classes: Sequence[str]) -> float:
    """How much of the label's entropy a column holds in the whole table."""
    codes = label.replace_strict(
        {word: at for at, word in enumerate(classes)}, default=-1, return_dtype=pl.Int64
    ).fill_null(-1)
    values = typed(cells, pl.Float64)[0] if looks_numeric(cells) else cells.rank("dense").cast(pl.Float64)
    return determined(values.to_numpy().astype(float), codes.to_numpy())


def plain_name(name: str, made: Draft) -> str:
    """A modality's name from a column's: 't1_path' → 't1'."""
    bare = re.sub(r"([ _-]?(path|file|filename|image|img|text))+$", "", name, flags=re.IGNORECASE)
    bare = re.sub(r"\W+", "_", bare).strip("_").lower()
    bare = (
        bare
        if bare.isidentifier() and bare not in {"study", "patient", "item", "split", "target", "clinical", "joint"}
        else f"m_{bare or 'odality'}"
    )
    return bare if bare not in made.modalities else f"{bare}_{len(made.modalities)}"
