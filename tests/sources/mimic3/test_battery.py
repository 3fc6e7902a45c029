"""Edited copies of the real demo: every case comes out equal to the last byte, or is refused in one line that points the right way.

Each case says which share of the cells of the tables it edits is written otherwise.
"""

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.tables import TABLES, TIME

from .conftest import Build, Built
from .erasure import read

EVENTS = ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")
SMALL = ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "SERVICES", "DIAGNOSES_ICD")
Edit = Callable[[pl.DataFrame], pl.DataFrame]
EMPTY = ("", "NULL", "NA", r"\N", "NaN")


@dataclass(frozen=True)
class Case:
    """One way in which tables are written otherwise."""

    name: str
    tables: tuple[str, ...]
    edit: Edit
    refused: str = ""
    """What the refusal says; without it the arrays come out equal."""
    remark: str = ""
    settings: tuple[tuple[str, Any], ...] = ()
    csv: tuple[tuple[str, Any], ...] = ()
    """Options of write_csv."""
    after: Callable[[bytes], bytes] = bytes
    """What is done to the file's bytes."""

    def __str__(self) -> str:
        return self.name


def times_of(name: str) -> list[str]:
    return [column for column, kind in TABLES[name].columns.items() if kind == TIME]


def parsed(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%d %H:%M:%S")


def written(form: str, *only: str) -> Edit:
    """All times (or only some columns) in another form."""

    def edit(table: pl.DataFrame) -> pl.DataFrame:
        columns = [
            column
            for column in table.columns
            if column in only or (not only and column.endswith(("TIME", "DOB", "DOD")))
        ]
        return table.with_columns(parsed(column).dt.strftime(form).alias(column) for column in columns)

    return edit


def cells(*columns: str, **how: Any) -> Edit:
    """Columns through an expression: `how["by"]` of the column."""
    return lambda table: table.with_columns(
        how["by"](pl.col(column)).alias(column) for column in columns if column in table.columns
    )


def alternating(one: Edit, other: Edit) -> Edit:
    """Two forms, row by row in turns."""

    def edit(table: pl.DataFrame) -> pl.DataFrame:
        even = pl.int_range(pl.len()) % 2 == 0
        first, second = one(table), other(table)
        return table.with_columns(
            pl.Series(
                column,
                first.select(column)
                .with_columns(o=second[column])
                .select(pl.when(even).then(column).otherwise("o"))
                .to_series(),
            )
            for column in table.columns
        )

    return edit


def repeated_header(table: pl.DataFrame) -> pl.DataFrame:
    half = table.height // 2
    return pl.concat([table[:half], pl.DataFrame({column: [column] for column in table.columns}), table[half:]])


def other_order(table: pl.DataFrame) -> pl.DataFrame:
    half, turned = table.height // 2, list(reversed(table.columns))
    second = pl.concat([pl.DataFrame({column: [column] for column in turned}), table[half:].select(turned)])
    return pl.concat([table[:half], second.rename(dict(zip(turned, table.columns, strict=True)))])


def emptied(table: pl.DataFrame) -> pl.DataFrame:
    """Empty cells spelled in five ways in turns."""
    spelled = pl.concat_list(pl.lit(text) for text in EMPTY).list.get(pl.int_range(pl.len()) % len(EMPTY))
    typed = [
        column
        for column in table.columns
        if column not in ("VALUE", "VALUEUOM", "ADMISSION_TYPE", "INSURANCE", "ETHNICITY")
    ]
    return table.with_columns(pl.col(column).fill_null(spelled) for column in typed)


def same(table: pl.DataFrame) -> pl.DataFrame:
    return table


SPELLED = {
    "BPM": "beats/min", "bpm": "{beats}/min", "insp/min": "breaths/min", "mmHg": "mm[Hg]", "mm Hg": "mm Hg.", "K/uL": "x10^3/µL",
    "mEq/L": "meq / l", "?F": "[degF]", "Deg. F": "degF", "Deg. C": "Cel", "mg/dL": "MG/DL", "ml": "cc", "mL": "mL", "%": "percent",
}  # fmt: skip
GREGORIAN = ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S")
NUMBERS = ("VALUENUM",)
DROP_ZEROS = cells("ICD9_CODE", by=lambda code: code.str.strip_chars_start("0"))
CASES = [
    Case("UTC on events", EVENTS, cells("CHARTTIME", "STORETIME", by=lambda t: t + " UTC"), remark="zone +00:00"),
    Case("Z and T everywhere", (*SMALL, *EVENTS), written("%Y-%m-%dT%H:%M:%SZ"), remark="wall clock"),
    Case("T without zone", EVENTS, written("%Y-%m-%dT%H:%M:%S")),
    Case("fractions", EVENTS, written("%Y-%m-%d %H:%M:%S%.6f")),
    Case("one zone everywhere", (*SMALL, *EVENTS), written("%Y-%m-%d %H:%M:%S-05:00"), remark="zone -05:00"),
    Case("a zone on events only", EVENTS, written("%Y-%m-%d %H:%M:%S-05:00"), refused="zones -05:00 and others have none"),
    Case("summer time", EVENTS, alternating(written("%Y-%m-%d %H:%M:%S-05:00"), written("%Y-%m-%d %H:%M:%S-04:00")), refused="zones -04:00, -05:00"),
    Case("month first", EVENTS, written(GREGORIAN[0])),
    Case("day first", (*SMALL, *EVENTS), written(GREGORIAN[1])),
    Case("day and month first in turns", EVENTS, alternating(written(GREGORIAN[0]), written(GREGORIAN[1])), refused="CHARTTIME can't be read as a time in 100 % .*day or month"),
    Case("ISO and month first in turns", EVENTS, alternating(same, written(GREGORIAN[0]))),
    Case("Excel's clock", ("CHARTEVENTS",), written("%-m/%-d/%Y %-I:%M:%S %p")),
    Case("12 hours, no AM or PM", ("OUTPUTEVENTS",), written("%Y-%m-%d %I:%M:%S"), refused="from 1 to 12 without AM or PM"),
    Case("seconds since 1970", ("LABEVENTS",), cells("CHARTTIME", by=lambda t: t.str.to_datetime().dt.epoch("s").cast(pl.String)), refused="numbers stand where times"),
    Case("Excel's days", ("LABEVENTS",), cells("CHARTTIME", by=lambda t: (t.str.to_datetime().dt.epoch("s") / 86_400 + 25_569).cast(pl.String)), refused="LABEVENTS.csv.gz: CHARTTIME .*numbers stand"),
    Case("two-digit years", ("OUTPUTEVENTS",), written("%m/%d/%y %H:%M"), refused=r"form dd/dd/dd dd:dd"),
    Case("dates without hours", ("CHARTEVENTS",), written("%Y-%m-%d", "CHARTTIME"), refused="CHARTTIME hold a date without an hour"),
    Case("basic ISO", ("ICUSTAYS", "OUTPUTEVENTS"), written("%Y%m%dT%H%M%S")),
    Case("as SAS writes them", ("ICUSTAYS", "ADMISSIONS", "PATIENTS"), written("%d%b%Y:%H:%M:%S")),
    Case("deaths month first", ("PATIENTS",), written("%m/%d/%Y", "DOD")),
    Case("deaths with two-digit years", ("PATIENTS",), written("%m/%d/%y", "DOD"), refused="PATIENTS.csv.gz: DOD can't be read as a time in 100 %"),
    Case("stays in another form", ("ICUSTAYS",), cells("INTIME", by=lambda t: "at " + t), refused=r"ICUSTAYS.csv.gz: INTIME can't be read as a time in 100 % of its cells \(form aa dddd-dd-dd dd:dd:dd\)"),
    Case("item numbers as floats", EVENTS, cells("ITEMID", by=lambda i: i + ".0")),
    Case("all ids as floats", (*SMALL, *EVENTS), cells("ITEMID", "SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "ROW_ID", by=lambda i: i + ".0")),
    Case("item numbers with letters", ("OUTPUTEVENTS",), cells("ITEMID", by=lambda i: "I" + i), refused="ITEMID can't be read as a whole number in 100 %.*form adddd"),
    Case("decimal commas", ("CHARTEVENTS", "LABEVENTS"), cells("VALUENUM", by=lambda v: v.cast(pl.Float64).cast(pl.String).str.replace(".", ",", literal=True))),
    Case("commas and points", ("LABEVENTS",), alternating(same, cells("VALUENUM", by=lambda v: v.str.replace(".", ",", literal=True))), refused="VALUENUM can't be read as a number .*commas"),
    Case("thousands set apart", ("OUTPUTEVENTS",), cells("VALUE", by=lambda v: v.cast(pl.Float64).cast(pl.String).str.replace(r"^(\d+)(\d{3})\.", "$1,$2."))),
    Case("full-width digits", ("LABEVENTS",), cells("VALUENUM", by=lambda v: v.str.replace_many(list("0123456789"), list("０１２３４５６７８９")))),
    Case("underscores", ("LABEVENTS",), cells("VALUENUM", by=lambda v: v.str.replace(r"^(\d)", "${1}_0")), refused="form d_d"),
    Case("quoted empty cells", (*SMALL, *EVENTS), same, csv=(("quote_style", "always"),)),
    Case("five spellings of nothing", (*SMALL, *EVENTS), emptied),
    Case("a byte-order mark and CRLF", (*SMALL, *EVENTS), same, after=lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")),
    Case("UTF-16", ("ADMISSIONS",), same, after=lambda text: text.decode().encode("utf-16"), refused="UTF-16"),
    Case("semicolons", ("LABEVENTS",), same, csv=(("separator", ";"),), refused="delimited by ';'"),
    Case("carriage returns", ("SERVICES",), same, after=lambda text: text.replace(b"\n", b"\r"), refused="carriage return"),
    Case("repeated headers", (*SMALL, *EVENTS), repeated_header, remark="1 repeated header lines were left out"),
    Case("two orders of columns", ("CHARTEVENTS",), other_order, refused="columns are in different orders"),
    Case("two orders of a small table", ("ADMISSIONS",), other_order, refused="columns are in different orders"),
    Case("units by other spellings", EVENTS, cells("VALUEUOM", by=lambda u: u.replace(SPELLED))),
    Case("an unknown unit", ("CHARTEVENTS",), cells("VALUEUOM", by=lambda u: u.replace({"BPM": "furlong", "bpm": "furlong"})), refused=r"item 2\w+ \(heart_rate\) is charted in an unknown unit \(form aaaaaaa\)"),
    Case("another unit", ("CHARTEVENTS",), cells("VALUEUOM", by=lambda u: u.replace({"Deg. F": "Deg. C", "?F": "?C"})), refused=r"\(temperature\) is charted in degC"),
    Case("codes without zeros", ("DIAGNOSES_ICD",), DROP_ZEROS, refused="lost its leading zeros"),
    Case("codes as floats", ("DIAGNOSES_ICD",), lambda t: cells("ICD9_CODE", by=lambda c: c + ".0")(DROP_ZEROS(t)), refused="lost its leading zeros"),
    Case("codes with dots", ("DIAGNOSES_ICD",), cells("ICD9_CODE", by=lambda c: c.str.replace(r"^(\d{3}|V\d{2}|E\d{3})(\d+)$", "$1.$2")), remark="dots were taken out", settings=(("task", "icd9"),)),
    Case("codes of ICD-10", ("DIAGNOSES_ICD",), cells("ICD9_CODE", by=lambda c: "I" + c.str.head(2) + ".9"), refused="can't be read as an ICD-9 code in 100 %.*form add.d"),
    Case("outputs twice, numbered anew", ("OUTPUTEVENTS",), lambda t: pl.concat([t, t.with_columns(ROW_ID=(pl.col("ROW_ID").cast(pl.Int64) + 10**9).cast(pl.String))]), remark="outputs stand there twice"),
    Case("all events twice, not numbered", EVENTS, lambda t: pl.concat([t, t]).with_columns(ROW_ID=pl.lit(None, pl.String)), remark="outputs stand there twice"),
    Case("admissions cut at 60 %", ("ADMISSIONS",), lambda t: t.head(t.height * 6 // 10), refused="ADMISSIONS.csv.gz .*looks truncated"),
    Case("measurements of half the patients", ("CHARTEVENTS",), lambda t: t.filter(pl.col("SUBJECT_ID").cast(pl.Int64) < 20_000).head(50_000), refused="CHARTEVENTS.csv.gz has no row for .*looks truncated"),
]  # fmt: skip
QUICK = (
    "deaths",
    "stays in another",
    "as SAS",
    "basic ISO",
    "codes",
    "UTF-16",
    "two orders of a small",
    "12 hours",
    "outputs twice",
    "admissions cut",
    "carriage",
)
SHARES = {
    "UTC on events": 0.177,
    "item numbers as floats": 0.107,
    "decimal commas": 0.099,
    "deaths month first": 0.2,
    "units by other spellings": 0.077,
}
"""Share of the edited tables' cells that some cases write otherwise."""


def edited(thin: Path, out: Path, case: Case) -> tuple[Path, float]:
    """The tables with the case's edit; and which share of the edited tables' cells it writes otherwise."""
    out.mkdir()
    changed = total = 0
    for name in (*SMALL, *EVENTS):
        if name not in case.tables:
            (out / f"{name}.csv.gz").symlink_to(thin / f"{name}.csv.gz")
            continue
        table = read(thin, name)
        other = case.edit(table)
        total += table.height * table.width
        if other.height == table.height:
            changed += sum(int(table[column].ne_missing(other[column]).sum()) for column in table.columns)
        text = case.after(other.write_csv(**dict(case.csv)).encode())
        (out / f"{name}.csv.gz").write_bytes(gzip.compress(text, 1))
    return out, changed / total


def assert_equal(ours: Built, theirs: Built) -> None:
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(theirs.arrays[name], array)
    assert theirs.records.equals(ours.records)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=() if case.name.startswith(QUICK) else pytest.mark.slow) for case in CASES],
)
def test_equal_or_refused(build: Build, thin: Path, tmp_path: Path, case: Case) -> None:
    root, share = edited(thin, tmp_path / "edited", case)
    if case.name in SHARES:
        assert share == pytest.approx(SHARES[case.name], abs=0.02)
    if case.refused:
        with pytest.raises(SourceError, match=case.refused) as caught:
            build(root, **dict(case.settings))
        assert "\n" not in str(caught.value)
        assert not re.search(r"\d{4}-\d{2}-\d{2}", str(caught.value))
        return
    built = build(root, **dict(case.settings))
    assert_equal(build(thin, **dict(case.settings)), built)
    assert case.remark in " ".join(built.flow.remarks)


def test_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert set(SHARES) <= {case.name for case in CASES}


@pytest.mark.parametrize("name", [*SMALL, pytest.param("CHARTEVENTS", marks=pytest.mark.slow)])
def test_a_plain_table_cut_at_sixty_percent_is_refused(build: Build, demo: Path, tmp_path: Path, name: str) -> None:
    """Within a line by its last line, between two lines by the release's counts."""
    (tmp_path / "cut").mkdir()
    for other in (*SMALL, *EVENTS):
        (tmp_path / "cut" / f"{other}.csv.gz").symlink_to(demo / f"{other}.csv.gz")
    (tmp_path / "cut" / f"{name}.csv.gz").unlink()
    whole = gzip.decompress((demo / f"{name}.csv.gz").read_bytes())
    cut = whole[: len(whole) * 6 // 10]
    for text in (cut[: cut.rfind(b",")], cut[: cut.rfind(b"\n") + 1]):
        (tmp_path / "cut" / f"{name}.csv").write_bytes(text)
        with pytest.raises(SourceError, match=rf"{name}.csv .*looks truncated"):
            build(tmp_path / "cut")


def test_unreadable_cells_below_the_share_are_said(build: Build, thin: Path, tmp_path: Path) -> None:
    """Death dates of 1 of 100 patients: an unknown label for that one, not a survivor."""
    one = cells("DOD", by=lambda d: pl.when(pl.int_range(pl.len()) == 1).then(pl.lit("01/02/50")).otherwise(d))
    case = Case(
        "one death unreadable",
        ("PATIENTS", "ADMISSIONS"),
        lambda t: one(t) if "DOD" in t.columns else t.with_columns(DEATHTIME=pl.lit(None, pl.String)),
    )
    built = build(edited(thin, tmp_path / "edited", case)[0])
    assert (
        "PATIENTS: DOD can't be read as a time in 1 % of its cells (form dd/dd/dd); they count as empty."
        in built.flow.remarks
    )
    patient = read(thin, "PATIENTS")["SUBJECT_ID"][1]
    assert built.records.filter(pl.col("patient") == patient)["label_mortality"].to_list() == [-1]
    with pytest.raises(SourceError, match="DOD can't be read"):
        build(tmp_path / "edited", unreadable=0.005)


def test_dead_in_hospital_without_any_date_is_unknown(build: Build, thin: Path, tmp_path: Path) -> None:
    def undated(table: pl.DataFrame) -> pl.DataFrame:
        gone = [column for column in ("DOD", "DEATHTIME") if column in table.columns]
        return table.with_columns(pl.lit(None, pl.String).alias(column) for column in gone)

    root = edited(thin, tmp_path / "edited", Case("no dates of death", ("PATIENTS", "ADMISSIONS"), undated))[0]
    built = build(root)
    assert set(built.records["label_mortality"]) == {-1}  # EXPIRE_FLAG is 1 for all of the demo
    assert set(build(root, profile="i2m2_compat").records["label_mortality"]) == {-1}
    assert not built.records["_censored"].any()
    assert built.records["_hours"].null_count() == built.records.height
