"""MIMIC-IV as a source: its tables in MIMIC-III's columns (`mimic3/mimic4_columns.py`), then the same tasks, flags, arrays, audits.

Unlike MIMIC-III: diagnoses are coded in ICD-9 or ICD-10 (groups in both: `mimic3/icd10.py`); deaths after discharge (`patients.dod`)
are known up to one year after a patient's last discharge, and no longer; laboratory values have a time of storing; notes are
MIMIC-IV-Note's discharge summaries and radiology reports, and as inputs only the latter, by the same rules of time; subgroups
`years` are the anchor year groups.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import model_validator

from i2m2_med.sources import mimic3
from i2m2_med.sources.mimic3.folders import FOUR
from i2m2_med.sources.mimic3.icd10 import GROUPS
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.labels import GROUP_STARTS, YEAR_HOURS
from i2m2_med.sources.mimic4.version import columns_remark
from i2m2_med.sources.source import Flow

CENSORED = (
    "deaths after discharge are known up to one year after a patient's last discharge; who died later counts as alive"
)


class Settings(mimic3.Settings):
    """`source: {name: mimic4, root: …}`. Everything else is as of source mimic3."""

    name: Literal["mimic4"] = "mimic4"  # type: ignore[assignment]
    root: Path
    """Folder of MIMIC-IV 2.2 or 3.1: `hosp/` and `icu/` as downloaded, and for notes MIMIC-IV-Note's `note/` beside them. Or a
    database, `postgresql://user@host/mimiciv` or `postgresql+psycopg2://…`, with mimic-code's schemas `mimiciv_hosp`, `mimiciv_icu`,
    `mimiciv_note`: its tables are copied into the workspace first; the password is $PGPASSWORD or in ~/.pgpass."""

    @model_validator(mode="after")
    def deaths_are_known(self) -> "Settings":
        if self.task == "mortality" and self.outcome == "exclusive" and self.horizons[-1] > YEAR_HOURS:
            raise ValueError(f"MIMIC-IV's {CENSORED}: horizons go up to {YEAR_HOURS} hours")
        return self


class Source(mimic3.Source):
    """Modalities as of source mimic3."""

    release = FOUR
    folders = ("hosp", "icu", "note")
    note_tables = ("DISCHARGE", "RADIOLOGY")
    infusion_tables = ("INPUTEVENTS",)
    schemas = ("mimiciv_hosp", "mimiciv_icu", "mimiciv_note")
    held_apart_by = "group_years"

    @property
    def label_rules(self) -> dict[str, str]:
        rules = {"icd9": group_rule(self.settings.icd9_group), "mortality": CENSORED}
        rule = rules.get(self.settings.task)
        return {self.labels.names[0]: rule} if rule else super().label_rules

    def remark(self, tables: Mapping[str, Ingested], flow: Flow) -> None:
        systems = tables["DIAGNOSES_ICD"].scan().select(pl.col("ICD9_CODE", "ICD10_CODE").count()).collect()
        flow.audits["diagnoses"] = {"ICD-9": systems["ICD9_CODE"][0], "ICD-10": systems["ICD10_CODE"][0]}
        flow.audits["birth"] = "1 January of the anchor year less the anchor age (91 above 89)"
        flow.audits["follow_up"] = CENSORED
        unknown = columns_remark(self.tables()) if self.settings.database is None else None
        flow.remarks += [unknown] if unknown else []


def group_rule(group: int) -> str:
    """How a group is defined in both versions of ICD.

    >>> group_rule(7)
    'ICD-9 460–519 in admissions coded in ICD-9, J00–J99 in those coded in ICD-10'
    """
    ends = {**dict(enumerate([*(start - 1 for start in GROUP_STARTS[1:]), 999])), 10: 677}
    ninth = f"{GROUP_STARTS[group]:03d}–{ends[group]:03d}" if group < len(GROUP_STARTS) else {19: "V", 20: "E"}[group]
    first, last = next((first, last) for first, last, number in GROUPS if number == group)
    return f"ICD-9 {ninth} in admissions coded in ICD-9, {first}–{last} in those coded in ICD-10"
