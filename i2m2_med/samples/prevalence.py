"""Prevalence of each finding in each split, which a reader has to know before any metric."""

from collections.abc import Sequence
from typing import Any

import polars as pl

UNITS = {"samples": None, "studies": "study", "patients": "patient"}


def prevalences(records: pl.DataFrame, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Per split and label: samples (slices), studies (volumes) and patients with it, of how many, and the share.

    records: `split`, `patient`, `study` and `label_<name>`; samples with an unknown label (-1) are left out. With it
    means class 1 or higher.
    """
    rows: list[dict[str, Any]] = []
    for (split,), part in records.group_by("split", maintain_order=True):
        for label in labels:
            known = part.filter(pl.col(f"label_{label}") >= 0)
            positive = known.filter(pl.col(f"label_{label}") > 0)
            row: dict[str, Any] = {"split": split, "label": label}
            for unit, key in UNITS.items():
                with_it, of = (len(which) if key is None else which[key].n_unique() for which in (positive, known))
                row[unit] = {"with": with_it, "of": of, "share": round(with_it / of, 4) if of else None}
            rows.append(row)
    return rows
