"""Patients into training, validation and test: by a hash, so that a patient keeps their place when the cohort changes."""

import hashlib

import polars as pl

from i2m2_med.config import Split
from i2m2_med.errors import SourceError

SPLITS = ("train", "valid", "test")
RANKED = "rank of the patient's hash, because the cohort is too small for shares of it"


def bucket(patient: str, split: Split) -> str:
    """Where one patient belongs.

    >>> bucket("10006", Split()) == bucket("10006", Split(valid=0.15))
    True
    """
    at = share(patient, split)
    return "test" if at < split.test else "valid" if at < split.test + split.valid else "train"


def share(patient: str, split: Split) -> float:
    """A patient's fixed place in [0, 1)."""
    return int(hashlib.sha256(f"{split.salt}|{patient}".encode()).hexdigest()[:13], 16) / 16**13


def assign(records: pl.DataFrame, split: Split) -> tuple[pl.DataFrame, str]:
    """`records` with a `split` column, and how it was made: the data set's own where it has one, the hash of the patient elsewhere.

    In a cohort so small that the hash leaves a split empty, patients are ranked by their hash instead and cut at the shares:
    then a patient's place depends on the cohort. Raises SourceError if a patient stands in two splits, or one is empty still.
    """
    how = "the data set's own"
    if "split" not in records.columns:
        patients: list[str] = records["patient"].unique().sort().to_list()
        how, places = "hash of the patient", [bucket(patient, split) for patient in patients]
        if set(places) != set(SPLITS):
            how, places = RANKED, ranked(patients, split)
        table = pl.DataFrame({"patient": patients, "split": places})
        records = records.join(table, on="patient", how="left", maintain_order="left")
    apart = records.group_by("patient").agg(pl.col("split").n_unique().alias("splits")).filter(pl.col("splits") > 1)
    if len(apart):
        raise SourceError(f"{len(apart)} patients stand in more than one split; split by patient")
    empty = [name for name in SPLITS if name not in set(records["split"])]
    if empty:
        found = records["patient"].n_unique()
        raise SourceError(f"no patient falls into {' and '.join(empty)} ({found} patients in all); three is the least")
    return records, how


def ranked(patients: list[str], split: Split) -> list[str]:
    """Places by rank of the hash: at least one patient for test, then for validation, the rest for training."""
    order = sorted(patients, key=lambda patient: share(patient, split))
    n_test, n_valid = (max(1, round(part * len(patients))) for part in (split.test, split.valid))
    place = {p: "test" if i < n_test else "valid" if i < n_test + n_valid else "train" for i, p in enumerate(order)}
    return [place[patient] for patient in patients]
