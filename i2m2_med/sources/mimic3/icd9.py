"""ICD-9 codes as tables hold them: dots taken out; codes that lost their leading zeros are refused."""

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.forms import form_of
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.judging import percent
from i2m2_med.sources.source import Flow

CODE = r"^(?:\d{3,5}|[Vv]\d{2,4}|[Ee]\d{3,4})$"
DOTTED = r"^(?:\d{3}|[Vv]\d{2}|[Ee]\d{3})\.\d{1,2}$"
FLOAT = r"^\d{4,}\.0+$"
ENOUGH = 150
"""Of so many numeric codes some begin with 0: 4 of 100 do in MIMIC, so none has a chance of 1 in 400."""


def check_codes(table: Ingested, file: str, allowed: float, flow: Flow) -> None:
    """Refuse codes whose zeros or letters are lost and codes of another system, above the allowed share; remark below.

    Raises SourceError; with `flow.skip_bad` it is listed.
    """
    codes = table.scan().select(pl.col("ICD9_CODE").str.strip_chars()).drop_nulls().collect().to_series()
    numeric = codes.filter(codes.str.contains(r"^\d"))
    as_float = codes.str.contains(FLOAT)
    if as_float.any() or (numeric.len() >= ENOUGH and not numeric.str.starts_with("0").any()):
        lost = (
            "were written as numbers (dddd.d)" if as_float.any() else f"are {numeric.len():,}, and none begins with 0"
        )
        problem = f"{file}: ICD9_CODE lost its leading zeros (its codes {lost}: 0389 became 389)"
        flow.refuse(file, SourceError(f"{problem}; export the column as text again"))
        return
    others = codes.filter(~codes.str.contains(CODE) & ~codes.str.contains(DOTTED))
    share = others.len() / max(codes.len(), 1)
    if others.len():
        form = form_of(others.value_counts(sort=True)["ICD9_CODE"][0])
        problem = f"ICD9_CODE can't be read as an ICD-9 code in {percent(share)} of its cells (form {form})"
        if share > allowed:
            remedy = "export ICD-9 codes again, or allow more by source.unreadable"
            flow.refuse(file, SourceError(f"{file}: {problem}; {remedy}"))
        else:
            flow.remarks.append(f"DIAGNOSES_ICD: {problem}; they are of no group.")
    dotted = int(codes.str.contains(DOTTED).sum())
    if dotted:
        flow.remarks.append(f"DIAGNOSES_ICD: dots were taken out of {dotted:,} codes.")


def code() -> pl.Expr:
    """ICD9_CODE without blanks and dots."""
    return pl.col("ICD9_CODE").str.strip_chars().str.replace(".", "", literal=True)
