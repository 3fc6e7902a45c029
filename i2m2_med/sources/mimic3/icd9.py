"""ICD codes as tables hold them: dots taken out; codes that lost their leading zeros, or of no known system, are refused."""

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.forms import form_of
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.judging import percent
from i2m2_med.sources.source import Flow

CODE = r"^(?:\d{3,5}|[Vv]\d{2,4}|[Ee]\d{3,4})$"
DOTTED = r"^(?:\d{3}|[Vv]\d{2}|[Ee]\d{3})\.\d{1,2}$"
CODE10 = r"^[A-Z]\d[0-9A-Z]{1,5}$"
DOTTED10 = r"^[A-Z]\d[0-9A-Z]\.[0-9A-Z]{1,4}$"
FLOAT = r"^\d{4,}\.0+$"
ENOUGH = 150
"""Of so many numeric codes some begin with 0: 4 of 100 do in MIMIC, so none has a chance of 1 in 400."""


def check_codes(table: Ingested, file: str, allowed: float, flow: Flow) -> None:
    """Refuse codes whose zeros or letters are lost, codes of another system and rows that name another version, above the allowed
    share; remark below.

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
    judge_codes(codes, "ICD-9", (CODE, DOTTED), file, allowed, flow)
    tenth = table.scan().select(pl.col("ICD10_CODE").str.strip_chars().str.to_uppercase()).drop_nulls().collect()
    judge_codes(tenth.to_series(), "ICD-10", (CODE10, DOTTED10), file, allowed, flow)
    other = (pl.col("ICD_VERSION").is_not_null() & ~pl.col("ICD_VERSION").is_in([9, 10])).mean()
    share = table.scan().select(other).collect().item() or 0.0
    if share:
        complain(f"ICD_VERSION is neither 9 nor 10 in {percent(share)} of its rows", share, file, allowed, flow)


def judge_codes(
    codes: pl.Series, system: str, patterns: tuple[str, str], file: str, allowed: float, flow: Flow
) -> None:
    """Codes of one system, none of them empty: refuse or remark on those that are no such code; say how many had dots."""
    plain, dotted = (codes.str.contains(pattern) for pattern in patterns)
    others = codes.filter(~plain & ~dotted)
    if others.len():
        share, form = others.len() / codes.len(), form_of(others.value_counts(sort=True)[codes.name][0])
        problem = f"{codes.name} can't be read as an {system} code in {percent(share)} of its cells (form {form})"
        complain(problem, share, file, allowed, flow)
    if dotted.any():
        flow.remarks.append(f"DIAGNOSES_ICD: dots were taken out of {int(dotted.sum()):,} codes.")


def complain(problem: str, share: float, file: str, allowed: float, flow: Flow) -> None:
    """Refuse above the allowed share, remark below."""
    if share > allowed:
        remedy = "export the codes again, or allow more by source.unreadable"
        flow.refuse(file, SourceError(f"{file}: {problem}; {remedy}"))
    else:
        flow.remarks.append(f"DIAGNOSES_ICD: {problem}; they are of no group.")


def code() -> pl.Expr:
    """ICD9_CODE without blanks and dots."""
    return pl.col("ICD9_CODE").str.strip_chars().str.replace(".", "", literal=True)
