"""Pictures and ECGs beside the tables: joined by who and when, the latest before the input ended; the rest is said or refused."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from i2m2_med.config.reader import load_config
from i2m2_med.errors import SourceError
from i2m2_med.samples.data_files import data_files, describe_files
from i2m2_med.simulate.mimic3.attached import write_wfdb
from i2m2_med.simulate.mimic3.write import simulate
from i2m2_med.sources.mimic3 import Settings, Source
from i2m2_med.sources.source import Flow, Progress

from .conftest import Build
from .small import at, small_tables, write_tables

Row = dict[str, Any]


def listed(tmp_path: Path, rows: list[Row], name: str = "list.csv") -> Path:
    """Small tables with a manifest of pictures, each of which is there."""
    root = write_tables(tmp_path / "t", small_tables())
    folder = tmp_path / "cxr"
    folder.mkdir(exist_ok=True)
    for row in rows:
        if row.get("path") and "gone" not in row["path"] and ".." not in row["path"]:
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4)).save(folder / row["path"])
    pl.DataFrame(rows, infer_schema_length=None).write_csv(folder / name)
    return root


def chosen(build: Build, tmp_path: Path, rows: list[Row], **settings: Any) -> list[str | None]:
    """By stay, the name of the picture that counts; where nobody has one, the run is refused."""
    try:
        return named(build, tmp_path, rows, **settings)
    except SourceError as error:
        if "no sample has a picture" not in str(error):
            raise
        return [None, None]


def named(build: Build, tmp_path: Path, rows: list[Row], **settings: Any) -> list[str | None]:
    built = build(listed(tmp_path, rows), pictures=tmp_path / "cxr" / "list.csv", **settings)
    assert built.records["has_picture"].to_list() == built.records["_picture"].is_not_null().to_list()
    return [path and Path(path).name for path in built.records["_picture"]]


def shot(hours: float, name: str, **ids: Any) -> Row:
    return {"subject_id": 1, "time": at(hours), "path": f"{name}.png"} | ids


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([shot(3, "a")], ["a.png", None]),
        ([shot(24, "a")], ["a.png", None]),
        ([shot(24.1, "a")], [None, None]),
        ([shot(3, "a"), shot(9, "b"), shot(30, "c")], ["b.png", None]),
        ([shot(9, "b"), shot(3, "a")], ["b.png", None]),
        ([shot(3, "b"), shot(3, "a")], ["b.png", None]),
        ([shot(-1.5, "a")], ["a.png", None]),
        ([shot(-2.5, "before this admission")], [None, None]),
        ([{"hadm_id": 1002, "time": at(-300), "path": "a.png"}], [None, "a.png"]),
        ([{"stay_id": 2002, "time": at(1), "path": "a.png"}], [None, "a.png"]),
        ([{"ICUSTAY_ID": 2001, "TIME": at(1), "Path": "a.png"}], ["a.png", None]),
        ([shot(1, "a", hadm_id=7)], [None, None]),
        ([shot(1, "a", hadm_id=None)], ["a.png", None]),
        ([shot(1, "a", subject_id="1.0")], ["a.png", None]),
        ([shot(1, "a") | {"time": at(1).replace(" ", "T") + "Z"}], ["a.png", None]),
        ([shot(1, "a"), shot(2, "b") | {"time": None}], ["a.png", None]),
        ([shot(1, "a") | {"kind": "picture"}, shot(2, "b") | {"kind": "ecg"}], ["a.png", None]),
    ],
)
def test_whose_it_is_and_which_counts(build: Build, tmp_path: Path, rows: list[Row], names: list[str | None]) -> None:
    rows = [{key.lower() if "path" in key.lower() else key: value for key, value in row.items()} for row in rows]
    assert chosen(build, tmp_path, rows) == names


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (shot(1, "gone"), "line 3: the picture is not there"),
        (shot(1, "../out"), "line 3: its path leads out"),
        (shot(1, "x") | {"path": "/etc/gone"}, "line 3: its path leads out"),
        (shot(1, "x") | {"path": None}, "line 3: it names no path"),
        (shot(1, "x") | {"time": "yesterday"}, r"a time can't be read in 50 % of the rows \(form aaaaaaaaa\)"),
        (shot(1, "x") | {"time": "54321.5"}, "a time can't be read"),
        (shot(1, "x") | {"subject_id": "one"}, "an? id can't be read"),
        (shot(1, "x") | {"time": "2150-01-01"}, "dates without an hour"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_line(build: Build, tmp_path: Path, row: Row, says: str) -> None:
    with pytest.raises(SourceError, match=says) as refused:
        chosen(build, tmp_path, [shot(0.5, "a"), row])
    assert str(tmp_path) not in str(refused.value)


def test_what_is_skipped_is_listed_and_an_earlier_one_counts(tmp_path: Path) -> None:
    root = listed(tmp_path, [shot(1, "a"), shot(2, "gone"), shot(3, "b") | {"subject_id": 2}])
    source, flow = Source(Settings(root=root, pictures=tmp_path / "cxr" / "list.csv")), Flow(skip_bad=True)
    records = source.ingest(tmp_path, tmp_path / "cache", flow, Progress())
    assert [Path(path).name for path in records["_picture"]] == ["a.png", "b.png"]
    assert flow.refused == [{"name": "list.csv line 3", "why": "the picture is not there"}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("subject_id;time;path\n1;2150-01-01 13:00:00;a.png\n", "delimited by ';'"),
        ("subject_id,time,path\n", "no sample has a picture"),
        ("", "is empty"),
        ("subject_id,time,path\n1,2150-01-01 13:00:00,a.png\n1,2150", "looks truncated"),
        ("subject_id,time,path,PATH\n1,2150-01-01 13:00:00,a.png,b.png\n", "PATH more than once"),
        ("subject_id,time,path\n1,2150-01-01 13:00:00+05:00,a.png\n", "the zone \\+05:00"),
        (f"subject_id,time,path\n1,2150-01-01 13:00:00,{'a' * 5000}.png\n", "too long to be one"),
        ("subject_id,time,path\n1,2150-01-01 13:00:00,.\n", "the picture is not there"),
        ("subject_id,StudyDate,StudyTime,path\n1,21500101,996100,a.png\n", "a time can't be read"),
    ],
)
def test_a_manifest_that_is_none(build: Build, tmp_path: Path, text: str, says: str) -> None:
    root = listed(tmp_path, [shot(1, "a")])
    (tmp_path / "cxr" / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=says):
        build(root, pictures=tmp_path / "cxr" / "list.csv")


def test_a_pipe_is_no_picture(build: Build, tmp_path: Path) -> None:
    root = listed(tmp_path, [shot(1, "gone")])
    os.mkfifo(tmp_path / "cxr" / "gone.png")
    with pytest.raises(SourceError, match="not there"):
        build(root, pictures=tmp_path / "cxr" / "list.csv")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"time": None}, "lacks a time"),
        ({"path": None}, "lacks a column 'path'"),
        ({"subject_id": None}, "lacks a column that says whose"),
    ],
)
def test_a_manifest_has_its_columns(build: Build, tmp_path: Path, columns: Row, says: str) -> None:
    row = {key: value for key, value in shot(1, "a").items() if key not in columns}
    root = listed(tmp_path, [row])
    with pytest.raises(SourceError, match=says):
        build(root, pictures=tmp_path / "cxr" / "list.csv")
    with pytest.raises(SourceError, match="is no file"):
        build(root, pictures=tmp_path / "none.csv")


def test_a_link_out_of_the_folder_is_refused(build: Build, tmp_path: Path) -> None:
    root = listed(tmp_path, [shot(1, "gone")])
    Image.new("L", (4, 4)).save(tmp_path / "elsewhere.png")
    (tmp_path / "cxr" / "gone.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(SourceError, match="leads out"):
        build(root, pictures=tmp_path / "cxr" / "list.csv")


def test_several_are_said_and_views_are_chosen(build: Build, tmp_path: Path) -> None:
    rows = [
        shot(1, "front", ViewPosition="AP"),
        shot(1, "side", ViewPosition="LATERAL"),
        shot(0.5, "old", ViewPosition="PA"),
    ]
    root = listed(tmp_path, rows)
    every = build(root, pictures=tmp_path / "cxr" / "list.csv")
    assert Path(every.records["_picture"][0]).name == "side.png"
    assert "1 samples have several pictures" in every.flow.remarks[-1]
    frontal = build(root, pictures=tmp_path / "cxr" / "list.csv", picture_views=["AP", "PA"])
    assert Path(frontal.records["_picture"][0]).name == "front.png"


def test_published_layouts_are_read(build: Build, tmp_path: Path) -> None:
    out = tmp_path / "sim"
    simulate(out, patients=40, seed=2, studies=True)
    manifest = out / "cxr/mimic-cxr-2.0.0-metadata.csv.gz"
    built = build(out, pictures=manifest, picture_views=["AP"], ecgs=out / "ecg/record_list.csv")
    assert 20 < built.records["has_picture"].sum() < built.records.height
    assert 10 < built.records["has_ecg"].sum() < built.records.height
    assert built.flow.audits["attached"]["picture"]["after the input of every sample"] > 3
    stays = pl.read_csv(out / "ICUSTAYS.csv.gz", schema_overrides={"ICUSTAY_ID": pl.String}).sort("INTIME")
    shots = pl.read_csv(manifest, infer_schema=False).filter(pl.col("ViewPosition") == "AP")
    clock = pl.col("StudyTime").str.head(-2).str.zfill(6)
    timed = shots.with_columns(at=(pl.col("StudyDate") + clock).str.to_datetime("%Y%m%d%H%M%S"))
    for study, path in built.records.select("study", "_picture").iter_rows():
        stay = stays.row(by_predicate=pl.col("ICUSTAY_ID") == study, named=True)
        end = pl.lit(stay["INTIME"]).str.to_datetime() + pl.duration(hours=24)
        own = timed.filter(pl.col("subject_id") == str(stay["SUBJECT_ID"]), pl.col("at") <= end).sort("at")
        assert (path is None) == (own.height == 0)
        assert path is None or Path(path).stem == own["dicom_id"][-1]


def test_files_are_in_the_fingerprint_without_their_names(tmp_path: Path) -> None:
    root = listed(tmp_path, [shot(1, "p10000032")])
    manifest = tmp_path / "cxr" / "list.csv"
    run, _ = load_config("mimic3_mortality", [f"source.root={root}", f"source.pictures={manifest}"])
    source = Source(run.source)  # type: ignore[arg-type]

    def now() -> list[dict[str, Any]]:
        return describe_files(run, source, data_files(run, source))

    before = now()
    assert before[-1]["name"] == "picture (1 files)"
    assert "p10000032" not in str(before)
    Image.new("L", (4, 4), 9).save(tmp_path / "cxr" / "p10000032.png")
    assert now()[-1] != before[-1]
    assert now()[:-1] == before[:-1]


def test_a_study_to_score_has_them_by_their_hour(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "ecgs").mkdir()
    for name in ("003.5_ap.jpg", "020_ap.jpg", "030_ap.jpg"):
        Image.new("L", (4, 4)).save(tmp_path / "pictures" / name)
    write_wfdb(tmp_path / "ecgs" / "1_e", np.zeros((2, 5)), "2150-01-01 00:00:00")
    settings = Settings(root=tmp_path, pictures=tmp_path / "x.csv", ecgs=tmp_path / "x.csv")
    record = Source(settings).study(tmp_path).records.row(0, named=True)
    assert Path(record["_picture"]).name == "020_ap.jpg"
    assert Path(record["_ecg"]).name == "1_e.hea"
    assert [record[f"has_{name}"] for name in ("picture", "ecg", "series")] == [True, True, False]
    (tmp_path / "pictures" / "chest.jpg").touch()
    with pytest.raises(SourceError, match="no hour before its name"):
        Source(settings).study(tmp_path)
