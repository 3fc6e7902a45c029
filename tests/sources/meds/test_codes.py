"""A hospital's own MEDS data set, in the manner of the public eICU conversion: no admission ids, codes of its own, read by a mapping."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources import mimic3
from i2m2_med.sources.meds.mapping import read_mapping
from i2m2_med.sources.meds.source import Settings, Source
from i2m2_med.sources.mimic3.ingest import ingest_table
from i2m2_med.sources.mimic3.items import SAPS12, items_of
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Flow, Progress

MEASURED = {
    "heart_rate": ("VITALS//PERIODIC//HEARTRATE", "bpm"),
    "sbp": ("VITALS//PERIODIC//BP//SYSTEMIC_SYSTOLIC", "mm Hg"),
    "temperature": ("VITALS//PERIODIC//TEMPERATURE", "Cel"),
    "bun": ("LAB//mg/dL//mg/dL//BUN", "mg/dL"),
    "wbc": ("LAB//K/mcL//K/MM3//WBC x 1000", "10^9/L"),
    "bicarbonate": ("LAB//mmol/L//MMOL/L//bicarbonate", "mmol/L"),
    "sodium": ("LAB//mmol/L//MMOL/L//sodium", "mmol/L"),
    "potassium": ("LAB//mmol/L//MMOL/L//potassium", "mmol/L"),
    "bilirubin": ("LAB//mg/dL//mg/dL//total bilirubin", "umol/L"),
}
FACTOR = {"bilirubin": 17.1}
MAPPING = "\n".join(
    [
        "code,concept,unit",
        "DOB,birth,",
        "GENDER//*,gender,",
        "ETHNICITY//*,race,",
        "HOSPITAL_ADMISSION//*,hospital_admission,",
        "HOSPITAL_DISCHARGE//*,hospital_discharge,",
        "UNIT_ADMISSION//*,icu_admission,",
        "UNIT_DISCHARGE//*,icu_discharge,",
        "ICD9CM//*,diagnosis_icd9,",
        *(f"{code},{concept},{unit}" for concept, (code, unit) in MEASURED.items() if concept != "sbp"),
        "VITALS//*//SYSTEMIC_SYSTOLIC,systolic_bp,mm Hg",
    ]
)


def eicu_like(tables: dict[str, pl.DataFrame], folder: Path) -> Path:
    """Admissions of the demo as the public eICU conversion writes them: a subject is an admission, and only the ICU admission names
    its stay."""
    admissions, stays = tables["ADMISSIONS"], tables["ICUSTAYS"]
    subject = pl.col("SUBJECT_ID").alias("subject_id")
    people = tables["PATIENTS"].filter(pl.col("SUBJECT_ID").is_in(admissions["SUBJECT_ID"].implode()))
    died = pl.when(pl.col("HOSPITAL_EXPIRE_FLAG") == 1).then(pl.lit("Expired//Death")).otherwise(pl.lit("Alive//Home"))
    unit = pl.col("FIRST_CAREUNIT")
    sex = pl.col("GENDER").replace({"F": "Female", "M": "Male"})
    parts = [
        people.select(subject, pl.col("DOB").alias("time"), code=pl.lit("DOB")),
        people.select(subject, pl.lit(None, pl.Datetime("us")).alias("time"), code=pl.format("GENDER//{}", sex)),
        admissions.select(subject, pl.col("ADMITTIME").alias("time"), code=pl.lit("HOSPITAL_ADMISSION//Emergency//t")),
        admissions.select(subject, pl.lit(None, pl.Datetime("us")).alias("time"), code=pl.format("ETHNICITY//{}", "ETHNICITY")),
        admissions.select(subject, pl.col("DISCHTIME").alias("time"), code=pl.format("HOSPITAL_DISCHARGE//{}", died)),
        stays.select(subject, pl.col("INTIME").alias("time"), unit_stay_id="ICUSTAY_ID", code=pl.format("UNIT_ADMISSION//{}//t", unit)),
        stays.select(subject, pl.col("OUTTIME").alias("time"), code=pl.format("UNIT_DISCHARGE//Alive//{}", unit)),
        people.select(subject, pl.lit("2150-01-01").str.to_datetime(time_unit="us").alias("time"), code=pl.lit("ALLERGY//Drug//x")),
    ]  # fmt: skip
    items = items_of("saps12", "checked")
    for concept, (code, _) in MEASURED.items():
        for item, table, converter in (
            items.filter(pl.col("concept") == concept).select("item", "table", "converter").iter_rows()
        ):
            number = pl.col("VALUENUM") * FACTOR.get(concept, 1.0)
            number = (number - 32) / 1.8 if converter == "fahrenheit" else number
            sound = ~pl.col("ERROR") if table == "CHARTEVENTS" else pl.lit(True)
            rows = tables[table].filter((pl.col("ITEMID") == item) & sound & pl.col("CHARTTIME").is_not_null())
            value = number.cast(pl.Float32).alias("numeric_value")
            parts.append(rows.select(subject, pl.col("CHARTTIME").alias("time"), value, code=pl.lit(code)))
    diagnoses = tables["DIAGNOSES_ICD"].join(admissions.select("HADM_ID", "DISCHTIME"), on="HADM_ID")
    dotted = pl.col("ICD9_CODE").str.replace(r"^(\d{3}|V\d{2}|E\d{3})(\d+)$", "$1.$2")
    parts.append(
        diagnoses.drop_nulls("ICD9_CODE").select(
            subject, pl.col("DISCHTIME").alias("time"), code=pl.format("ICD9CM//{}//Major", dotted)
        )
    )
    (folder / "data").mkdir(parents=True)
    pl.concat(parts, how="diagonal").sort("subject_id", "time", maintain_order=True).write_parquet(
        folder / "data" / "0.parquet"
    )
    return folder


class Hospital:
    """The eICU-like data set, and the demo's tables that it was made of."""

    def __init__(self, demo: Path, work: Path) -> None:
        self.work, self.made = work, 0
        self.root, self.mapping = work / "eicu", work / "mapping.csv"
        read = {
            n: ingest_table(demo / f"{n}.csv.gz", n, work / "typed", Progress()).scan().collect()
            for n in TABLES
            if n != "NOTEEVENTS"
        }
        once = read["ADMISSIONS"].filter(pl.len().over("SUBJECT_ID") == 1)["SUBJECT_ID"]
        self.tables = {name: rows.filter(pl.col("SUBJECT_ID").is_in(once.implode())) for name, rows in read.items()}
        (work / "tables").mkdir()
        for name, rows in self.tables.items():
            rows.drop([c for c in rows.columns if c.endswith("_GIVEN")]).write_parquet(
                work / "tables" / f"{name}.parquet"
            )
        self.mapping.write_text(MAPPING, encoding="utf-8")
        eicu_like(self.tables, self.root)

    def ingest(self, source: mimic3.Source) -> tuple[pl.DataFrame, np.ndarray, Flow]:
        self.made += 1
        folder, flow = self.work / f"prepared{self.made}", Flow()
        folder.mkdir()
        records = source.ingest(folder, self.work / "cache", flow, Progress())
        return records, np.array(source.arrays(folder)["series"]), flow

    def by_mapping(self, text: str | None = None, **asked: Any) -> tuple[pl.DataFrame, np.ndarray, Flow]:
        mapping = self.mapping
        if text is not None:
            mapping = self.work / "other.csv"
            mapping.write_text(text, encoding="utf-8")
        return self.ingest(Source(Settings.model_validate({"root": self.root, "codes": mapping, **asked})))

    def by_tables(self, **asked: Any) -> tuple[pl.DataFrame, np.ndarray, Flow]:
        return self.ingest(mimic3.Source(mimic3.Settings.model_validate({"root": self.work / "tables", **asked})))


@pytest.fixture(scope="module")
def hospital(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(shared_data / "mimic3demo", tmp_path_factory.mktemp("hospital"))


def common(ours: pl.DataFrame, theirs: pl.DataFrame) -> list[int]:
    """The rows of ours that theirs has, all of theirs; eICU says no time of death, so who died in the ICU within the input stays in."""
    rows = [place for place, study in enumerate(ours["study"]) if study in set(theirs["study"])]
    assert ours[rows]["study"].to_list() == theirs["study"].to_list()
    return rows


def test_series_and_labels_are_those_of_the_tables(hospital: Hospital) -> None:
    asked: dict[str, Any] = {"unit": "every_stay", "available": "charted", "moments": "published"}
    ours, series, flow = hospital.by_mapping(**asked)
    theirs, expected, _ = hospital.by_tables(**asked)
    rows = common(ours, theirs)
    assert len(rows) > 50
    channels = [SAPS12.index(concept) for concept in MEASURED]
    np.testing.assert_allclose(series[rows][..., channels], expected[..., channels], rtol=1e-6)
    assert (np.isfinite(series[..., channels]).any(axis=1).mean(axis=0) > 0.5).all()
    assert ours[rows]["group_care_unit"].str.strip_suffix("//t").to_list() == theirs["group_care_unit"].to_list()
    for column in ("group_sex", "group_age_band", "group_ethnicity"):
        assert ours[rows][column].to_list() == theirs[column].to_list(), column
    assert (
        hospital.by_mapping(task="ihm48", available="charted")[0].height > 20
    )  # of which unit a stay ended in is not known
    for task, label in {"icd9": "label_icd9_7", "ihm48": "label_ihm48"}.items():
        one, other = (take(task=task, icd9_group=7, **asked)[0] for take in (hospital.by_mapping, hospital.by_tables))
        assert one[common(one, other)][label].to_list() == other[label].to_list()
    assert any("1 of" in remark and "ALLERGY//Drug//x" in remark for remark in flow.remarks)
    assert "No event says its admission: each subject is read as one." in flow.remarks


def test_coverage_names_the_hospital_s_codes(hospital: Hospital) -> None:
    coverage = {entry.concept: entry for entry in hospital.by_mapping()[2].coverage}
    assert coverage["heart_rate"].codes == ("VITALS//PERIODIC//HEARTRATE",)
    assert coverage["bilirubin"].codes == ("LAB//mg/dL//mg/dL//total bilirubin",)
    assert coverage["heart_rate"].share > 0.9
    assert coverage["urine"].codes == ()
    assert coverage["urine"].share == 0


def test_the_first_row_that_fits_decides_and_idle_rows_are_named(hospital: Hospital) -> None:
    text = MAPPING + "\nVITALS//*,heart_rate,bpm\nLAB//none,glucose,mg/dL"
    flow = hospital.by_mapping(text)[2]
    assert "No event has the codes VITALS//*, LAB//none of other.csv." in flow.remarks
    missing = "\n".join(line for line in MAPPING.splitlines() if "BUN" not in line)
    flow = hospital.by_mapping(missing)[2]
    assert any("2 of" in remark and "LAB//mg/dL//mg/dL//BUN" in remark for remark in flow.remarks)
    assert any(remark.startswith("Nobody has a value of") and "bun" in remark for remark in flow.remarks)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("X,heart_rat,bpm", "line 19: 'heart_rat' is no concept.*Concepts are birth, death.*heart_rate"),
        ("X,heart_rate,furlong", "heart_rate can't be in 'furlong' but in bpm"),
        ("X,heart_rate,", "heart_rate can't be in '' but in bpm"),
        ("X,sodium,mg/dL", "sodium can't be in 'mg/dL' but in mEq/L, mmol/L"),
        ("GENDER//*,gender,", "line 19: its code stands on line 3 too"),
        ("X//*//*,heart_rate,bpm", "more than one \\*"),
        (",heart_rate,bpm", "the code is empty"),
        ("X,icu_admission,bpm", "icu_admission is an event and has no unit"),
    ],
)
def test_a_mapping_that_says_the_unknown_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text(f"{MAPPING}\n{line}\n", encoding="utf-8")
    with pytest.raises(SourceError, match=message) as caught:
        read_mapping(path)
    assert "\n" not in str(caught.value)


def test_all_wrong_rows_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "mapping.csv"
    path.write_text("code,concept,unit\nA,pulse,bpm\nB,sodium,ounces\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"line 2: 'pulse'.*line 3: sodium can't be in 'ounces'"):
        read_mapping(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "lacks the column code, concept, unit"), (b"code;concept;unit\n", "lacks the column"), (b"\xff\xfe\x00", "can't be read"), (b"code,concept,unit\n", "has 0 rows")],
)  # fmt: skip
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "mapping.csv").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_mapping(tmp_path / "mapping.csv")


def test_what_the_data_contradict_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no code of the data set is in other\.csv; its codes are like"):
        hospital.by_mapping("code,concept,unit\nNOTHING,heart_rate,bpm")
    (tmp_path / "data").mkdir()
    rows = pl.read_parquet(hospital.root / "data" / "0.parquet")
    degrees = pl.when(pl.col("code").str.ends_with("TEMPERATURE")).then(pl.lit("degF")).alias("unit")
    rows.with_columns(degrees).write_parquet(tmp_path / "data" / "0.parquet")
    with pytest.raises(SourceError, match=r"TEMPERATURE is in degF, not degC \(line \d+\)"):
        Source(Settings(root=tmp_path, codes=hospital.mapping)).as_tables(tmp_path / "cache", Progress())
    twice = rows.filter(pl.col("code").str.starts_with("HOSPITAL_ADMISSION")).with_columns(
        pl.col("time") + pl.duration(days=99)
    )
    pl.concat([rows, twice.head(3)]).write_parquet(tmp_path / "data" / "0.parquet")
    with pytest.raises(SourceError, match="3 subjects have several admissions, and no event says which"):
        Source(Settings(root=tmp_path, codes=hospital.mapping)).as_tables(tmp_path / "cache", Progress())
    with pytest.raises(SourceError, match="is no file; it should be a csv of code,concept,unit"):
        Source(Settings(root=tmp_path, codes=tmp_path / "nowhere.csv")).files()


def test_a_hospital_s_numbers_are_no_items(hospital: Hospital, tmp_path: Path) -> None:
    """Codes that look like MIMIC's are not read as its items where a mapping says what is."""
    (tmp_path / "data").mkdir()
    rows = pl.read_parquet(hospital.root / "data" / "0.parquet")
    trap = rows.filter(pl.col("code").str.ends_with("HEARTRATE")).with_columns(code=pl.lit("LAB//220179//mmHg"))
    pl.concat([rows, trap]).write_parquet(tmp_path / "data" / "0.parquet")
    _, series, flow = hospital.ingest(Source(Settings(root=tmp_path, codes=hospital.mapping)))
    np.testing.assert_array_equal(series, hospital.by_mapping()[1])
    assert any("LAB//220179//mmHg" in remark for remark in flow.remarks)


@pytest.mark.parametrize(
    ("column", "as_text"),
    [("time", "time is String"), ("subject_id", "subject_id is String"), ("numeric_value", "numeric_value is String")],
)
def test_a_column_of_another_type_is_refused(hospital: Hospital, tmp_path: Path, column: str, as_text: str) -> None:
    (tmp_path / "data").mkdir()
    rows = pl.read_parquet(hospital.root / "data" / "0.parquet").with_columns(pl.col(column).cast(pl.String))
    rows.write_parquet(tmp_path / "data" / "0.parquet")
    with pytest.raises(SourceError, match=as_text):
        Source(Settings(root=tmp_path, codes=hospital.mapping)).as_tables(tmp_path / "cache", Progress())
