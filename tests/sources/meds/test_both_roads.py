"""The same patients of the real demo come out equal by tables and by MEDS, as we write it and as MIMIC_IV_MEDS does."""

from pathlib import Path
from typing import Any

import meds
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from i2m2_med.sources import mimic3
from i2m2_med.sources.meds.export import write_meds
from i2m2_med.sources.meds.source import Settings, Source
from i2m2_med.sources.mimic3.ingest import Ingested, ingest_table
from i2m2_med.sources.source import Flow, Progress

LAG = pl.duration(minutes=37)


class Roads:
    """The demo's typed tables, and sources built on one cache."""

    def __init__(self, root: Path, work: Path) -> None:
        self.root, self.work, self.made = root, work, 0
        source = mimic3.Source(mimic3.Settings(root=root))
        self.tables = {
            name: ingest_table(path, name, work / "mimic3", Progress()) for name, path in source.tables().items()
        }

    def read(self, source: mimic3.Source) -> tuple[pl.DataFrame, dict[str, np.ndarray], Flow]:
        self.made += 1
        folder, flow = self.work / f"prepared{self.made}", Flow()
        folder.mkdir()
        records = source.ingest(folder, self.work, flow, Progress())
        return records, {name: np.array(array) for name, array in source.arrays(folder).items()}, flow

    def by_tables(self, **asked: Any) -> tuple[pl.DataFrame, dict[str, np.ndarray], Flow]:
        return self.read(mimic3.Source(mimic3.Settings.model_validate({"root": self.root, **asked})))

    def by_meds(self, root: Path, **asked: Any) -> tuple[pl.DataFrame, dict[str, np.ndarray], Flow]:
        return self.read(Source(Settings.model_validate({"root": root, **asked})))


def assert_same_series(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal but for temperatures charted with more digits than MEDS's float32 holds: those by the last bit of it."""
    np.testing.assert_allclose(ours, theirs, rtol=1.2e-7, atol=0)
    assert ((ours == theirs) | np.isnan(ours)).mean() > 0.98


@pytest.fixture(scope="module")
def roads(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Roads:
    return Roads(shared_data / "mimic3demo", tmp_path_factory.mktemp("roads"))


@pytest.fixture(scope="module")
def ours(roads: Roads, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own export of every stay of the demo."""
    records = roads.by_tables(unit="every_stay", window_hours=1)[0].with_columns(split=pl.lit("train"))
    out = tmp_path_factory.mktemp("ours")
    write_meds(out, roads.tables, records, 0.0, mimic3.Source(mimic3.Settings(root=roads.root)).labels)
    return out


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"task": "icd9", "comorbidities": "this_admission", "series_channels": ["value", "mask", "since"]},
        {"task": "ihm48"},
        {"task": "decompensation"},
        {"task": "readmission"},
        {"task": "phenotyping", "origin": "icu_intime"},
        {"items": "all_urine", "gcs": "published", "window_hours": 48},
    ],
)
def test_our_export_comes_out_equal(roads: Roads, ours: Path, asked: dict[str, Any]) -> None:
    straight, arrays, _ = roads.by_tables(**asked)
    around, again, _ = roads.by_meds(ours, **asked)
    assert straight["study"].to_list() == around["study"].to_list()
    for column in set(straight.columns) - {"split"}:
        assert straight[column].to_list() == around[column].to_list(), column
    np.testing.assert_array_equal(again["static"], arrays["static"])
    assert_same_series(again["series"], arrays["series"])


def test_the_strict_validator_takes_every_file(ours: Path) -> None:
    for path in (ours / "data").rglob("*.parquet"):
        meds.DataSchema.validate(pq.read_table(path))
    for path in (ours / "labels").glob("*.parquet"):
        meds.LabelSchema.validate(pq.read_table(path))
    meds.SubjectSplitSchema.validate(pq.read_table(ours / meds.subject_splits_filepath))
    meds.CodeMetadataSchema.validate(pq.read_table(ours / meds.code_metadata_filepath))


def as_mimic_iv_meds(tables: dict[str, Ingested], out: Path, item_code: str = "LAB//{}//{}") -> Path:
    """The demo's events by the conventions of MIMIC_IV_MEDS's event_configs.yaml: services and wards are not there, and a
    laboratory result stands at the time it was stored."""
    scan = {name: table.scan().collect() for name, table in tables.items()}
    ids = [pl.col("SUBJECT_ID").alias("subject_id"), pl.col("HADM_ID").alias("hadm_id")]
    stay = pl.col("ICUSTAY_ID").alias("icustay_id")

    def events(name: str, time: pl.Expr, code: pl.Expr, *more: pl.Expr) -> pl.DataFrame:
        return scan[name].select(*ids, time.alias("time"), code.alias("code"), *more).drop_nulls(["time", "code"])

    admit, leave = pl.col("ADMITTIME"), pl.col("DISCHTIME")
    scan["DIAGNOSES_ICD"] = (
        scan["DIAGNOSES_ICD"]
        .join(scan["ADMISSIONS"].select("HADM_ID", "DISCHTIME"), on="HADM_ID")
        .sort("HADM_ID", "SEQ_NUM")
    )
    died = scan["PATIENTS"].join(
        scan["ADMISSIONS"].group_by("SUBJECT_ID").agg(pl.col("DEATHTIME").min()), on="SUBJECT_ID"
    )
    place = pl.when(pl.col("HOSPITAL_EXPIRE_FLAG") == 1).then(pl.lit("DIED")).otherwise(pl.lit("UNK"))
    unit = pl.col("VALUEUOM").fill_null("UNK")
    number, text = pl.col("VALUENUM").cast(pl.Float32).alias("numeric_value"), pl.col("VALUE").alias("text_value")
    scan["CHARTEVENTS"] = scan["CHARTEVENTS"].filter(~pl.col("ERROR"))
    who = pl.col("SUBJECT_ID").alias("subject_id")
    parts = [
        scan["PATIENTS"].select(who, pl.lit(None, pl.Datetime("us")).alias("time"), code=pl.format("GENDER//{}", "GENDER")),
        scan["PATIENTS"].select(who, pl.col("DOB").alias("time"), code=pl.lit("MEDS_BIRTH")),
        died.select(who, pl.coalesce("DEATHTIME", "DOD").alias("time"), code=pl.lit("MEDS_DEATH")).drop_nulls("time"),
        events("ADMISSIONS", admit, pl.format("HOSPITAL_ADMISSION//{}//UNK", "ADMISSION_TYPE")),
        events("ADMISSIONS", admit, pl.format("INSURANCE//{}", "INSURANCE")),
        events("ADMISSIONS", admit, pl.format("RACE//{}", "ETHNICITY")),
        events("ADMISSIONS", leave, pl.format("HOSPITAL_DISCHARGE//{}", place)),
        events("ICUSTAYS", pl.col("INTIME"), pl.format("ICU_ADMISSION//{}", "FIRST_CAREUNIT"), stay),
        events("ICUSTAYS", pl.col("OUTTIME"), pl.format("ICU_DISCHARGE//{}", "LAST_CAREUNIT"), stay),
        events("DIAGNOSES_ICD", leave, pl.format("DIAGNOSIS//ICD//9//{}", "ICD9_CODE")),
        events("CHARTEVENTS", pl.col("CHARTTIME"), pl.format(item_code, "ITEMID", unit), stay, number, text),
        events("LABEVENTS", pl.col("CHARTTIME"), pl.format("LAB//SPECIMEN_COLLECTED//{}//ROUTINE", "ITEMID")),
        events("LABEVENTS", pl.col("CHARTTIME") + LAG, pl.format("LAB//RESULT//{}//{}", "ITEMID", unit), number, text),
        events("OUTPUTEVENTS", pl.col("CHARTTIME"), pl.format("SUBJECT_FLUID_OUTPUT//{}//{}", "ITEMID", unit), stay, pl.col("VALUE").cast(pl.Float32).alias("numeric_value")),
    ]  # fmt: skip
    (out / "data").mkdir(parents=True)
    every = pl.concat(parts, how="diagonal").sort("subject_id", "time", maintain_order=True)
    every.write_parquet(out / "data" / "0.parquet")
    return out


@pytest.mark.parametrize("asked", [{}, {"task": "ihm48", "unit": "every_stay"}, {"task": "icd9", "icd9_group": 7}])
def test_mimic_iv_meds_comes_out_equal(roads: Roads, tmp_path: Path, asked: dict[str, Any]) -> None:
    root = as_mimic_iv_meds(roads.tables, tmp_path / "meds")
    straight, arrays, _ = roads.by_tables(available="charted", moments="published", **asked)
    around, again, flow = roads.by_meds(root, available="charted", moments="published", **asked)
    assert straight["study"].to_list() == around["study"].to_list()
    label = next(name for name in straight.columns if name.startswith("label_"))
    for column in (label, "group_sex", "group_age_band", "group_ethnicity", "group_insurance", "_event"):
        assert straight[column].to_list() == around[column].to_list(), column
    assert_same_series(again["series"], arrays["series"])
    np.testing.assert_array_equal(again["static"][:, :4], arrays["static"][:, :4])
    assert np.isnan(again["static"][:, 4]).all()  # no services: absent, not medical
    assert set(around["group_source"]) == {None}
    assert "The MEDS data set holds no services: the type of admission is unknown." in flow.remarks
    assert "Nobody has a value of admission_type." in flow.remarks


def test_codes_of_meds_etl_are_read(roads: Roads, tmp_path: Path) -> None:
    root = as_mimic_iv_meds(roads.tables, tmp_path / "meds", item_code="MIMIC_IV_ITEM/{}/{}")
    path = root / "data" / "0.parquet"
    split = pl.col("code").str.extract(r"^(MIMIC_IV_ITEM/\d+)/")
    unit = pl.col("code").str.extract(r"^MIMIC_IV_ITEM/\d+/(.*)$")
    pl.read_parquet(path).with_columns(unit=unit.replace("UNK", None), code=pl.coalesce(split, "code")).write_parquet(
        path
    )
    arrays = roads.by_tables(available="charted", moments="published")[1]
    again = roads.by_meds(root, available="charted", moments="published")[1]
    assert_same_series(again["series"], arrays["series"])


def test_results_without_their_collection_are_counted(roads: Roads, tmp_path: Path) -> None:
    root = as_mimic_iv_meds(roads.tables, tmp_path / "meds")
    path = root / "data" / "0.parquet"
    every = pl.read_parquet(path)
    taken = every["code"].str.starts_with("LAB//SPECIMEN_COLLECTED//51006") & (
        every["subject_id"] == every["subject_id"][0]
    )
    assert taken.any()
    every.filter(~(taken & taken.is_first_distinct())).write_parquet(path)
    remarks = roads.by_meds(root)[2].remarks
    assert any("laboratory values stand at the time of their result" in remark for remark in remarks)
