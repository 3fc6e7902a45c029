"""Folds of a cross-validation: every patient tests once, and each fold's model is trained and validated on the other folds.

Folds are dealt by scikit-learn's StratifiedGroupKFold, with patients as its groups: strata are combinations of labels and then of
groups, as far as they hold patients enough. Within a fold's training patients, validation is dealt the same way, so nobody who
tests has chosen an epoch, a calibration or a threshold. Places depend on the cohort (a hash decides among equals only).
"""

import warnings

import numpy as np
import polars as pl

from i2m2_med.config.run import Split
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.split import share
from i2m2_med.samples.stated_split import folds_from_file

MOST_STRATA = 60
"""Strata beyond which no further column divides them."""


def fold_column(fold: int) -> str:
    """The private column of records that holds each sample's split in one fold."""
    return f"_split_{fold}"


def assign_folds(records: pl.DataFrame, split: Split) -> tuple[pl.DataFrame, str]:
    """`records` with a column of train, valid and test for each fold, and how the folds were made.

    Raises ConfigError where there are fewer patients than folds or no share for validation, SourceError where the file of folds
    leaves doubt.
    """
    assert split.folds is not None
    patients = records["patient"].n_unique()
    if patients < max(split.folds, 3):
        raise ConfigError(
            f"split.folds is {split.folds}, but there are {patients} patients; each fold needs one, and three is the least"
        )
    if split.valid == 0:
        raise ConfigError("split.valid is 0: nothing can be calibrated without it; give it a share such as 0.15")
    if split.file:
        fold, how = folds_from_file(records, split.file, split.folds)
    else:
        fold = deal(records, split.folds, split)
        how = f"{split.folds} folds of patients, stratified by labels and groups"
    parts = {fold_column(number): split_of_fold(records, fold, number, split) for number in range(split.folds)}
    return records.with_columns(**parts, split=pl.lit("test")), how


def split_of_fold(records: pl.DataFrame, fold: pl.Series, number: int, split: Split) -> pl.Series:
    """train, valid or test of each sample where fold `number` tests; validation is dealt among the others."""
    tests = fold == number
    rest = records.filter(~tests)
    patients = rest["patient"].n_unique()
    if patients < 2:
        raise SourceError(f"fold {number} leaves {patients} patients to train and validate; two are the least")
    wanted = split.valid * records["patient"].n_unique()
    parts = min(max(2, round(patients / wanted)), patients)
    validates = rest["patient"].filter(deal(rest, parts, split) == 0).unique().implode()
    place = pl.when(tests).then(pl.lit("test")).when(records["patient"].is_in(validates)).then(pl.lit("valid"))
    return records.select(place.otherwise(pl.lit("train")).alias("split"))["split"]


def deal(records: pl.DataFrame, folds: int, split: Split) -> pl.Series:
    """The fold (0 to folds − 1) of each sample; all samples of a patient are in one."""
    from sklearn.model_selection import StratifiedGroupKFold

    order = sorted(set(records["patient"]), key=lambda patient: share(patient, split))
    number = records["patient"].replace_strict(order, range(len(order)), return_dtype=pl.Int64).to_numpy()
    stratum = strata(records, folds)
    if max(np.bincount(stratum)) < folds:  # which scikit-learn refuses
        stratum = np.zeros_like(stratum)
    fold = np.empty(len(records), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for at, (_, tests) in enumerate(StratifiedGroupKFold(folds).split(stratum, stratum, number)):
            fold[tests] = at
    return pl.Series("fold", fold)


def strata(records: pl.DataFrame, folds: int) -> np.ndarray:
    """A number per sample: labels, then groups, divide the samples; parts of fewer patients than folds are put together."""
    columns = [name for kind in ("label_", "group_") for name in records.columns if name.startswith(kind)]
    stratum = pl.repeat(0, len(records), eager=True, dtype=pl.Int64)
    for column in columns:
        parts = pl.DataFrame(
            {"of": stratum, "value": records[column].cast(pl.String).fill_null(""), "patient": records["patient"]}
        )
        patients = pl.col("patient").n_unique().over("of", "value")
        divided = parts.with_columns(
            value=pl.when(patients >= folds).then(pl.concat_str(pl.lit("="), "value")).otherwise(pl.lit("rest"))
        )
        ranked = divided.select(pl.struct("of", "value").rank("dense") - 1).to_series().cast(pl.Int64)
        if ranked.n_unique() > MOST_STRATA:
            break
        stratum = ranked
    return stratum.to_numpy()
