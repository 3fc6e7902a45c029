"""The prediction table: one row per sample (or study as a whole), label and class.

Training, evaluation, scoring (also on Ray and behind a server) and the report share it. `COLUMNS` declares names, polars types
and meanings; `build_table` makes a table, `read_table` and `write_table` take it from and to a Parquet file, `check_table` says
what is wrong with a foreign one. In memory it is a pandas DataFrame, since calibration and statistics are NumPy's.
`python -m i2m2_med.predictions > docs/data_dictionary.md` writes the data dictionary.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
from polars.datatypes import DataTypeClass

from i2m2_med.errors import SourceError

Level = Literal["item", "study"]
Rows = list[dict[str, Any]]
"""Rows of metrics: paradigm, label, metric, value, low, high, seed."""
Judge = Callable[[dict[str, Any], str, int, pd.DataFrame, Path | None], Rows]
"""(manifest, paradigm, seed, prediction table, folder) → rows of metrics; writes its report into the folder, where there is one."""

MANY = 50
"""Of a label with more classes a table holds the likeliest only (`KEPT`), the target's, and the log-mass of the rest."""
PREDICTIONS = "predictions.parquet"
"""The file of a run that holds its table."""
KEPT = 20
UNKNOWN = -1
"""The target of a sample whose class is not known."""
SCORED = "scored"
"""The split of samples whose labels came after scoring."""
NO_CLASS = -2
"""The target of a sample whose class is known to be none of the label's: every answer is wrong, and none has a likelihood."""
MAX_ROWS = 100_000_000
"""A file with more rows is not read."""
ROUNDING = 1e-4
"""How far the probabilities of a sample's classes may be from adding up to one."""


@dataclass(frozen=True)
class Column:
    """A column, or a family of them (`p_<expert>`), by its polars type and meaning."""

    name: str
    dtype: DataTypeClass
    meaning: str
    default: Any = None
    """The value of every row where a table is built without the column."""


EXPERTS = Column(
    "p_<expert>", pl.Float64, "Probability that this expert alone gives the class; null where it was absent."
)
GROUPS = Column(
    "group_<name>", pl.String, "A group the sample belongs to, such as the acquisition, for results by subgroup."
)
ALWAYS = (
    Column("study", pl.String, "The study: a keyed hash in training tables, the name of its folder in scored ones."),
    Column("item", pl.Int64, "Slice or stay within the study, from 0; null where the row is about the study as a whole."),
    Column("level", pl.String, "The row is about an `item`, or about a `study`: its items put together as `evaluation.volumes` says.", "item"),
    Column("label", pl.String, "The finding; null in the one row of a study that was refused as a whole."),
    Column("class", pl.Int16, "Index of the outcome, from 0, in the order of the data set's classes."),
    Column("p", pl.Float64, "Probability of the class, calibrated where `calibrated` says so; null where refused."),
    EXPERTS,
    Column("pattern", pl.String, "The modalities that were there, '+'-joined in alphabetical order."),
    Column("uncalibrated", pl.Float64, "Probability before calibration."),
    Column("calibrated", pl.Boolean, "Whether calibration had numbers fitted for this pattern of modalities.", False),
    Column("set", pl.String, "Class-conditional conformal set: indices of its classes, '+'-joined; empty: none; null: not computed."),
    Column("set_split", pl.String, "The same by split conformal prediction."),
    Column("decision", pl.String, "Index of the class decided on: two classes by the operating point, more by the largest probability."),
    Column("warning", pl.String, "How the study lies outside of what the model was trained on.", ""),
    Column("model", pl.String, "Run id, registered name and version, or the first digits of the model folder's hash."),
    Column("config_sha", pl.String, "Hash of the settings that decide what the model says."),
    Column("seconds", pl.Float64, "Time that scoring the study took, rounded up to a step; null outside of scoring."),
    Column("status", pl.String, "`ok` or `refused`.", "ok"),
    Column("error", pl.String, "Why it was refused.", ""),
)  # fmt: skip
"""Columns of every prediction table, in this order."""
JUDGED = (
    Column("patient", pl.String, "The patient, a keyed hash: who is resampled."),
    Column("split", pl.String, "Split of the sample: `valid`, `test`, `rest`, or `scored` where labels came after scoring."),
    Column("target", pl.Int64, "Index of the true class; −1 where it is unknown, −2 (with soft scores only) where it is none of the classes."),
    Column("fold", pl.Int64, "Of a cross-validation: the fold whose model predicts this, from 0; null otherwise."),
    GROUPS,
)  # fmt: skip
"""Further columns where the truth is known: in the tables that training and evaluation make."""
OPTIONAL = (
    Column("score", pl.Float64, "Soft score of the class as an answer, 0 to 1, where the data set has such scores."),
    Column("log_rest", pl.Float64, "Log of the probability of all classes without a row: of a label of more than 50 classes the 20 likeliest and the target's have rows."),
    Column("classes", pl.Int32, "How many classes the label has, where not all have rows."),
)  # fmt: skip
"""What a table has besides where its labels have soft scores, or many classes."""
COLUMNS = ALWAYS + JUDGED + OPTIONAL
SAMPLE = ("patient", "study", "item", "level", "fold")
"""Columns that identify a sample: in a cross-validation a sample is validated by one fold's model and tested by another's."""


def column_of(name: str) -> Column | None:
    """The declaration of a column by its name; None where no prediction table has such a column."""
    for column in COLUMNS:
        if column.name == name:
            return column
    families = {"p_": EXPERTS, "group_": GROUPS}
    return next((family for start, family in families.items() if name.startswith(start)), None)


def column_names(experts: Sequence[str] = (), *, judged: bool = False, groups: Sequence[str] = ()) -> list[str]:
    """The names of a table's columns in their order. judged: with patient, split, target and `groups` (`group_<name>`)."""
    families = {EXPERTS: [f"p_{name}" for name in experts], GROUPS: list(groups)}
    columns = ALWAYS + JUDGED if judged else ALWAYS
    return [name for column in columns for name in families.get(column, [column.name])]


def optional_names(there: Iterable[str]) -> list[str]:
    """The optional columns among `there`, in their order."""
    known = set(there)
    return [column.name for column in OPTIONAL if column.name in known]


def polars_schema(names: Iterable[str]) -> dict[str, Any]:
    """The types of columns by name. Raises SourceError for a name that no prediction table has."""
    schema: dict[str, Any] = {}
    for name in names:
        column = column_of(name)
        if column is None:
            raise SourceError(f"a prediction table has no column '{name}'")
        schema[name] = column.dtype
    return schema


def build_table(content: Mapping[str, Any], experts: Sequence[str] = (), *, judged: bool = True) -> pd.DataFrame:
    """A table from columns (arrays or lists of equal length); a column that is not given holds its default in every row."""
    groups = [name for name in content if name.startswith("group_")]
    typed = {name: as_list(values) for name, values in content.items()}
    names = [*column_names(experts, judged=judged, groups=groups), *optional_names(content)]
    return complete(pl.DataFrame(typed), names).to_pandas()


def as_list(values: Any) -> Any:
    """Return NumPy's array of objects (texts, some of them missing) as a list, which polars takes for what it is."""
    return values.tolist() if isinstance(values, np.ndarray) and values.dtype == object else values


def complete(table: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The columns `names` of a table, typed as declared; those that it lacks hold their default."""
    schema = polars_schema(names)
    defaults = {name: column.default for name in names if (column := column_of(name))}
    lacking = {name: pl.lit(default) for name, default in defaults.items() if name not in table.columns}
    typed = table.with_columns(**lacking).select(names).cast(pl.Schema(schema))
    return typed.with_columns(pl.col(pl.Float64).fill_nan(None))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, typed as declared."""
    frame = pl.from_pandas(table)
    frame.cast(pl.Schema(polars_schema(frame.columns))).write_parquet(path)


def read_table(path: Path) -> pd.DataFrame:
    """A table from a Parquet file, as of `read_frame`; pandas holds items as floats where some rows have none."""
    frame = read_frame(path)
    return pd.DataFrame({name: frame.drop_in_place(name).to_pandas() for name in frame.columns})  # never both whole


class TablesOnDemand(Mapping[tuple[str, int], pd.DataFrame]):
    """(paradigm, seed) → prediction table, read anew whenever it is asked for: of many classes memory holds one at a time."""

    def __init__(self, readers: Mapping[tuple[str, int], Callable[[], pd.DataFrame]]) -> None:
        self.readers = dict(readers)

    def __getitem__(self, model: tuple[str, int]) -> pd.DataFrame:
        return self.readers[model]()

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)


def read_frame(path: Path) -> pl.DataFrame:
    """A table from a Parquet file, checked; what older versions wrote is read as if it had been written today.

    Raises SourceError if it is damaged, too large or no prediction table.
    """
    name = path.name
    try:
        scanned = pl.scan_parquet(path)
        if scanned.select(pl.len()).collect().item() > MAX_ROWS:
            raise SourceError(f"{name} has more than {MAX_ROWS:,} rows; judge it in parts")
        frame = scanned.collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{name} is not there, damaged, or no Parquet file") from error
    return check_table(frame, name)


def check_table(frame: pl.DataFrame, name: str = "the prediction table") -> pl.DataFrame:
    """The table, complete and typed. Raises SourceError in one line for a column, type or value that does not belong."""
    unknown = [column for column in frame.columns if column_of(column) is None]
    if unknown:
        raise SourceError(f"{name} has the column(s) {', '.join(unknown[:5])}, which no prediction table has")
    lacking = [column for column in ("study", "item", "label", "class", "p", "status") if column not in frame.columns]
    if lacking:
        raise SourceError(
            f"{name} lacks the column(s) {', '.join(lacking)}; make it again with `i2m2 score` or `evaluate`"
        )
    experts = [column[2:] for column in frame.columns if column.startswith("p_")]
    groups = [column for column in frame.columns if column.startswith("group_")]
    judged = any(column.name in frame.columns for column in JUDGED)
    wanted = [*column_names(experts, judged=judged, groups=groups), *optional_names(frame.columns)]
    if judged and (lost := [column for column in ("patient", "split", "target") if column not in frame.columns]):
        raise SourceError(f"{name} lacks the column(s) {', '.join(lost)}")
    if ("log_rest" in frame.columns) != ("classes" in frame.columns):
        raise SourceError(f"{name} has one of the columns log_rest and classes without the other; make it again")
    try:
        typed = complete(with_level(frame), wanted)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{name} holds values of another type: {str(error).splitlines()[0]:.80}") from error
    check_values(typed, name)
    return typed


def with_level(frame: pl.DataFrame) -> pl.DataFrame:
    """A table with `level`; before there was one, rows about a study as a whole had the item −1, or (refused) none."""
    if "level" in frame.columns:
        return frame
    whole = pl.col("item").is_null() | (pl.col("item") == -1)
    return frame.with_columns(
        level=pl.when(whole).then(pl.lit("study")).otherwise(pl.lit("item")),
        item=pl.when(whole).then(None).otherwise(pl.col("item")),
    )


def check_values(table: pl.DataFrame, name: str) -> None:
    """Raise SourceError where values contradict the declaration. `table` is complete and typed."""
    answered = pl.col("status") == "ok"
    whole = pl.col("level") == "study"
    wrong = {
        "`level` other than item and study": ~pl.col("level").is_in(["item", "study"]),
        "`status` other than ok and refused": ~pl.col("status").is_in(["ok", "refused"]),
        "no study": pl.col("study").is_null(),
        "an item where `level` is study, or none where it is item": pl.col("item").is_null() != whole,
        "an answer without label or class": answered & (pl.col("label").is_null() | pl.col("class").is_null()),
        "a negative class": pl.col("class").fill_null(0) < 0,
        "a probability outside 0 to 1": answered & ~pl.col("p").is_between(0, 1 + ROUNDING),
    }
    if "classes" in table.columns:
        count = pl.col("classes")
        wrong["a class beyond the number of `classes`, or several such numbers"] = answered & (
            (pl.col("class") >= count) | (count <= MANY) | (count != count.max())
        )
    if "target" in table.columns:
        target, least = pl.col("target").fill_null(-1), NO_CLASS if "score" in table.columns else UNKNOWN
        most = pl.col("classes").max() - 1 if "classes" in table.columns else pl.col("class").max().fill_null(-1)
        wrong["a target that is no class"] = (target < least) | (target > most)
        wrong["no patient or split"] = pl.col("patient").is_null() | pl.col("split").is_null()
    counts = table.select(pl.any_horizontal(rule).fill_null(True).sum().alias(what) for what, rule in wrong.items())
    for what, count in counts.row(0, named=True).items():
        if count:
            raise SourceError(f"{name} is no prediction table: {count} of {len(table)} rows have {what}")
    sample = [column for column in SAMPLE if column in table.columns]
    rest = pl.col("log_rest").first().exp() if "log_rest" in table.columns else 0.0
    counted = (
        table.lazy()
        .group_by(*sample, "label")
        .agg(
            doubled=pl.col("class").n_unique() < pl.len(),
            answered=answered.any(),
            total=pl.col("p").filter(answered).sum() + rest,
        )
        .collect()
    )
    if counted["doubled"].any():
        raise SourceError(f"{name} has several rows for one study, item, label and class")
    if ((counted.filter("answered")["total"] - 1).abs() > ROUNDING).any():
        raise SourceError(f"{name}: probabilities of a sample's classes do not add up to one")


def data_dictionary() -> str:
    """The data dictionary in Markdown."""
    head = "| column | type | meaning |\n| --- | --- | --- |\n"
    always, judged, optional = (
        "".join(f"| `{c.name}` | {c.dtype.__name__} | {c.meaning} |\n" for c in part)
        for part in (ALWAYS, JUDGED, OPTIONAL)
    )
    return (
        "# The prediction table\n\n"
        "One row per sample (or study as a whole), label and class: `predictions.parquet` of a run, `scores.parquet` of\n"
        "`i2m2 score`, and what a served model answers. Types are those of polars. This page is made by\n"
        "`python -m i2m2_med.predictions`.\n\n"
        f"## In every table\n\n{head}{always}\n## Where the truth is known\n\n{head}{judged}"
        f"\n## Where labels have soft scores, or more than {MANY} classes\n\n{head}{optional}"
    )


if __name__ == "__main__":
    print(data_dictionary(), end="")
