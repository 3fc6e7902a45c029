"""Tables as they come: formats, cases, damage, and cells that are not what they should be."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3 import ingest
from i2m2_med.sources.mimic3.ingest import find_table, ingest_table
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Flow, Progress

from .conftest import Build
from .small import at, chart, lab, small_tables, write_tables


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tables(tmp_path / "tables", small_tables())


def rewritten(root: Path, out: Path, how: str) -> Path:
    """The same tables in another form."""
    out.mkdir()
    for path in root.iterdir():
        name, table = path.name.split(".")[0], pl.read_csv(path, infer_schema=False)
        if how == "lower":
            table.rename(str.lower).write_csv(out / f"{name.lower()}.csv.gz", compression="gzip")
        elif how == "csv":
            table.select(reversed(table.columns)).with_columns(EXTRA=pl.lit("x")).write_csv(out / f"{name}.csv")
        elif how == "parquet":
            pl.read_csv(path, try_parse_dates=True).write_parquet(out / f"{name}.parquet")
        elif how == "members":  # several gzip members in one file
            lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
            (out / path.name).write_bytes(b"".join(gzip.compress(line) for line in lines))
    return out


@pytest.mark.parametrize("how", ["lower", "csv", "parquet", "members"])
def test_any_form_of_the_tables_gives_the_same_bytes(build: Build, root: Path, tmp_path: Path, how: str) -> None:
    ours, other = build(root, notes={}), build(rewritten(root, tmp_path / how, how), notes={})
    assert same(ours.arrays, other.arrays)
    assert ours.records.equals(other.records)


def test_a_finished_table_is_not_read_again_and_a_changed_one_is(root: Path, tmp_path: Path) -> None:
    path, cache = root / "LABEVENTS.csv.gz", tmp_path / "cache"
    first = ingest_table(path, "LABEVENTS", cache, Progress())
    written = first.path.stat().st_mtime_ns
    assert ingest_table(path, "LABEVENTS", cache, Progress()).path.stat().st_mtime_ns == written
    write_tables(root, {"LABEVENTS": [lab(1, 51006, 1.0, 99.0, row=1)]})
    assert ingest_table(path, "LABEVENTS", cache, Progress()).path != first.path


def test_an_interrupted_table_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    path = root / "CHARTEVENTS.csv.gz"
    rows = [chart(1, 211, hour / 100, 80.0, row=hour) for hour in range(9000)]
    write_tables(root, {"CHARTEVENTS": rows})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SourceError, match=r"CHARTEVENTS.csv.gz ends in the middle or is damaged"):
        ingest_table(path, "CHARTEVENTS", tmp_path / "cache", Progress())
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    "damage", ["1 byte short", "8 bytes short", "checksum", "second member short", "garbage after"]
)
def test_any_damage_of_a_gzip_is_seen(root: Path, tmp_path: Path, damage: str) -> None:
    path = root / "LABEVENTS.csv.gz"
    text = gzip.decompress(path.read_bytes())
    whole = gzip.compress(text)
    path.write_bytes(
        {
            "1 byte short": whole[:-1],
            "8 bytes short": whole[:-8],
            "checksum": whole[:-8] + b"\0\0\0\0" + whole[-4:],
            "second member short": gzip.compress(text[:90]) + gzip.compress(text[90:])[:-9],
            "garbage after": whole + b"garbage",
        }[damage]
    )
    with pytest.raises(SourceError, match="ends in the middle or is damaged"):
        ingest_table(path, "LABEVENTS", tmp_path / "cache", Progress())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b'"ROW_ID";"SUBJECT_ID";"HADM_ID"\n1;2;3\n', "delimited by ';'"),
        (b"ROW_ID\tSUBJECT_ID\n1\t2\n", "delimited by"),
        (b"ROW_ID,SUBJECT_ID,HADM_ID,ITEMID,CHARTTIME,VALUE,VALUENUM\n", "lacks the column VALUEUOM"),
        (b"a,b\n1,2\n", "lacks the columns ROW_ID"),
        (b"ROW_ID,SUBJECT_ID,HADM_ID,ITEMID,CHARTTIME,VALUE,VALUENUM,VALUEUOM\n1,2,3,51006,2150-01-01 00:00:00,1,1,x,y,z\n", "more cells"),
        (b"\x00\x01\x02\x03 not a table", "lacks the columns"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_one_clear_line(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "LABEVENTS.csv").write_bytes(text)
    with pytest.raises(SourceError, match=says) as caught:
        ingest_table(tmp_path / "LABEVENTS.csv", "LABEVENTS", tmp_path / "cache", Progress())
    assert "\n" not in str(caught.value)


def test_not_gzip_under_a_gzip_name(tmp_path: Path) -> None:
    (tmp_path / "LABEVENTS.csv.gz").write_bytes(b"ROW_ID,SUBJECT_ID\n")
    with pytest.raises(SourceError, match="damaged"):
        ingest_table(tmp_path / "LABEVENTS.csv.gz", "LABEVENTS", tmp_path / "cache", Progress())


def test_missing_tables_are_named_together(build: Build, root: Path) -> None:
    (root / "SERVICES.csv.gz").unlink()
    (root / "LABEVENTS.csv.gz").unlink()
    with pytest.raises(SourceError, match="lacks the tables SERVICES, LABEVENTS"):
        build(root)
    with pytest.raises(SourceError, match="is not a folder"):
        build(root / "nowhere")


def test_a_table_twice_is_refused(root: Path) -> None:
    (root / "patients.csv").write_text("x\n", encoding="utf-8")
    with pytest.raises(SourceError, match="PATIENTS more than once"):
        find_table(root, "PATIENTS")


def charted(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return small_tables(CHARTEVENTS=rows)


def test_cells_that_are_no_numbers_are_counted_and_left_out(build: Build, tmp_path: Path) -> None:
    rows = [
        chart(1, 211, 0.5, 80.0, row=1),
        chart(1, 211, 0.6, None, row=2, VALUE=">60"),
        chart(1, 211, 0.7, None, row=3, VALUENUM=">60/minute"),
        chart(1, 211, 0.8, 900.0, row=4),
        chart(1, 211, 0.9, 30.0, row=5, ERROR=1),
        chart(1, 211, 0.9, 30.0, row=6, CHARTTIME="yesterday"),
        chart(1, 223761, 0.9, 37.0, row=7, VALUEUOM="C"),
        chart(1, 678, 0.9, 98.6, row=8, VALUEUOM="Deg. F"),
        chart(2, 211, 0.5, 70.0, row=9),
        chart(99, 211, 0.5, 70.0, row=10),
    ]
    built = build(write_tables(tmp_path / "t", charted(rows)), unreadable=1)
    assert built.arrays["series"][:, 0, 2].tolist() == [80, 70]
    assert built.arrays["series"][0, 0, 3] == pytest.approx(37, abs=1e-5)
    audits = built.flow.audits
    assert audits["items"]["CHARTEVENTS"]["211"] == {
        "rows": 8,
        "marked as error": 1,
        "no time": 1,
        "no number": 2,
        "out of range": 1,
    }
    assert audits["items"]["CHARTEVENTS"]["223761"] == {"rows": 1, "other unit": 1, "out of range": 1}
    assert built.flow.remarks[:2] == [
        "CHARTEVENTS: CHARTTIME can't be read as a time in 10 % of its cells (form aaaaaaaaa); they count as empty.",
        "CHARTEVENTS: VALUENUM can't be read as a number in 11.1 % of its cells (form >dd/aaaaaa); they count as empty.",
    ]
    assert "item 223761 (temperature) is charted in degC in 100 % of its rows" in " ".join(built.flow.remarks)
    assert audits["tables"]["CHARTEVENTS"]["unreadable"] == {"CHARTTIME": 1, "VALUENUM": 1}
    assert audits["unresolved"] == {"CHARTEVENTS": 1, "LABEVENTS": 0, "OUTPUTEVENTS": 0}


def test_repeated_row_ids_are_counted_and_dropped(build: Build, tmp_path: Path) -> None:
    rows = [chart(1, 211, 0.5, 80.0, row=1), chart(1, 211, 0.5, 80.0, row=1), chart(2, 211, 0.5, 70.0, row=2)]
    built = build(write_tables(tmp_path / "t", charted(rows)))
    assert built.flow.audits["tables"]["CHARTEVENTS"]["duplicates"] == 1
    assert built.arrays["series"][:, 0, 2].tolist() == [80, 70]
    others = [chart(1, 211, 0.5, 80.0, row=1), chart(1, 211, 0.6, 90.0, row=1), chart(2, 211, 0.5, 70.0, row=2)]
    built = build(write_tables(tmp_path / "renumbered", charted(others)))  # of two extracts, each numbered from 1
    assert built.arrays["series"][:, 0, 2].tolist() == [85, 70]
    assert "CHARTEVENTS: 1 rows share a ROW_ID with another row; all are read." in built.flow.remarks


def test_ids_as_pandas_writes_them_and_rows_without_stay(build: Build, tmp_path: Path) -> None:
    rows = [
        chart(1, 211, 0.5, 80.0, row=1, HADM_ID="1001.0", ICUSTAY_ID=None),
        chart(2, 211, 0.5, 70.0, row=2, HADM_ID=None),
    ]
    root = write_tables(tmp_path / "t", charted(rows))
    assert build(root).arrays["series"][:, 0, 2].tolist() == [80, 70]  # by patient and time
    published = build(root, unit="first_admission").arrays["series"]
    assert np.isnan(published[..., 2]).all()  # by ids, as published


def test_output_errors_are_left_out_but_not_as_published(build: Build, tmp_path: Path) -> None:
    rows = [row | {"ISERROR": "1"} for row in small_tables()["OUTPUTEVENTS"]]
    root = write_tables(tmp_path / "t", small_tables(OUTPUTEVENTS=rows))
    assert np.isnan(build(root).arrays["series"][..., 5]).all()
    assert build(root, items="published").arrays["series"][0, 2, 5] == 50


def test_damaged_characters_do_not_stop_the_table(build: Build, tmp_path: Path) -> None:
    root = write_tables(tmp_path / "t", small_tables())
    path = root / "CHARTEVENTS.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"80.0"', b'"\xff\xfe80"')))
    assert build(root).arrays["series"][:, 0, 2].tolist() == [80, 80]


def test_the_full_release_is_held_to_its_published_counts(root: Path, tmp_path: Path) -> None:
    from i2m2_med.sources.mimic3 import Settings, Source

    who = pl.DataFrame({"SUBJECT_ID": range(1, TABLES["PATIENTS"].rows + 1)})
    patients = who.with_columns(GENDER=pl.lit("F"), DOB=pl.lit("2100-01-01 00:00:00"), DOD=pl.lit(""))
    patients.write_csv(root / "PATIENTS.csv.gz", compression="gzip")
    small = small_tables()
    events = {
        name: [*small[name], small[name][0] | {"ROW_ID": 9, "ITEMID": 1}] for name in TABLES if TABLES[name].by_item
    }
    write_tables(root, events)
    source = Source(Settings(root=root))
    with pytest.raises(SourceError, match=r"ADMISSIONS.csv.gz holds 2 rows, MIMIC-III 1.4 has 58,976"):
        source.ingest(tmp_path, tmp_path / "cache", Flow(), Progress())
    flow = Flow(skip_bad=True)
    source.ingest(tmp_path, tmp_path / "cache", flow, Progress())
    assert {refused["name"].split(".")[0] for refused in flow.refused} == set(TABLES) - {"PATIENTS", "NOTEEVENTS"}


def test_events_of_another_year_are_not_read(build: Build, tmp_path: Path) -> None:
    rows = [chart(1, 211, 0.5 + 8766, 80.0, row=1), chart(2, 211, 0.5, 70.0, row=2), chart(2, 211, -0.5, 50.0, row=3)]
    built = build(write_tables(tmp_path / "t", charted(rows)))
    assert np.isnan(built.arrays["series"][0, :, 2]).all()
    assert (built.arrays["series"][1, :, 2] == 70).all()
    assert at(0.5) == "2150-01-01 12:30:00"


@pytest.mark.parametrize("bucket", [1, 3, 7, 2_000_000])
def test_duplicates_are_the_same_in_buckets_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: int):
    monkeypatch.setattr(ingest, "DUPLICATE_BUCKET", bucket)
    ids = [7, None, -3, 2**63 - 1, 7, -(2**63), -3, None, 7, 2**63 - 1, 0, -(2**63)]
    values = ["a", "a", "b", "c", "a", "d", "e", "a", "f", "c", "g", "d"]
    pl.DataFrame({"ROW_ID": ids, "VALUE": values}, schema_overrides={"ROW_ID": pl.Int64}).write_parquet(tmp_path / "t")
    assert ingest.drop_duplicates(tmp_path / "t") == {"duplicates": 3, "reused_ids": 2}
    assert "".join(pl.read_parquet(tmp_path / "t")["VALUE"]) == "aabcdeafg"
