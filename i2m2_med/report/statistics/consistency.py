"""Studies of several items: whether all are decided right (Suhr et al. 2019: one sentence on several pictures), whether all are decided
alike (paraphrases of one question), and how right the kinds of items are that a study mixes (as it was asked first, paraphrased)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from i2m2_med.predictions import UNKNOWN
from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.paired_predictions import PairedPredictions
from i2m2_med.report.statistics.shares import share_by_patient
from i2m2_med.report.statistics.subgroups import group_members
from i2m2_med.report.statistics.table import Mask, Predictions

RIGHT, ALIKE = "all items right", "all items decided alike"
COLUMNS = ["paradigm", "label", "metric", "studies", "items", "value", "low", "high"]


def consistency_table(cohort: PairedPredictions) -> pd.DataFrame:
    """Return a row per paradigm, label and metric: intervals by patient, mean over seeds. Unknown targets are left
    out; an answer outside of the classes is wrong.

    `all items decided alike` is of studies of several items with one target; an accuracy of a kind of items (a value of a group) is of
    studies that hold other kinds too.
    """
    rows: list[Row] = []
    for at, label in enumerate(cohort.first.labels):
        known = cohort.take(cohort.first.truth[:, at] != UNKNOWN)
        study = np.unique(known.first.samples["study"].astype(str), return_inverse=True)[1]
        for paradigm in known.paradigms:
            decided = np.stack([_decided(one, at) for one in known.of_paradigm(paradigm)])
            for metric, kept, value in _values(known, at, study, decided):
                interval, _ = share_by_patient(value[kept], known.first.patient[kept])
                counts = {"studies": len(np.unique(study[kept])), "items": int(np.isin(study, study[kept]).sum())}
                rows.append({"paradigm": paradigm, "label": label, "metric": metric, **counts, **interval._asdict()})
    return pd.DataFrame(rows, columns=COLUMNS)


def _values(
    cohort: PairedPredictions, label: int, study: Int[np.ndarray, "sample"], decided: Int[np.ndarray, "seed sample"]
) -> Iterator[tuple[str, Mask, Float[np.ndarray, "sample"]]]:
    """Yield (metric, samples that it is a mean of, its values): of a study's metric, one sample stands for the study."""
    target = cohort.first.truth[:, label]
    one = np.zeros(len(study), dtype=bool)
    starts = np.unique(study, return_index=True)[1]
    one[starts] = True
    yield RIGHT, one, _in_whole_study(decided == target, study)
    mixed = np.bincount(study)[study] > 1
    first = starts[study]
    pure = _in_whole_study((target == target[first])[None], study) == 1
    if (mixed & pure).any():
        yield ALIKE, one & mixed & pure, _in_whole_study(decided == decided[:, first], study)
    for head, members in group_members(cohort.first):
        several = np.isin(study, study[members]) & np.isin(study, study[~members])
        if several.any():
            kind = f"accuracy, {head['group']}: {head['value_of_group']}"
            yield kind, members & several, (decided == target).mean(axis=0)


def _decided(predictions: Predictions, label: int) -> Int[np.ndarray, "sample"]:
    """The class decided on, whatever places stand for."""
    place = predictions.p[:, label].argmax(axis=1)
    many = predictions.places
    return place if many is None else np.take_along_axis(many.classes[:, label], place[:, None], axis=1)[:, 0]


def _in_whole_study(
    hit: Bool[np.ndarray, "seed sample"], study: Int[np.ndarray, "sample"]
) -> Float[np.ndarray, "sample"]:
    """(seed, sample) → for each sample, in how many of the seeds its whole study is hit."""
    missed = np.stack([np.bincount(study, weights=~one) for one in hit])
    return (missed == 0).mean(axis=0)[study]
