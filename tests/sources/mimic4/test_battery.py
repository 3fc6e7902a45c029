"""Edited copies of MIMIC-III's real demo under MIMIC-IV's names: read alike, or refused in one line; never half-read in silence."""

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from tests.sources.mimic3.conftest import Build, Built
from tests.sources.mimic4.test_renamed_demo import coded_in_10, roots

__all__ = ["coded_in_10", "roots"]  # fixtures
pytestmark = pytest.mark.slow
Edit = Callable[[Path], None]
ASKED = {"task": "icd9", "icd9_group": 7, "comorbidities": "this_admission"}


def table(root: Path, name: str) -> Path:
    return next(path for path in root.rglob("*") if path.name.split(".")[0] == name)


def change(name: str, *columns: pl.Expr, **named: pl.Expr) -> Edit:
    """The table with columns in place of those of the same name."""

    def edit(root: Path) -> None:
        path = table(root, name)
        pl.read_csv(path, infer_schema=False).with_columns(*columns, **named).write_csv(path, compression="gzip")

    return edit


def every(columns: tuple[str, ...], how: Callable[[pl.Expr], pl.Expr]) -> Edit:
    """Every table that has one of the columns, those changed."""

    def edit(root: Path) -> None:
        for path in sorted(root.rglob("*.gz")):
            rows = pl.read_csv(path, infer_schema=False)
            there = [column for column in columns if column in rows.columns]
            rows.with_columns(how(pl.col(column)) for column in there).write_csv(path, compression="gzip")

    return edit


def without(name: str, *columns: str) -> Edit:
    def edit(root: Path) -> None:
        path = table(root, name)
        pl.read_csv(path, infer_schema=False).drop(columns).write_csv(path, compression="gzip")

    return edit


def renamed(name: str, old: str, new: str) -> Edit:
    def edit(root: Path) -> None:
        path = table(root, name)
        pl.read_csv(path, infer_schema=False).rename({old: new}).write_csv(path, compression="gzip")

    return edit


def as_parquet(root: Path) -> None:
    for path in sorted(root.rglob("*.gz")):
        pl.read_csv(path, try_parse_dates=True, infer_schema_length=None, schema_overrides={"icd_code": pl.String, "value": pl.String}).write_parquet(
            path.with_name(path.name.replace(".csv.gz", ".parquet"))
        )  # fmt: skip
        path.unlink()


def unpacked(root: Path) -> None:
    for path in sorted(root.rglob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


def in_capitals(root: Path) -> None:
    for path in sorted(root.rglob("*.gz")):
        rows = pl.read_csv(path, infer_schema=False)
        rows.rename(str.upper).write_csv(
            path.with_name(path.name.split(".")[0].upper() + ".csv.gz"), compression="gzip"
        )
        path.unlink()


def flat(root: Path) -> None:
    for path in sorted(root.rglob("*.gz")):
        shutil.move(path, root / path.name)
    for module in ("hosp", "icu"):
        (root / module).rmdir()


def cut(root: Path) -> None:
    path = table(root, "labevents")
    path.write_bytes(path.read_bytes()[:-4000])


def halved(root: Path) -> None:
    path = table(root, "chartevents")
    rows = pl.read_csv(path, infer_schema=False)
    few = rows["subject_id"].unique(maintain_order=True)[:9].implode()
    rows.filter(pl.col("subject_id").is_in(few)).write_csv(path, compression="gzip")


def doubled(name: str) -> Edit:
    def edit(root: Path) -> None:
        path = table(root, name)
        rows = pl.read_csv(path, infer_schema=False)
        pl.concat([rows, rows.sample(fraction=0.3, seed=1)]).write_csv(path, compression="gzip")

    return edit


def second_header(root: Path) -> None:
    path = table(root, "chartevents")
    text = gzip.decompress(path.read_bytes()).decode()
    header, _, rest = text.partition("\n")
    middle = rest.index("\n", len(rest) // 2) + 1
    path.write_bytes(gzip.compress(f"{header}\n{rest[:middle]}{header}\n{rest[middle:]}".encode()))


def beside(root: Path) -> None:
    (root / "hosp" / "._patients.csv.gz").write_bytes(b"\x00\x05\x16\x07")
    (root / "index.html").write_text("<html>", encoding="utf-8")


def twice(root: Path) -> None:
    path = table(root, "patients")
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


def linked(root: Path) -> None:
    for module in ("hosp", "icu"):
        shutil.move(root / module, root.parent / f"{root.name}_{module}")
        (root / module).symlink_to(root.parent / f"{root.name}_{module}")


def both(*edits: Edit) -> Edit:
    def edit(root: Path) -> None:
        for each in edits:
            each(root)

    return edit


TIMES = ("charttime", "storetime", "intime", "outtime", "admittime", "dischtime", "deathtime", "transfertime")
ICD10 = pl.col("icd_version") == "10"
CODE = pl.col("icd_code")
FEW = pl.int_range(pl.len()) % 500 == 0


@dataclass(frozen=True)
class Case:
    name: str
    edit: Edit
    refused: str | None = None
    remark: str | None = None
    static_differs: bool = False


CASES = (
    Case("ages as floats", change("patients", pl.col("anchor_age") + ".0", pl.col("anchor_year") + ".0")),
    Case("ages in words", change("patients", anchor_age=pl.lit("forty")), refused=r"DOB can't be read as a time in 100 %.*form aaaaa"),
    Case("ages with a half", change("patients", pl.col("anchor_age") + ".5"), refused="DOB can't be read as a time"),
    Case("no anchor year", change("patients", anchor_year=pl.lit(None, pl.String)), refused="DOB can't be read as a time in 100 %"),
    Case("no anchor column", without("patients", "anchor_age"), refused=r"lacks the column DOB \(in MIMIC-IV anchor_age and anchor_year\)"),
    Case("a version as float", change("diagnoses_icd", pl.col("icd_version") + ".0")),
    Case("no version", without("diagnoses_icd", "icd_version"), refused="lacks the column ICD9_CODE"),
    Case("a few versions of another kind", change("diagnoses_icd", icd_version=pl.when(FEW).then(pl.lit("11")).otherwise("icd_version")), remark="ICD_VERSION is neither 9 nor 10 in 0", static_differs=True),
    Case("ICD-10 in small letters", change("diagnoses_icd", CODE.str.to_lowercase())),
    Case("ICD-10 with dots", change("diagnoses_icd", pl.when(ICD10 & (CODE.str.len_chars() > 3)).then(CODE.str.head(3) + "." + CODE.str.slice(3)).otherwise(CODE)), remark="dots were taken out of"),
    Case("codes padded as CHAR(7)", change("diagnoses_icd", CODE.str.pad_end(7, " "))),
    Case("ICD-9 without zeros", change("diagnoses_icd", pl.when(~ICD10).then(CODE.str.strip_chars_start("0")).otherwise(CODE)), refused="lost its leading zeros"),
    Case("versions swapped", change("diagnoses_icd", icd_version=pl.col("icd_version").replace({"9": "10", "10": "9"})), refused=r"can't be read as an ICD-(9|10) code"),
    Case("stays as floats", every(("stay_id", "hadm_id"), lambda column: column + ".0")),
    Case("items as floats", every(("itemid",), lambda column: column + ".0")),
    Case("identifiers with blanks", every(("subject_id", "stay_id", "itemid"), lambda column: column.str.replace("^", " "))),
    Case("headers in capitals", in_capitals),
    Case("plain csv", unpacked),
    Case("Parquet", as_parquet),
    Case("one folder for all", flat),
    Case("linked folders", linked),
    Case("what an unpacker leaves", beside),
    Case("patients twice", twice, refused="PATIENTS more than once"),
    Case("dates of death in American", change("patients", pl.col("dod").str.replace(r"^(\d{4})-(\d\d)-(\d\d).*$", "$2/$3/$1"))),
    Case("times with T and Z", every(TIMES, lambda column: column.str.replace(" ", "T") + "Z"), remark="name the zone"),
    Case("times with milliseconds", every(TIMES, lambda column: column + ".000")),
    Case("times of one table without hours", change("labevents", pl.col("charttime").str.head(10)), refused="hold a date without an hour"),
    Case("decimal commas", change("labevents", pl.col("valuenum").str.replace(".", ",", literal=True), pl.col("value").str.replace(".", ",", literal=True))),
    Case("units otherwise", every(("valueuom",), lambda column: column.replace({"bpm": "beats/min", "mmHg": "mm[Hg]", "?F": "[degF]", "K/uL": "x10^3/uL", "mEq/L": "mmol/L"}))),
    Case("units unknown", change("labevents", valueuom=pl.when(pl.col("itemid") == "51006").then(pl.lit("furlong")).otherwise("valueuom")), refused=r"item 51006 \(bun\) is charted in an unknown unit"),
    Case("a second header", second_header, remark="1 repeated header lines were left out"),
    Case("laboratory rows twice", doubled("labevents"), remark="rows that stand there twice count once"),
    Case("outputs twice", doubled("outputevents"), remark="outputs stand there twice"),
    Case("charted rows twice", doubled("chartevents")),
    Case("cut gzip", cut, refused="ends in the middle or is damaged"),
    Case("half of the charts", halved, refused="has no row for .* of the patients with an ICU stay: this looks truncated"),
    Case("race as before 2.0", renamed("admissions", "race", "ethnicity")),
    Case("no stay in charts", without("chartevents", "stay_id"), refused=r"lacks the column.*ICUSTAY_ID \(in MIMIC-IV stay_id\)"),
    Case("no admissions type", without("admissions", "admission_type"), refused="lacks the column ADMISSION_TYPE"),
)  # fmt: skip


@pytest.fixture(scope="module")
def expected(coded_in_10: Path, build: Build) -> Built:
    return build(coded_in_10, name="mimic4", **ASKED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_edited_copy_is_read_alike_or_refused(
    case: Case, coded_in_10: Path, expected: Built, build: Build, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(coded_in_10, root)
    case.edit(root)
    if case.refused is not None:
        with pytest.raises(SourceError, match=case.refused) as caught:
            build(root, name="mimic4", **ASKED)
        assert "\n" not in str(caught.value)
        return
    made = build(root, name="mimic4", **ASKED)
    np.testing.assert_array_equal(made.arrays["series"], expected.arrays["series"])
    if not case.static_differs:
        np.testing.assert_array_equal(made.arrays["static"], expected.arrays["static"])
        label = "label_icd9_7"
        assert made.records.select("study", label).equals(expected.records.select("study", label))
    said = [remark for remark in made.flow.remarks if remark not in expected.flow.remarks]
    assert case.remark is None or any(case.remark in remark for remark in said), said
