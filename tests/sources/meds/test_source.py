"""MEDS out and in again: a valid data set, and the same arrays, labels and splits as from the tables."""

import json
from pathlib import Path

import meds
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from i2m2_med.cli import main
from i2m2_med.errors import SourceError
from i2m2_med.simulate.mimic3.write import simulate
from i2m2_med.sources import mimic3
from i2m2_med.sources.meds.codes import SPLITS
from i2m2_med.sources.meds.source import Settings, Source
from i2m2_med.sources.source import Flow, Progress


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "mimic3"
    simulate(out, patients=90, seed=4)
    return out


@pytest.fixture(scope="module")
def exported(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("meds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2M2_WORK", str(place / "work"))
        assert main(["export-meds", "mimic3_mortality", str(place / "out"), *given(tables)]) == 0
    return place / "out"


def given(tables: Path) -> list[str]:
    return ["-s", f"source.root={tables}", "-s", "source.notes={}"]


def ingest(source: mimic3.Source, folder: Path) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    (folder / "prepared").mkdir(parents=True)
    records = source.ingest(folder / "prepared", folder / "cache", Flow(), Progress())
    return records, {name: np.array(array) for name, array in source.arrays(folder / "prepared").items()}


def test_it_is_a_valid_meds_data_set(exported: Path) -> None:
    shards = sorted((exported / meds.data_subdirectory).rglob("*.parquet"))
    assert {path.parent.name for path in shards} == set(SPLITS.values())
    seen: set[int] = set()
    described = set(pq.read_table(exported / meds.code_metadata_filepath)["code"].to_pylist())
    for path in shards:
        table = meds.DataSchema.align(pq.read_table(path))
        meds.DataSchema.validate(table)
        events = pl.from_arrow(table)
        assert isinstance(events, pl.DataFrame)
        subjects = events["subject_id"].rle_id().n_unique()
        assert subjects == events["subject_id"].n_unique()  # a subject's events stand together
        assert not seen & set(events["subject_id"])  # … in one file
        assert events.group_by("subject_id").agg(pl.col("time").is_sorted())["time"].all()
        assert set(events["code"]) <= described
        seen |= set(events["subject_id"])
    splits = meds.SubjectSplitSchema.align(pq.read_table(exported / meds.subject_splits_filepath))
    assert set(splits["subject_id"].to_pylist()) == seen
    meds.CodeMetadataSchema.validate(
        meds.CodeMetadataSchema.align(pq.read_table(exported / meds.code_metadata_filepath))
    )
    meds.DatasetMetadataSchema.validate(
        json.loads((exported / meds.dataset_metadata_filepath).read_text(encoding="utf-8"))
    )
    labels = meds.LabelSchema.align(pq.read_table(exported / "labels" / "mortality.parquet"))
    meds.LabelSchema.validate(labels)
    assert set(labels["integer_value"].to_pylist()) == set(range(6))


@pytest.mark.parametrize(
    "flags", [{}, {"task": "icd9", "icd9_group": 7, "series_channels": ("value", "mask", "since")}]
)
def test_round_trip_gives_the_same_samples(tables: Path, exported: Path, tmp_path: Path, flags: dict) -> None:
    asked = {"notes": {}, **flags}
    straight, arrays = ingest(mimic3.Source(mimic3.Settings.model_validate({"root": tables, **asked})), tmp_path / "a")
    around, again = ingest(Source(Settings.model_validate({"root": exported, **asked})), tmp_path / "b")
    assert arrays.keys() == again.keys()
    assert straight["study"].to_list() == around["study"].to_list()
    label = next(name for name in straight.columns if name.startswith("label_"))
    for column in (label, "has_notes", "group_sex", "group_age_band", "group_ethnicity", "group_care_unit", "_event"):
        assert straight[column].to_list() == around[column].to_list(), column
    np.testing.assert_allclose(again["series"], arrays["series"], rtol=1e-5, atol=1e-5)  # MEDS holds float32
    np.testing.assert_array_equal(again["static"], arrays["static"])
    np.testing.assert_array_equal(again["notes"], arrays["notes"])
    assert set(around["split"]) == {"train", "valid", "test"}


def test_labels_are_those_of_the_run(tables: Path, exported: Path, tmp_path: Path) -> None:
    records, _ = ingest(mimic3.Source(mimic3.Settings(root=tables)), tmp_path)
    labels = pl.read_parquet(exported / "labels" / "mortality.parquet")
    both = records.with_columns(subject_id=pl.col("patient").cast(pl.Int64)).join(labels, on="subject_id")
    assert both.height == records.height == labels.height
    assert (both["label_mortality"] == both["integer_value"]).all()
    stays = pl.read_csv(tables / "ICUSTAYS.csv.gz", try_parse_dates=True).with_columns(
        pl.col("ICUSTAY_ID").cast(pl.String)
    )
    timed = both.join(stays, left_on="study", right_on="ICUSTAY_ID")
    assert ((timed["prediction_time"] - timed["INTIME"]).dt.total_hours() == 24).all()


def mimic_iv(folder: Path) -> None:
    """Two subjects as MIMIC_IV_MEDS names them: no service, ICD-10, laboratory results, charted vitals."""
    day = "2150-03-01T%02d:00:00"
    events = []
    for subject in (1, 2):
        ids = {"subject_id": subject, "hadm_id": subject + 10, "icustay_id": subject + 20}
        events += [
            {**ids, "time": None, "code": "GENDER//F"},
            {**ids, "time": "2080-01-01T00:00:00", "code": "MEDS_BIRTH"},
            {**ids, "time": day % 1, "code": "HOSPITAL_ADMISSION//EW EMER.//EMERGENCY ROOM", "race": "WHITE"},
            {**ids, "time": day % 2, "code": "ICU_ADMISSION//Medical Intensive Care Unit (MICU)"},
            {**ids, "time": day % 3, "code": "LAB//220045//bpm", "numeric_value": 80.0 + subject},
            {**ids, "time": day % 3, "code": "LAB//223761//°F", "numeric_value": 98.6},
            {**ids, "time": day % 4, "code": "LAB//RESULT//50983//mEq/L", "numeric_value": 140.0},
            {**ids, "time": day % 4, "code": "LAB//SPECIMEN_COLLECTED//50983"},
            {**ids, "time": day % 5, "code": "SUBJECT_FLUID_OUTPUT//226559//mL", "numeric_value": 120.0},
            {**ids, "time": "2150-03-04T00:00:00", "code": "ICU_DISCHARGE//Medical Intensive Care Unit (MICU)"},
            {**ids, "time": "2150-03-05T00:00:00", "code": "DIAGNOSIS//ICD//10//I10"},
            {**ids, "time": "2150-03-05T00:00:00", "code": "HOSPITAL_DISCHARGE//HOME"},
        ]
    frame = pl.DataFrame(events, schema_overrides={"time": pl.String, "race": pl.String, "numeric_value": pl.Float32})
    (folder / "data").mkdir(parents=True)
    frame.with_columns(pl.col("time").str.to_datetime()).write_parquet(folder / "data" / "0.parquet")


def test_mimic_iv_s_codes_are_read(tmp_path: Path) -> None:
    mimic_iv(tmp_path / "meds")
    records, arrays = ingest(Source(Settings(root=tmp_path / "meds")), tmp_path)
    assert records["patient"].to_list() == ["1", "2"]
    channels = dict(zip(mimic3.items.SAPS12, arrays["series"][0].T, strict=True))
    assert channels["heart_rate"][1] == 81
    assert channels["temperature"][1] == pytest.approx(37.0, abs=0.01)
    assert channels["sodium"][2] == 140
    assert channels["urine"][3] == 120
    assert arrays["static"][0, 0] == pytest.approx(70.16, abs=0.01)
    assert np.isnan(arrays["static"][:, 4]).all()  # no service: absent, not 0
    assert (arrays["static"][:, 1:4] == 0).all()  # no code of an earlier admission
    for group, label in {1: 0, 6: 1}.items():
        settings = Settings(root=tmp_path / "meds", task="icd9", icd9_group=group)
        records, _ = ingest(Source(settings), tmp_path / f"icd{group}")
        assert records[f"label_icd9_{group}"].to_list() == [label, label]  # I10 is of the circulatory group


def test_what_is_wrong_is_said(tmp_path: Path, tables: Path) -> None:
    with pytest.raises(SourceError, match="should hold a MEDS data set"):
        Source(Settings(root=tmp_path / "nowhere")).files()
    with pytest.raises(SourceError, match="holds MIMIC-III, not a MEDS data set"):
        Source(Settings(root=tables)).files()
    with pytest.raises(SourceError, match=r"holds no data/\*\.parquet"):
        Source(Settings(root=tmp_path)).files()
    mimic_iv(tmp_path / "meds")
    path = tmp_path / "meds" / "data" / "0.parquet"
    whole = pl.read_parquet(path)
    whole.drop("icustay_id").write_parquet(path)
    with pytest.raises(SourceError, match=r"0\.parquet lacks icustay_id"):
        ingest(Source(Settings(root=tmp_path / "meds")), tmp_path / "a")
    whole.filter(~pl.col("code").str.starts_with("ICU")).write_parquet(path)
    with pytest.raises(SourceError, match="there is no ICU stay"):
        ingest(Source(Settings(root=tmp_path / "meds")), tmp_path / "b")
    whole.write_parquet(path)
    (tmp_path / "meds" / "metadata").mkdir()
    splits = pl.DataFrame({"subject_id": [1], "split": ["train"]})
    splits.write_parquet(tmp_path / "meds" / "metadata" / "subject_splits.parquet")
    with pytest.raises(SourceError, match="for all but 1 samples"):
        ingest(Source(Settings(root=tmp_path / "meds")), tmp_path / "c")


def test_only_a_cohort_of_mimic_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: Path) -> None:
    assert main(["export-meds", "knee_demo", str(tmp_path / "out")]) == 1
    assert "export-meds writes a cohort of source mimic3" in capsys.readouterr().err
    assert main(["export-meds", "mimic3_mortality", str(tables), *given(tables)]) == 1
    assert not (tmp_path / "out").exists()
