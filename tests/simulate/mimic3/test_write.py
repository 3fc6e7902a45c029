"""Laws of the simulated MIMIC-III tables: true format, same bytes, every blemish there, labels as drawn."""

import csv
import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import ConfigError, UserError
from i2m2_med.simulate.mimic3.ideal import auroc
from i2m2_med.simulate.mimic3.tables import HEADERS
from i2m2_med.simulate.mimic3.write import simulate
from i2m2_med.sources import mimic3
from i2m2_med.sources.source import Flow, Progress


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "mimic3"
    simulate(out, patients=120, seed=3)
    return out


@cache
def read(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(folder / f"{name}.csv.gz", try_parse_dates=True, infer_schema_length=None)


def test_headers_are_the_release_s_and_a_mark(tables: Path, shared_data: Path) -> None:
    for name in HEADERS:
        with (
            gzip.open(tables / f"{name}.csv.gz", "rt", encoding="utf-8") as ours,
            gzip.open(shared_data / "mimic3demo" / f"{name}.csv.gz", "rt", encoding="utf-8") as theirs,
        ):
            assert ours.readline() == theirs.readline().rstrip("\n") + ',"SIMULATED"\n', name


def test_items_have_the_release_s_labels(tables: Path, shared_data: Path) -> None:
    for name, facts in (
        ("D_ITEMS", ["ITEMID", "LABEL", "DBSOURCE", "LINKSTO"]),
        ("D_LABITEMS", ["ITEMID", "LABEL", "FLUID", "CATEGORY"]),
    ):
        ours = read(tables, name).select(facts)
        theirs = read(shared_data / "mimic3demo", name).select(facts)
        assert ours.join(theirs, on=facts, how="anti").is_empty()
        used = pl.concat(
            [
                read(tables, t)["ITEMID"]
                for t in (("CHARTEVENTS", "OUTPUTEVENTS") if name == "D_ITEMS" else ("LABEVENTS",))
            ]
        )
        assert set(used) <= set(ours["ITEMID"])


def test_same_seed_same_bytes(tables: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "again", patients=120, seed=3)
    simulate(tmp_path / "other", patients=120, seed=4)
    for path in sorted(tables.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name
    assert (tmp_path / "other" / "CHARTEVENTS.csv.gz").read_bytes() != (tables / "CHARTEVENTS.csv.gz").read_bytes()


def test_dials_move_no_label(tables: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "other", patients=120, seed=3, series=0.0, static=0.0, notes=0.0, between=1.0)
    labels = ["subject_id", "band", "mortality_clean", "mortality_i2m2_compat", "icd9_1", "icd9_7"]
    assert (
        pl.read_parquet(tmp_path / "other/truth.parquet")
        .select(labels)
        .equals(pl.read_parquet(tables / "truth.parquet").select(labels))
    )


def test_every_blemish_is_there(tables: Path) -> None:
    charts, labs, icu = read(tables, "CHARTEVENTS"), read(tables, "LABEVENTS"), read(tables, "ICUSTAYS")
    assert (charts["ERROR"] == 1).any()
    assert min(column.null_count() for column in (charts["HADM_ID"], charts["ICUSTAY_ID"], labs["HADM_ID"])) > 0
    assert charts.drop("ROW_ID", "STORETIME", "CGID", "HADM_ID", "ICUSTAY_ID").is_duplicated().any()
    assert charts.filter(
        pl.col("ITEMID").is_in([678, 223761]) & (pl.col("VALUENUM") < 50)
    ).height  # Celsius in a Fahrenheit item
    assert charts.filter(
        (pl.col("ITEMID") == 223835) & (pl.col("VALUENUM") <= 1)
    ).height  # a fraction among percentages
    assert (charts["VALUE"] == ">60").any()
    assert (labs["ITEMID"] == 51491).any()  # urine pH beside blood pH
    assert set(icu["DBSOURCE"]) == {"carevue", "metavision"}
    assert {211, 220045} <= set(charts["ITEMID"])
    ages = (
        read(tables, "ADMISSIONS")
        .join(read(tables, "PATIENTS"), on="SUBJECT_ID")
        .select((pl.col("ADMITTIME") - pl.col("DOB")).dt.total_days() / 365.25)
    )
    assert ages.to_series().is_between(299, 301).any()


def test_notes_are_quoted_and_trapped(tables: Path) -> None:
    with gzip.open(tables / "NOTEEVENTS.csv.gz", "rt", encoding="utf-8", newline="") as file:
        notes = list(csv.DictReader(file))
    assert all(note["TEXT"].count("\n") >= 2 or note["CATEGORY"] == "ECG" for note in notes)
    assert any('"' in note["TEXT"] for note in notes)
    assert {"", "1"} == {note["ISERROR"] for note in notes}
    assert all(not note["CHARTTIME"] for note in notes if note["CATEGORY"] in ("Discharge summary", "ECG"))
    assert len({note["SUBJECT_ID"] for note in notes}) < 110  # some patients have no notes


def test_outcomes_in_the_tables_are_the_drawn_ones(tables: Path) -> None:
    truth = pl.read_parquet(tables / "truth.parquet").filter(pl.col("left_out") == "")
    assert set(truth["mortality_i2m2_compat"]) == set(range(6))
    assert set(truth["mortality_clean"]) == {-1, *range(6)}
    stays = truth.join(
        read(tables, "ICUSTAYS").sort("INTIME").unique("SUBJECT_ID", keep="first"),
        left_on="subject_id",
        right_on="SUBJECT_ID",
    )
    times = stays.join(read(tables, "ADMISSIONS"), left_on="hadm_id", right_on="HADM_ID").select(
        "band", hours=(pl.col("DEATHTIME") - pl.col("INTIME")).dt.total_minutes() / 60
    )
    limits = {
        "first day": (20, 24),
        "second day": (24, 48),
        "third day": (48, 72),
        "fourth day": (72, 96),
        "first week": (96, 192),
    }
    for band, (low, high) in limits.items():
        assert times.filter(pl.col("band") == band)["hours"].is_between(low, high).all()
    assert (
        times.filter(~pl.col("band").is_in(list(limits)))["hours"].null_count()
        == times.filter(~pl.col("band").is_in(list(limits))).height
    )


def test_codes_in_the_tables_are_the_drawn_ones(tables: Path) -> None:
    truth = pl.read_parquet(tables / "truth.parquet")
    codes = pl.read_csv(tables / "DIAGNOSES_ICD.csv.gz", schema_overrides={"ICD9_CODE": pl.String})
    group = pl.col("ICD9_CODE").str.slice(0, 3).cast(pl.Int32, strict=False)
    for label, low, high in (("icd9_1", 140, 239), ("icd9_7", 460, 519)):
        have = set(codes.filter(group.is_between(low, high))["HADM_ID"])
        assert [hadm in have for hadm in truth["hadm_id"]] == [bool(y) for y in truth[label]]


def test_wrong_calls_leave_nothing(tmp_path: Path, tables: Path) -> None:
    with pytest.raises(ConfigError, match=r"--between is 1\.5"):
        simulate(tmp_path / "out", between=1.5)
    with pytest.raises(ConfigError, match="--patients is 0"):
        simulate(tmp_path / "out", patients=0)
    with pytest.raises(ConfigError, match=r"--prevalence is 0\.0"):
        simulate(tmp_path / "out", prevalence=0.0)
    with pytest.raises(UserError, match="already holds"):
        simulate(tables, patients=5)
    assert list(tmp_path.iterdir()) == []


def test_one_patient_is_enough(tmp_path: Path) -> None:
    assert simulate(tmp_path / "one", patients=1)["rows"]["PATIENTS"] == 1
    assert json.loads((tmp_path / "one" / "ideal.json").read_text(encoding="utf-8"))["drawn"]["patients"] == 1


def test_relation_is_in_the_tables_and_neither_side_tells_it_alone(tmp_path: Path) -> None:
    simulate(tmp_path / "mimic3", patients=400, seed=1, series=0.0, static=0.0, notes=0.0, between=1.0)
    source = mimic3.Source(mimic3.Settings(root=tmp_path / "mimic3"))
    (tmp_path / "prepared").mkdir()
    records = source.ingest(tmp_path / "prepared", tmp_path / "cache", Flow(), Progress())
    arrays = source.arrays(tmp_path / "prepared")
    rate = arrays["series"][:, :, mimic3.items.SAPS12.index("heart_rate")]
    rises = np.nanmean(rate[:, 12:], axis=1) - np.nanmean(rate[:, :12], axis=1)
    surgical = np.where(arrays["static"][:, 4] > 0, 1.0, -1.0)
    died = records["label_mortality"].to_numpy() > 0
    assert auroc(rises * surgical, died) > 0.93
    assert abs(auroc(rises, died) - 0.5) < 0.1
    assert abs(auroc(surgical, died) - 0.5) < 0.1


def test_labels_read_back_are_the_drawn_ones(tables: Path, tmp_path: Path) -> None:
    truth = pl.read_parquet(tables / "truth.parquet").with_columns(pl.col("subject_id").cast(pl.String))
    for profile in ("clean", "i2m2_compat"):
        (tmp_path / profile).mkdir()
        source = mimic3.Source(mimic3.Settings(root=tables, profile=profile))
        records = source.ingest(tmp_path / profile, tmp_path / "cache", Flow(), Progress())
        both = records.join(truth, left_on="patient", right_on="subject_id")
        assert both.height == records.height > 80
        assert (both["label_mortality"] == both[f"mortality_{profile}"]).all()
