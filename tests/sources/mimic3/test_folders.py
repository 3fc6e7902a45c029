"""A folder that holds something else than was asked for is called by what it holds, in one line."""

import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from i2m2_med.errors import SourceError

OTHERS = {
    "MIMIC-III": ("PATIENTS.csv.gz", "ADMISSIONS.csv.gz", "ICUSTAYS.csv.gz"),
    "MIMIC-IV": ("hosp/patients.csv.gz", "icu/icustays.csv.gz"),
    "MIMIC-IV 1.0 or older": ("core/patients.csv.gz", "hosp/labevents.csv.gz", "icu/icustays.csv.gz"),
    "hosp of MIMIC-IV without icu": ("hosp/patients.csv.gz",),
    "icu of MIMIC-IV without hosp": ("icu/icustays.csv.gz",),
    "MIMIC-IV's folder hosp itself": ("omr.csv.gz", "labevents.csv.gz", "patients.csv.gz"),
    "MIMIC-IV's folder icu itself": ("icustays.csv.gz", "caregiver.csv.gz"),
    "eICU": ("patient.csv.gz", "vitalPeriodic.csv.gz"),
    "HiRID": ("raw_stage/observation_tables.csv",),
    "MIMIC-IV-ED": ("ed/edstays.csv.gz",),
    "MIMIC-IV-Note": ("note/discharge.csv.gz",),
    "MIMIC-IV-ECG": ("machine_measurements.csv", "record_list.csv"),
    "MIMIC-CXR": ("cxr-record-list.csv.gz",),
    "AmsterdamUMCdb": ("numericitems.csv", "admissions.csv"),
    "a MEDS data set": ("data/train/0.parquet", "metadata/codes.parquet"),
}


def made(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def refusal(source: str, root: Path) -> str:
    module = import_module(f"i2m2_med.sources.{source}")
    with pytest.raises(SourceError) as caught:
        module.Source(module.Settings(root=root)).files()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("held", OTHERS)
@pytest.mark.parametrize(("source", "wanted"), [("mimic3", "MIMIC-III"), ("mimic4", "MIMIC-IV")])
def test_another_data_set_is_called_by_its_name(tmp_path: Path, source: str, wanted: str, held: str) -> None:
    if held == wanted:
        return
    assert f"holds {held}" in refusal(source, made(tmp_path, OTHERS[held]))


@pytest.mark.parametrize("held", ["MIMIC-III", "MIMIC-IV", "eICU"])
def test_tables_given_for_events_are_called_by_their_name(tmp_path: Path, held: str) -> None:
    assert f"holds {held}, not a MEDS data set" in refusal("meds", made(tmp_path, OTHERS[held]))


@pytest.mark.parametrize("source", ["mimic3", "mimic4"])
def test_the_folder_that_was_meant_is_named(tmp_path: Path, source: str) -> None:
    held = {"mimic3": "MIMIC-III", "mimic4": "MIMIC-IV"}[source]
    deep = tmp_path / "physionet.org" / "files" / source / "3.1"
    made(deep, OTHERS[held])
    assert f"deeper down; give source.root={deep}" in refusal(source, tmp_path)


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "mimiciv-3.1.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("hosp/patients.csv", "")
    assert "is a packed archive, not a folder; unpack it" in refusal("mimic4", packed)
    assert "holds mimiciv-3.1.zip, a packed archive, and no tables; unpack it" in refusal("mimic4", tmp_path)


def test_a_database_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "mimic4.db").write_bytes(b"SQLite format 3")
    assert "is a database file, not a folder; export its tables" in refusal("mimic4", tmp_path / "mimic4.db")


def test_notes_asked_for_and_not_there_are_missed(tmp_path: Path) -> None:
    hosp = ("patients", "admissions", "services", "diagnoses_icd", "labevents")
    icu = ("icustays", "chartevents", "outputevents")
    made(tmp_path, tuple(f"hosp/{n}.csv.gz" for n in hosp) + tuple(f"icu/{n}.csv.gz" for n in icu))
    module = import_module("i2m2_med.sources.mimic4")
    source = module.Source(module.Settings(root=tmp_path, notes={}))
    with pytest.raises(SourceError, match="lacks the tables DISCHARGE, RADIOLOGY"):
        source.files()
    made(tmp_path, ("note/radiology.csv.gz",))
    assert "RADIOLOGY" in source.tables()
    assert "DISCHARGE" not in source.tables()
