"""Patients into training, validation and test: by a hash, so that a patient keeps their place when the cohort changes.

What is stated instead (`split: official`, `split.file`) is read in `stated_split.py`.

With `split.test_group` a group (an acquisition, a database) is left out of training: its samples are test, as far as training
knows nothing of their patients; other samples of patients whom training does not know are `rest`, to hold the group against. A
patient of training who has samples of the group too (one scanned twice, as the group says and otherwise) trains with the others;
those of the group are `unused`.
"""

import hashlib

import polars as pl

from i2m2_med.config.run import Split, nearest
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.stated_split import official_split, split_from_file

SPLITS = ("train", "valid", "test")
REST = "rest"
UNUSED = "unused"
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
    then a patient's place depends on the cohort. Raises SourceError if a patient stands in two splits, or one is empty still,
    ConfigError if there is no such group to leave out, or validation or test has no share.
    """
    left = left_out(records, split)
    how = "the data set's own"
    if split.official:
        records, how = official_split(records, lambda patients: validated(patients, split))
    elif split.file:
        records, how = split_from_file(records, split.file)
    elif "split" not in records.columns:
        need_shares(split)
        away = set(records["patient"]) - set(records.filter(~left)["patient"])
        patients = sorted(set(records["patient"]) - away)
        how, places = "hash of the patient", [bucket(patient, split) for patient in patients]
        if set(places) != set(SPLITS):
            how, places = RANKED, ranked(patients, split)
        table = pl.DataFrame({"patient": patients, "split": places}, schema={"patient": pl.String, "split": pl.String})
        records = records.join(table, on="patient", how="left", maintain_order="left")
    if split.test_group:
        records = leave_out(records, left)
        unused = int((records["split"] == UNUSED).sum())
        how = f"{how}; test is what was left out of training: {describe_test_group(split)}"
        how += f" ({unused} samples of it are unused: their patients train)" if unused else ""
    refuse(records)
    return records, how


def leave_out(records: pl.DataFrame, left: pl.Series) -> pl.DataFrame:
    """`records` with the samples of a group out of training. left: which are of it, (sample,) bool."""
    trained = records.filter(~left & records["split"].is_in(["train", "valid"]))["patient"].unique().implode()
    known = records["patient"].is_in(trained)
    others = pl.when(pl.col("split") == "test").then(pl.lit(REST)).otherwise("split")
    return records.with_columns(
        split=pl.when(left & ~known).then(pl.lit("test")).when(left).then(pl.lit(UNUSED)).otherwise(others)
    )


def left_out(records: pl.DataFrame, split: Split) -> pl.Series:
    """Which samples are of a group that `split.test_group` names: (sample,) bool. Raises ConfigError where there are none."""
    left = pl.repeat(False, len(records), eager=True)
    known = [name.removeprefix("group_") for name in records.columns if name.startswith("group_")]
    for name, wanted in split.test_group.items():
        if name not in known:
            raise ConfigError(f"split.test_group: these samples have no group '{name}'{nearest(name, known)}")
        values = records[f"group_{name}"]
        there: list[str] = values.drop_nulls().unique().sort().to_list()
        for value in (wanted,) if isinstance(wanted, str) else wanted:
            if value not in there:
                raise ConfigError(f"split.test_group: no sample has {name} = '{value}'{nearest(value, there)}")
            left = left | (values == value).fill_null(False)
    return left


def describe_test_group(split: Split) -> str:
    """'acquisition = CORPDFS_FBK'."""
    groups = split.test_group.items()
    return ", ".join(f"{name} = {value if isinstance(value, str) else ' or '.join(value)}" for name, value in groups)


def need_shares(split: Split) -> None:
    """Raise ConfigError where validation or test gets nobody: calibration and operating points need the one, metrics the other."""
    for name, part in (("valid", split.valid), ("test", split.test)):
        if part == 0:
            raise ConfigError(
                f"split.{name} is 0: nothing can be calibrated and judged without it; give it a share such as 0.15"
            )


def refuse(records: pl.DataFrame) -> None:
    """Raise SourceError if a patient stands in two splits (test and rest are both unseen), or one is empty."""
    unseen, used = pl.col("split").replace(REST, "test"), pl.col("split") != UNUSED
    apart = records.filter(used).group_by("patient").agg(unseen.n_unique().alias("splits")).filter(pl.col("splits") > 1)
    if len(apart):
        raise SourceError(f"{len(apart)} patients stand in more than one split; split by patient")
    empty = [name for name in SPLITS if name not in set(records["split"])]
    if empty:
        patients = records["patient"].n_unique()
        raise SourceError(
            f"no patient falls into {' and '.join(empty)} ({patients} patients in all); three is the least"
        )


def validated(patients: list[str], split: Split) -> list[str]:
    """train or valid for patients whose test is set apart already: by the hash, or its rank where that leaves one empty."""
    if split.valid == 0:
        raise ConfigError("split.valid is 0: nothing can be calibrated without it; give it a share such as 0.15")
    places = ["valid" if share(patient, split) < split.valid else "train" for patient in patients]
    if len(set(places)) < 2:
        order = sorted(patients, key=lambda patient: share(patient, split))
        first = set(order[: max(1, round(split.valid * len(patients)))])
        places = ["valid" if patient in first else "train" for patient in patients]
    return places


def ranked(patients: list[str], split: Split) -> list[str]:
    """Places by rank of the hash: at least one patient for test, then for validation, the rest for training."""
    order = sorted(patients, key=lambda patient: share(patient, split))
    n_test, n_valid = (max(1, round(part * len(patients))) for part in (split.test, split.valid))
    place = {p: "test" if i < n_test else "valid" if i < n_test + n_valid else "train" for i, p in enumerate(order)}
    return [place[patient] for patient in patients]
