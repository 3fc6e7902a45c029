"""Patients into training, validation and test: by a hash, so that a patient keeps their place when the cohort changes."""

import hashlib

import polars as pl

from i2m2_med.config import Split
from i2m2_med.errors import SourceError

SPLITS = ("train", "valid", "test")


def bucket(patient: str, split: Split) -> str:
    """Where one patient belongs.

    >>> bucket("10006", Split()) == bucket("10006", Split(valid=0.15))
    True
    """
    share = int(hashlib.sha256(f"{split.salt}|{patient}".encode()).hexdigest()[:13], 16) / 16**13
    return "test" if share < split.test else "valid" if share < split.test + split.valid else "train"


def assign(records: pl.DataFrame, split: Split) -> pl.DataFrame:
    """`records` with a `split` column: the data set's own where it has one, the hash of the patient elsewhere.

    Raises SourceError if a patient stands in two splits, or a split is empty.
    """
    if "split" not in records.columns:
        patients = records["patient"].unique()
        places = pl.DataFrame({"patient": patients, "split": [bucket(patient, split) for patient in patients]})
        records = records.join(places, on="patient", how="left", maintain_order="left")
    apart = records.group_by("patient").agg(pl.col("split").n_unique().alias("splits")).filter(pl.col("splits") > 1)
    if len(apart):
        raise SourceError(f"{len(apart)} patients stand in more than one split; split by patient")
    empty = [name for name in SPLITS if name not in set(records["split"])]
    if empty:
        patients = records["patient"].n_unique()
        raise SourceError(
            f"no patient falls into {' and '.join(empty)} ({patients} patients in all); add data, or set split.salt"
        )
    return records
