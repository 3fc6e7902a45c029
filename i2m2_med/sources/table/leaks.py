"""Columns that all but say the label, told on training rows by adjusted mutual information."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.table.settings import Columns

DETERMINES = 0.9
"""Adjusted mutual information, as a share of the label's entropy, above which a column is taken for the label in other words."""
BINS = 32
IN_A_BIN = 10
"""Rows of a bin, at least: with fewer chance alone tells the label, and the correction for it breaks down."""
MOST = 20_000
"""Training rows that are looked at, evenly taken."""
FEWEST = 20


def telling_columns(
    records: pl.DataFrame, arrays: Mapping[str, np.ndarray], modalities: Mapping[str, Columns], labels: Sequence[str]
) -> dict[str, float]:
    """'modality.column → label' → adjusted mutual information on training rows, of those that nearly determine a label."""
    train = np.flatnonzero((records["split"] == "train").to_numpy())
    train = train[np.unique(np.linspace(0, len(train) - 1, min(MOST, len(train))).astype(int))]
    telling: dict[str, float] = {}
    for modality, settings in modalities.items():
        names = (*settings.numbers, *(settings.categories or ()))
        for at, name in enumerate(names):
            for label in labels:
                share = determined(arrays[modality][train, at], records[f"label_{label}"].to_numpy()[train])
                if share > DETERMINES:
                    telling[f"{modality}.{name} → {label}"] = round(share, 3)
    return telling


def refuse_empty(
    records: pl.DataFrame, arrays: Mapping[str, np.ndarray], modalities: Mapping[str, Columns], where: str
) -> None:
    """Raise SourceError for a column that is empty in every training row: what stands in it later would be read by a guess."""
    train = (records["split"] == "train").to_numpy()
    for modality, settings in modalities.items():
        known = np.isfinite(arrays[modality][train])
        for at, name in enumerate((*settings.numbers, *(settings.categories or ()))):
            if not known[:, at].any():
                raise SourceError(
                    f"{where}: '{name}' is empty in every training row; nothing can be learnt of it, leave it out"
                )


def determined(values: np.ndarray, label: np.ndarray) -> float:
    """How much of a label's entropy a column holds, 0 to 1, corrected for chance; a missing value is one of its own."""
    from sklearn.metrics import adjusted_mutual_info_score

    known = label >= 0
    values, label = values[known], label[known]
    bins = binned(values)
    if len(label) < FEWEST or len(np.unique(label)) < 2 or len(np.unique(bins)) < 2:
        return 0.0
    return float(adjusted_mutual_info_score(label, bins, average_method="min"))


def binned(values: np.ndarray) -> np.ndarray:
    """(row,) bins of like count; −1 where missing. Few different values are bins of their own."""
    finite = np.isfinite(values)
    distinct = np.unique(values[finite])
    bins = max(2, min(BINS, int(finite.sum()) // IN_A_BIN))
    if len(distinct) > bins:
        distinct = np.unique(np.quantile(values[finite], np.linspace(0, 1, bins + 1)[:-1]))
    return np.where(finite, np.searchsorted(distinct, np.where(finite, values, 0), side="right"), -1)


def refuse_telling(telling: Mapping[str, Any], allow: Sequence[str], where: str) -> None:
    """Raise SourceError where a column nearly determines a label and nobody said that it may."""
    wrong = [name for name in telling if name.partition(" → ")[0].partition(".")[2] not in allow]
    if wrong:
        columns = ", ".join(f"{name} ({telling[name]:.2f})" for name in wrong)
        names = ", ".join(dict.fromkeys(name.partition(" → ")[0].partition(".")[2] for name in wrong))
        raise SourceError(
            f"{where}: on training patients these columns all but say the label (share of its entropy): {columns}; a column made "
            f"from the label, or after it, is a leak. Leave it out, or say that it is meant: source.allow: [{names}]"
        )
