"""A prediction table (long: one row per sample × label × class) as dense arrays.

Of labels of many classes a table keeps the likeliest, the target's and the mass of the rest: `classes` then are places, `target` is
the place of the true class, and experts have one place more, for all classes without a row (`Predictions.places`).

Axis legend: sample = slices or stays, label = findings, classes = outcomes of one finding, patient = who is resampled.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from i2m2_med.errors import SourceError
from i2m2_med.places import Places, places_of, true_place
from i2m2_med.predictions import SCORED

Scores = Float[np.ndarray, "sample label classes"]
Targets = Int[np.ndarray, "sample label"]
Codes = Int[np.ndarray, "sample"]
Mask = Bool[np.ndarray, "sample"]

KEY = ["patient", "study", "item", "fold"]
"""What tells samples apart; `fold` is −1 outside of a cross-validation."""


@dataclass(frozen=True)
class Predictions:
    """The probabilities of one model for a set of samples. Rows of every array are the rows of `samples`."""

    samples: pd.DataFrame
    """One row per sample: patient, study, item, fold, split, pattern, and the `group_<name>` columns."""
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    p: Scores
    """Probabilities; NaN where the model was refused the sample."""
    target: Targets
    """Class index; -1 = unknown, -2 = none of the classes."""
    experts: dict[str, Float[np.ndarray, "sample label _"]]
    """By expert; NaN where the expert was absent."""
    answered: Mask
    sets: dict[str, Bool[np.ndarray, "sample label classes"]]
    """Conformal sets by column (`set`, `set_split`), where the table has them."""
    score: Scores | None = None
    """Soft scores of the classes as answers, where the data set has them."""
    places: "ManyClasses | None" = None
    """Of labels of many classes: what the places stand for."""
    calibrated: bool = True
    """Whether calibration had numbers of its own for every sample."""

    @property
    def patient(self) -> Codes:
        """A number per patient, the same for tables over the same samples."""
        return patient_codes(self.samples["patient"])

    @property
    def fold(self) -> Codes:
        """The fold of a cross-validation whose model predicts each sample; −1 outside of one."""
        return self.samples["fold"].to_numpy(dtype=np.int64)

    def take(self, rows: np.ndarray) -> "Predictions":
        """The samples that `rows` (a mask or row numbers) picks; the same predictions where a mask picks all."""
        if rows.dtype == bool and bool(rows.all()):
            return self
        experts = {name: predictions[rows] for name, predictions in self.experts.items()}
        samples = self.samples.loc[rows] if rows.dtype == bool else self.samples.iloc[rows]
        kept: dict[str, Any] = {"p": self.p[rows], "target": self.target[rows], "answered": self.answered[rows]}
        kept["score"] = None if self.score is None else self.score[rows]
        kept["places"] = None if self.places is None else self.places.take(rows)
        sets = {name: each[rows] for name, each in self.sets.items()}
        return replace(self, samples=samples.reset_index(drop=True), experts=experts, sets=sets, **kept)

    @property
    def truth(self) -> Targets:
        """The index of the true class, whatever places stand for."""
        return self.target if self.places is None else self.places.truth

    def same_for_all(self, label: int) -> bool:
        """Return whether every sample that was answered got the same score."""
        scores = self.p[self.answered, label]
        return len(scores) > 1 and float(np.ptp(scores, axis=0).max()) == 0

    def in_order_of(self, samples: pd.DataFrame) -> "Predictions":
        """The same samples in the order of `samples`; as they are where theirs are others."""
        wanted, own = (pd.MultiIndex.from_frame(each[KEY].astype(str)) for each in (samples, self.samples))
        if len(wanted) != len(own) or wanted.equals(own):
            return self
        rows = own.get_indexer(wanted)
        return self if (rows < 0).any() else self.take(rows)

    def of(self, split: str) -> "Predictions":
        """The samples of one split."""
        return self.take(np.asarray(self.samples["split"] == split, dtype=bool))


def read_predictions(table: pd.DataFrame, name: str = "the prediction table") -> Predictions:
    """Dense arrays of a long table. Raises SourceError if columns lack, rows are doubled or missing, or scores are NaN."""
    table = table.assign(fold=table["fold"].fillna(-1).astype(np.int64) if "fold" in table else -1)
    need = [*KEY, "split", "label", "class", "p", "target"]
    if lacking := [column for column in need if column not in table]:
        raise SourceError(f"{name} lacks the column(s) {', '.join(lacking)}. Make it again with `i2m2 evaluate`.")
    if "level" in table and table["level"].nunique() > 1:
        raise SourceError(f"{name} holds items and studies as a whole; judge the rows of one `level`")
    table = table[table["label"].notna()]
    sample, keys = _sample_numbers(table)
    label, labels = pd.factorize(table["label"])
    if "log_rest" in table:
        return _read_places(table, name, places_of(sample, label, table["class"].to_numpy(dtype=np.int64)), labels)
    cls, classes = _class_numbers(table["class"])
    shape = (len(keys), len(labels), len(classes))
    cell = (sample * shape[1] + label) * shape[2] + cls
    if len(table) != np.prod(shape) or len(np.unique(cell)) != len(cell):
        counted = f"{len(table)} rows for {shape[0]} samples × {shape[1]} labels × {shape[2]} classes"
        raise SourceError(
            f"{name} is not one row per sample, label and class: {counted}. Make it again with `i2m2 evaluate`."
        )
    order = np.argsort(cell, kind="stable")

    def dense(column: str) -> Scores:
        return table[column].to_numpy(dtype=np.float64, na_value=np.nan)[order].reshape(shape)

    experts = [name for name in table.columns.astype(str) if name.startswith("p_")]
    target = table["target"].fillna(-1).to_numpy(dtype=np.int64)[order].reshape(shape)[:, :, 0]
    head = order.reshape(len(keys), -1)[:, 0]
    samples = _sample_columns(table.iloc[head].reset_index(drop=True))
    p = dense("p")
    answered = _answered(p, table, head, name)
    sets = {
        each: _sets(table[each], order, shape)
        for each in ("set", "set_split")
        if each in table and table[each].notna().any()
    }
    names = tuple(str(each) for each in labels)
    score = dense("score") if "score" in table else None
    by_expert = {each[2:]: dense(each) for each in experts}
    calibrated = is_calibrated(table)
    return Predictions(samples, names, classes, p, target, by_expert, answered, sets, score, None, calibrated)


def is_calibrated(table: pd.DataFrame) -> bool:
    """Whether calibration had numbers of its own for every row; as good as, where a table doesn't say."""
    return "calibrated" not in table or bool(table["calibrated"].all())


@dataclass(frozen=True)
class ManyClasses:
    """What the places of each sample stand for."""

    classes: Int[np.ndarray, "sample label place"]
    """Class index; −1 where a place is not used."""
    truth: Targets
    rest: Float[np.ndarray, "sample label"]
    """Probability of all classes without a place."""
    n_classes: int
    hidden: Bool[np.ndarray, "sample label"]
    """Where the true class is known, and its probability is a part of `rest`: labels that came after scoring."""

    def take(self, rows: np.ndarray) -> "ManyClasses":
        """The samples that `rows` picks."""
        return ManyClasses(self.classes[rows], self.truth[rows], self.rest[rows], self.n_classes, self.hidden[rows])

    @property
    def left(self) -> Int[np.ndarray, "sample label"]:
        """How many classes have no place."""
        return self.n_classes - (self.classes >= 0).sum(axis=2)


def _read_places(table: pd.DataFrame, name: str, places: Places, labels: "pd.Index[Any]") -> Predictions:
    """Return the predictions of a table of many classes (`log_rest`). Raises SourceError where a sample lacks a label or its target.

    Scores could not keep the row of a truth that came later: it gets a place of its own, of a probability that nobody knows (here 0).
    """
    if len(places.first().ravel()) != places.shape[0] * places.shape[1]:
        raise SourceError(f"{name} lacks labels of some samples. Make it again with `i2m2 evaluate`.")
    first = places.first()
    cls = places.dense(table["class"], -1.0).astype(np.int64)
    target = table["target"].fillna(-1).to_numpy(dtype=np.int64)[first]
    hidden = (true_place(cls, target) < 0) & (target >= 0)
    if hidden.any() and not (table["split"].to_numpy()[first][hidden] == SCORED).all():
        raise SourceError(f"{name} lacks the rows of some targets. Make it again with `i2m2 evaluate`.")
    more = ((0, 0), (0, 0), (0, int(hidden.any())))
    p, head = np.pad(places.dense(table["p"]), more), first[:, 0]
    rest = np.exp(table["log_rest"].to_numpy(dtype=np.float64, na_value=np.nan)[first])
    by_expert: dict[str, Scores] = {}
    for each in (column for column in table.columns.astype(str) if column.startswith("p_")):
        given = np.pad(places.dense(table[each]), more)
        others = np.maximum(1 - given.sum(axis=2, keepdims=True), 0)  # NaN where the expert was absent
        by_expert[each[2:]] = np.concatenate([given, others], axis=2)
    sets = {
        each: _sets_of_places(table[each], places, cls)
        for each in ("set", "set_split")
        if each in table
        and table[each].notna().any()
        and not hidden.any()  # a set that goes on may hold what is hidden
    }
    if hidden.any():
        cls = np.concatenate([cls, np.where(hidden, target, -1)[:, :, None]], axis=2)
    return Predictions(
        samples=_sample_columns(table.iloc[head].reset_index(drop=True)),
        labels=tuple(str(each) for each in labels),
        classes=tuple(str(at) for at in range(p.shape[2])),
        p=p,
        target=true_place(cls, target),
        experts=by_expert,
        answered=_answered(p, table, head, name),
        sets=sets,
        score=np.pad(places.dense(table["score"]), more) if "score" in table else None,
        places=ManyClasses(cls, target, rest, int(table["classes"].max()), hidden),
        calibrated=is_calibrated(table),
    )


def _sets_of_places(
    column: "pd.Series[Any]", places: Places, cls: Int[np.ndarray, "sample label place"]
) -> Bool[np.ndarray, "sample label classes"]:
    """Return whether the class of each place is in its sample's conformal set."""
    held: Any = column.fillna("").astype(str).to_numpy()[places.first()]
    inside = np.zeros(cls.shape, dtype=bool)
    for at in np.ndindex(*held.shape):
        inside[at] = np.isin(cls[at].astype(str), held[at].split("+"))
    return inside


def patient_codes(patient: "pd.Series[Any]") -> Codes:
    """Numbers 0…n-1 in the order in which patients come, which is the cohort's: names are hashes under a key of the workspace,
    and no statistic may depend on that key."""
    return pd.factorize(patient)[0].astype(np.int64)


def log_odds(p: Float[np.ndarray, "*rows classes"]) -> Float[np.ndarray, "*rows classes"]:
    """log p_c − log(1 − p_c), the rest summed from the other classes: exact where p_c is rounded to one."""
    rest = np.stack([np.delete(p, cls, axis=-1).sum(axis=-1) for cls in range(p.shape[-1])], axis=-1)
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log(rest)


def _sample_numbers(table: pd.DataFrame) -> tuple[Codes, pd.DataFrame]:
    """A number per (patient, study, item) in the order in which they come, and the keys."""
    grouped = table.groupby(KEY, sort=False, observed=True, dropna=False)
    return grouped.ngroup().to_numpy(dtype=np.int64), grouped.size().reset_index()[KEY]


def _class_numbers(column: "pd.Series[Any]") -> tuple[Codes, tuple[str, ...]]:
    """Class numbers: a numeric column sorts, names keep the order in which they come (that of the targets)."""
    codes, classes = pd.factorize(column, sort=pd.api.types.is_numeric_dtype(column))
    return codes.astype(np.int64), tuple(str(each) for each in classes)


def _sample_columns(first: pd.DataFrame) -> pd.DataFrame:
    groups = [name for name in first.columns.astype(str) if name.startswith("group_")]
    pattern = first["pattern"].fillna("") if "pattern" in first else ""
    return first[[*KEY, "split", *groups]].assign(pattern=pattern)


def _answered(p: Scores, table: pd.DataFrame, head: Codes, name: str) -> Mask:
    """Return where the model answered. A NaN that is not a refusal is an error, not a score."""
    finite = np.asarray(np.isfinite(p).all(axis=(1, 2)), dtype=bool)
    refused = table["status"].to_numpy()[head] == "refused" if "status" in table else np.zeros(len(p), dtype=bool)
    if bad := int((~finite & ~refused).sum()):
        raise SourceError(
            f"{name} holds NaN probabilities for {bad} of {len(p)} samples. Train again, or lower the learning rate."
        )
    return finite & ~refused


def _sets(
    column: "pd.Series[Any]", order: np.ndarray, shape: tuple[int, int, int]
) -> Bool[np.ndarray, "sample label classes"]:
    """Return whether each class is in its sample's conformal set, which is written '0+2'."""
    held = column.fillna("").astype(str).to_numpy()[order].reshape(shape)[:, :, 0]
    names, number = np.unique(held, return_inverse=True)
    members = np.array([[str(cls) in name.split("+") for cls in range(shape[2])] for name in names])
    return members[number.reshape(held.shape)]
