"""fastMRI+ annotations (Zhao et al. 2022): boxes with one of 22 knee or 30 brain strings → labels of slices and volumes.

A volume that is in the file list was reviewed; its slices without a box are negative. A volume that is not listed was
never looked at, so it says nothing. Boxes are drawn on up/down-flipped images (`unflip`).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from i2m2_med.config.settings import Settings
from i2m2_med.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

Anatomy = Literal["knee", "brain"]
"""The two sets of fastMRI that fastMRI+ annotates; each has a table of boxes and a list of reviewed volumes."""
NAMED_AS = {"knee": re.compile(r"file1\d{6}$"), "brain": re.compile(r"file_brain_")}
"""How the volumes of a set are called."""
TITLE = "Knee data"
"""The last line of the knee's list of reviewed volumes."""
STUDY_LEVEL_SLICE = -1
"""The slice number under which findings about a whole study (no box) are kept apart from those of slices."""

BOX_COLUMNS = {
    "file": pl.String,
    "slice": pl.Int64,
    "study_level": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
    "width": pl.Float64,
    "height": pl.Float64,
    "label": pl.String,
}


PLACE = ("x", "y", "width", "height")
"""Columns that a table without boxes may lack."""


class LabelRule(Settings):
    """Which fastMRI+ strings are evidence for one label."""

    contains: tuple[str, ...]
    """The string holds one of these."""
    ignore_case: bool = False
    """Upper and lower case count as the same."""


PUBLISHED_RULES: Mapping[str, LabelRule] = {
    "meniscus_tear": LabelRule(contains=("Meniscus Tear",)),
    "acl": LabelRule(contains=("ACL",)),
    "cartilage": LabelRule(contains=("cartilage",), ignore_case=True),
}
"""The paper's rules (public code): disjoint over the 22 strings, so the order in which it tests them does not matter."""

Abnormal = Literal["other", "any", "none"]
"""`other`: a finding that no rule names (published, so an ACL-only slice has abnormal = 0); `any`: any finding; `none`: no such label."""


def label_names(rules: Mapping[str, LabelRule], abnormal: Abnormal) -> tuple[str, ...]:
    """The labels in the order of the published vector: abnormal, meniscus_tear, acl, cartilage."""
    return (() if abnormal == "none" else ("abnormal",)) + tuple(rules)


def label_table(
    boxes_csv: Path | str,
    file_list_csv: Path | str,
    abnormal: Abnormal = "other",
    rules: Mapping[str, LabelRule] = PUBLISHED_RULES,
    study_level: Literal["apart", "slice"] = "apart",
    *,
    anatomy: Anatomy = "knee",
    no_findings: tuple[str, ...] = (),
) -> "pd.DataFrame":
    """One row per annotated slice of a reviewed volume: `file`, `slice`, and 0 or 1 for each label.

    Findings about a whole study stay apart in a row of slice -1, or (`study_level="slice"`, as published) go to the
    slice that the annotation file writes them under, the first. Slices of reviewed volumes that have no row are
    negative. no_findings: strings that say that nothing is wrong, or speak of the picture; no evidence for `abnormal`.
    Raises SourceError for a file that is missing, lacks a column, or belongs to the other set.
    """
    reviewed = reviewed_volumes(file_list_csv, anatomy)
    boxes = read_boxes(boxes_csv, anatomy).filter(pl.col("file").is_in(reviewed))
    if study_level == "apart":
        whole = pl.col("study_level")
        boxes = boxes.with_columns(slice=pl.when(whole).then(STUDY_LEVEL_SLICE).otherwise(pl.col("slice")))
    evidence = {name: _says(rule) for name, rule in rules.items()}
    finding = ~pl.col("label").is_in(no_findings)
    if abnormal == "other":
        evidence = {"abnormal": finding & ~pl.any_horizontal(*evidence.values(), pl.lit(False)), **evidence}
    elif abnormal == "any":
        evidence = {"abnormal": finding, **evidence}
    labels = boxes.with_columns(**{name: says.cast(pl.Int8) for name, says in evidence.items()})
    table = labels.group_by("file", "slice").agg(pl.col(*evidence).max()).sort("file", "slice")
    return table.to_pandas()


def volume_table(table: "pd.DataFrame") -> "pd.DataFrame":
    """The same labels per volume: 1 where any of its slices, or the study as a whole, has the finding."""
    return table.drop(columns="slice").groupby("file", as_index=False).max()


def reviewed_volumes(file_list_csv: Path | str, anatomy: Anatomy = "knee") -> list[str]:
    """Names of the volumes that were reviewed, one a line. The knee's list has no header and ends in the title `Knee data`."""
    path = Path(file_list_csv)
    lines = [line.strip().removesuffix(".h5") for line in _text(path).splitlines()]
    names = sorted({line for line in lines if line and line != TITLE and "," not in line})
    _refuse_other_set(names, anatomy, f"{path.name} lists volumes", "_file_list")
    if not names:
        raise SourceError(
            f"{path.name} lists no reviewed volume. Expected one volume name a line, such as file1000001."
        )
    return names


def read_boxes(boxes_csv: Path | str, anatomy: Anatomy = "knee") -> pl.DataFrame:
    """Boxes without exact duplicates, `label` without trailing blanks, `study_level` as bool; x, y, width, height in pixels of the flipped 320 × 320 image."""
    path = Path(boxes_csv)
    try:
        raw = pl.read_csv(_text(path).encode(), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path.name} can't be read as CSV ({error.__class__.__name__}). Export it again.") from error
    missing = [name for name in BOX_COLUMNS if name not in raw.columns and name not in PLACE]
    if missing:
        raise SourceError(
            f"{path.name} lacks the column '{missing[0]}' (it has {', '.join(map(repr, raw.columns))}). "
            f"Take {anatomy}.csv of fastMRI+ 1.0 or newer."
        )
    raw = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in PLACE if name not in raw.columns)
    boxes = _typed(raw.select(*BOX_COLUMNS), path)
    _refuse_other_set(boxes["file"].to_list(), anatomy, f"{path.name} holds annotations", "")
    return boxes.unique(maintain_order=True)


def _refuse_other_set(names: Iterable[str], anatomy: Anatomy, what: str, ending: str) -> None:
    """Raise SourceError where every volume is called as those of another set are."""
    known = list(names)
    for other, pattern in NAMED_AS.items():
        if other != anatomy and known and all(pattern.match(name) for name in known):
            raise SourceError(
                f"{what} of the {other} set. Give the {anatomy} set's {anatomy}{ending}.csv, or set source.anatomy to {other}."
            )


def unflip(y: float, height: float, rows: int = 320) -> float:
    """Top row of a box on the image as reconstructed: annotators saw it upside down. All in pixels."""
    return rows - y - height


def _typed(raw: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Cast text to the columns' types; refuses a row without a file, slice or label."""
    texts = raw.with_row_index("line", offset=2).with_columns(pl.col(*BOX_COLUMNS).str.strip_chars().replace("", None))
    texts = texts.filter(~pl.all_horizontal(pl.col(*BOX_COLUMNS).is_null()))  # blank lines, as spreadsheets leave them
    texts = texts.with_columns(slice=pl.col("slice").str.replace(r"\.0*$", ""))  # 14.0, as spreadsheets write 14
    boxes = texts.with_columns(
        pl.col(name).cast(kind, strict=False) for name, kind in BOX_COLUMNS.items()
    ).with_columns(
        file=pl.col("file").str.strip_suffix(".h5"), study_level=pl.col("study_level").str.to_lowercase() == "yes"
    )
    holes = boxes.filter(pl.any_horizontal(pl.col("file", "slice", "label").is_null()) | (pl.col("slice") < 0))
    if holes.height:
        raise SourceError(f"{path.name} line {holes['line'][0]}: file, slice (0 or more) and label must all be given.")
    return boxes.drop("line")


def _says(rule: LabelRule) -> pl.Expr:
    """Whether a box's string is evidence for the rule's label."""
    text = pl.col("label").str.to_lowercase() if rule.ignore_case else pl.col("label")
    parts = [part.lower() if rule.ignore_case else part for part in rule.contains]
    return pl.any_horizontal([text.str.contains(part, literal=True) for part in parts])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"Can't read the annotation file {path} ({error.__class__.__name__}).") from error
