"""Which version of MIMIC-IV a folder is of, as far as columns tell: 2.2 and 3.1 have the same, which earlier ones lack."""

from collections.abc import Mapping
from pathlib import Path

from i2m2_med.sources.mimic3.scanning import columns_of

SINCE_2_2 = {
    "PATIENTS": ("anchor_year_group", "dod"),
    "ADMISSIONS": ("admit_provider_id", "race"),
    "CHARTEVENTS": ("caregiver_id", "warning"),
    "OUTPUTEVENTS": ("caregiver_id",),
    "LABEVENTS": ("order_provider_id", "specimen_id"),
}
"""Columns that tables of 2.2 and 3.1 have."""


def columns_remark(files: Mapping[str, Path]) -> str | None:
    """A sentence on tables that lack columns of 2.2 and 3.1; None where all are there."""
    lacking = {
        name: missing for name, wanted in SINCE_2_2.items() if (missing := set(wanted) - columns_of(files[name]))
    }
    if not lacking:
        return None
    listed = "; ".join(f"{name} lacks {', '.join(sorted(missing))}" for name, missing in sorted(lacking.items()))
    return f"MIMIC-IV of a version other than 2.2 and 3.1, or an extract ({listed}): read as those are."
