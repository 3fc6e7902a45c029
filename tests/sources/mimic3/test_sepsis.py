"""Sepsis-3: its onsets on the real demo by another program, its samples, and each rule by itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pydantic import ValidationError

from i2m2_med.errors import SourceError
from i2m2_med.sources import meds, mimic4
from i2m2_med.sources.mimic3 import Settings, Source
from i2m2_med.sources.mimic3.cohort import SelectedStays, gather, select
from i2m2_med.sources.mimic3.infection import antibiotics, suspicions
from i2m2_med.sources.mimic3.ingest import Ingested, ingest_table
from i2m2_med.sources.mimic3.sepsis import oliguria, onsets, points_of, worst_of_day
from i2m2_med.sources.source import Flow, Progress
from tests.sources.mimic4.test_renamed_demo import HOSPITAL, renamed

from . import by_pandas
from .conftest import Build
from .small import at, chart, lab, small_tables, write_tables

LUNGS, NERVES = 0, 4


@pytest.fixture(scope="module")
def read(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Ingested], SelectedStays, Settings]:
    settings = Settings(root=demo, task="sepsis3")
    cache = tmp_path_factory.mktemp("cache")
    tables = {name: ingest_table(path, name, cache, Progress()) for name, path in Source(settings).tables().items()}
    return tables, select(settings, *gather(tables, Flow()), Flow()), settings


@pytest.mark.slow
def test_onsets_as_another_program_finds_them(
    demo: Path, read: tuple[dict[str, Ingested], SelectedStays, Settings]
) -> None:
    tables, cohort, settings = read
    names = dict(cohort.samples.select("row", "ICUSTAY_ID").iter_rows())
    points = (
        points_of(tables, cohort, settings)[0].filter(pl.col("part").is_in([LUNGS, NERVES])).to_dict(as_series=False)
    )
    others = pd.DataFrame(points).rename(columns={"value": "points"})
    others["ICUSTAY_ID"] = others["row"].map(names)
    found = {str(names[row]): time for row, time in onsets(tables, cohort, settings).iter_rows()}
    expected = {stay: time for stay, time in by_pandas.onsets(demo, others).items() if int(stay) in names.values()}
    assert len(found) > 50
    assert {stay: pd.Timestamp(time) for stay, time in found.items()} == expected


def test_samples_end_with_the_onset(build: Build, demo: Path) -> None:
    built = build(demo, task="sepsis3")
    label = built.records["label_sepsis3"]
    assert set(label) == {0, 1}
    ends = built.records.group_by("study").agg(last=pl.col("item").max(), hours=(pl.col("label_sepsis3") == 1).sum())
    positive = ends.filter(pl.col("hours") > 0)
    assert positive["hours"].max() == 6  # of the six hours ahead
    assert built.steps["samples: before the event"][1] > 1000


def small(**changes: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The small tables with an antibiotic on the second day of the first patient, and a culture two hours after admission."""
    drug = {
        "SUBJECT_ID": 1, "HADM_ID": 1001, "STARTDATE": "2150-01-02 00:00:00", "DRUG_TYPE": "MAIN", "DRUG": "Vancomycin", "ROUTE": "IV",
    }  # fmt: skip
    tables = small_tables(
        PRESCRIPTIONS=[drug],
        MICROBIOLOGYEVENTS=[{"SUBJECT_ID": 1, "HADM_ID": 1001, "CHARTDATE": at(2)[:10], "CHARTTIME": at(2)}],
        INPUTEVENTS_MV=[
            {
                "SUBJECT_ID": 1,
                "HADM_ID": 1001,
                "ITEMID": 221906,
                "STARTTIME": at(30),
                "ENDTIME": at(30),
                "RATE": 0,
                "STATUSDESCRIPTION": "Stopped",
            }
        ],
        INPUTEVENTS_CV=[{"SUBJECT_ID": 1, "HADM_ID": 1001, "ITEMID": 30047, "CHARTTIME": at(30), "RATE": 0}],
    )
    for row in tables["OUTPUTEVENTS"]:
        row["VALUE"] = 900
    return {
        **tables,
        "CHARTEVENTS": [chart(s, 211, 0.5 + h, 80, row=10 * s + h) for s in (1, 2) for h in (0, 9)],
        **changes,
    }


def ends(build: Build, tmp_path: Path, tables: dict[str, list[dict[str, Any]]]) -> tuple[int, int]:
    """(the last hour that the first patient has a sample of, how many of theirs are positive)."""
    own = build(write_tables(tmp_path / "t", tables), task="sepsis3").records.filter(pl.col("patient") == "1")
    return int(own["item"].max()), int((own["label_sepsis3"] == 1).sum())  # type: ignore[arg-type]


CREATININE, PLATELETS = 50912, 51265


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, 72),
        ({"LABEVENTS": [lab(1, CREATININE, 20.5, 2.0, row=1)]}, 20),
        ({"LABEVENTS": [lab(1, CREATININE, 20.5, 1.3, row=1)]}, 72),
        ({"LABEVENTS": [lab(1, CREATININE, 20.5, 1.3, row=1), lab(1, PLATELETS, 24, 140, row=2, VALUEUOM="K/uL")]}, 24),
        ({"LABEVENTS": [lab(1, CREATININE, 0.5, 1.3, row=1), lab(1, PLATELETS, 25, 140, row=2, VALUEUOM="K/uL")]}, 72),
        ({"LABEVENTS": [lab(1, CREATININE, 30, 2.5, row=1)]}, 72),  # more than a day after the suspicion
    ],
)
def test_sofa_of_two_near_the_suspicion(
    build: Build, tmp_path: Path, changes: dict[str, list[dict[str, Any]]], end: int
) -> None:
    """The onset is when the hour is over, so that five of the hours before it are less than six hours away."""
    assert ends(build, tmp_path, small(**changes)) == (end, 0 if end == 72 else 5)


def test_who_was_septic_from_the_start_has_no_sample(build: Build, tmp_path: Path) -> None:
    root = write_tables(tmp_path / "t", small(LABEVENTS=[lab(1, CREATININE, -3, 2.5, row=1)]))
    assert set(build(root, task="sepsis3").records["patient"]) == {"2"}


@pytest.mark.parametrize("table", ["INPUTEVENTS_MV", "INPUTEVENTS_CV"])
def test_an_infusion_is_two_points(build: Build, tmp_path: Path, table: str) -> None:
    tables = small()
    times = {"CHARTTIME": at(15.2)} if table == "INPUTEVENTS_CV" else {"STARTTIME": at(15.2), "ENDTIME": at(15.9)}
    tables[table][0] |= {**times, "RATE": 0.05}
    assert ends(build, tmp_path, tables) == (15, 5)
    tables["INPUTEVENTS_MV"][0] |= {"STATUSDESCRIPTION": "Rewritten"}
    assert ends(build, tmp_path / "again", tables)[0] == (72 if table == "INPUTEVENTS_MV" else 15)


def ingested(tmp_path: Path, **tables: list[dict[str, Any]]) -> dict[str, Ingested]:
    root = write_tables(tmp_path / "raw", tables)
    return {name: ingest_table(root / f"{name}.csv.gz", name, tmp_path / "typed", Progress()) for name in tables}


@pytest.mark.parametrize(
    ("given", "taken", "day", "since"),
    [
        ("2150-01-04 00:00:00", "2150-01-02 09:00:00", "2150-01-02", "2150-01-02 09:00:00"),
        ("2150-01-02 00:00:00", "2150-01-02 09:00:00", "2150-01-02", "2150-01-02 09:00:00"),
        ("2150-01-06 00:00:00", "2150-01-02 09:00:00", "2150-01-02", None),
        ("2150-01-01 00:00:00", "2150-01-02 09:00:00", "2150-01-02", "2150-01-01 00:00:00"),
        ("2149-12-31 00:00:00", "2150-01-02 09:00:00", "2150-01-02", None),
        ("2150-01-05 08:30:00", "2150-01-02 09:00:00", "2150-01-02", "2150-01-02 09:00:00"),
        ("2150-01-05 09:30:00", "2150-01-02 09:00:00", "2150-01-02", None),
        ("2150-01-01 09:30:00", "2150-01-02 09:00:00", "2150-01-02", "2150-01-01 09:30:00"),
        ("2150-01-01 08:30:00", "2150-01-02 09:00:00", "2150-01-02", None),
        ("2150-01-05 23:30:00", None, "2150-01-02", "2150-01-02 00:00:00"),
    ],
)
def test_an_antibiotic_and_a_culture_close_to_each_other(
    tmp_path: Path, given: str, taken: str | None, day: str, since: str | None
) -> None:
    drug = {"SUBJECT_ID": 1, "HADM_ID": 2, "STARTDATE": given, "DRUG_TYPE": "MAIN", "DRUG": "Cefepime", "ROUTE": "IV"}
    culture = {"SUBJECT_ID": 1, "HADM_ID": 2, "CHARTDATE": day, "CHARTTIME": taken}
    found = suspicions(ingested(tmp_path, PRESCRIPTIONS=[drug], MICROBIOLOGYEVENTS=[culture]))
    assert [str(time) for time in found["suspected"]] == ([since] if since else [])


@pytest.mark.parametrize(
    ("drug", "route", "kind", "counts"),
    [
        ("Piperacillin-Tazobactam Na", "IV", "MAIN", True),
        ("CeftriaXONE", "IV", "MAIN", True),
        ("Vancomycin Enema", "PR", "MAIN", False),
        ("Erythromycin 0.5% Ophth Oint", "BOTH EYES", "MAIN", False),
        ("Gentamicin", "LEFT EYE", "MAIN", False),
        ("Mitomycin", "IV", "MAIN", False),
        ("Acyclovir", "IV", "MAIN", False),
        ("Cefazolin", "IV", "BASE", False),
        ("Heparin", "IV", "MAIN", False),
    ],
)
def test_antibiotics_that_act_on_the_whole_body(tmp_path: Path, drug: str, route: str, kind: str, counts: bool) -> None:
    row = {"SUBJECT_ID": 1, "HADM_ID": 2, "STARTDATE": "2150-01-01", "DRUG_TYPE": kind, "DRUG": drug, "ROUTE": route}
    assert antibiotics(ingested(tmp_path, PRESCRIPTIONS=[row])["PRESCRIPTIONS"]).height == counts


def test_the_worst_of_a_day_and_little_urine() -> None:
    points = np.zeros((1, 40, 1))
    points[0, 3] = 2
    assert worst_of_day(points)[0, :, 0].tolist() == [0] * 3 + [2] * 24 + [0] * 13
    urine = np.stack([np.full((1, 40), 20.0), np.ones((1, 40))], axis=2)
    assert oliguria(urine)[0].tolist() == [0] * 23 + [2] * 17  # 480 mL a day
    assert (oliguria(urine * [1.1, 1]) == 0).all()
    assert (oliguria(urine * 0) == 0).all()  # none charted is not none made


def test_without_its_tables_it_is_refused(build: Build, tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match="lacks the tables PRESCRIPTIONS, MICROBIOLOGYEVENTS, INPUTEVENTS_MV, INPUTEVENTS_CV"
    ):
        build(write_tables(tmp_path / "t", small_tables()), task="sepsis3")


@pytest.mark.parametrize(("table", "what"), [("PRESCRIPTIONS", "antibiotic"), ("MICROBIOLOGYEVENTS", "culture")])
def test_nobody_is_well_because_a_table_is_empty(build: Build, tmp_path: Path, table: str, what: str) -> None:
    tables = small()
    tables[table][0] |= {"STARTDATE": None, "CHARTDATE": None, "CHARTTIME": None}
    tables[table] = [{key: value for key, value in tables[table][0].items() if key in small()[table][0]}]
    with pytest.raises(SourceError, match=f"{table} holds no {what}"):
        build(write_tables(tmp_path / "t", tables), task="sepsis3")


def test_mimic4_has_its_own_names_and_hours(tmp_path: Path) -> None:
    """Prescriptions by the hour: the culture is more than 72 h before, so that nothing is suspected; an hour less, and it is."""
    for hours, septic in ((73.9, True), (74.1, False)):
        tables = small(LABEVENTS=[lab(1, CREATININE, 20.5, 2.0, row=1)])
        tables["PRESCRIPTIONS"][0]["STARTDATE"] = at(hours)
        tables["ICUSTAYS"][0]["OUTTIME"] = at(90)
        four = tmp_path / str(hours)
        for name, rows in tables.items():
            if name in ("NOTEEVENTS", "INPUTEVENTS_CV"):
                continue
            frame = renamed(name, pl.DataFrame(rows, infer_schema_length=None).cast(pl.String))
            frame = frame.rename({"startdate": "starttime"}) if name == "PRESCRIPTIONS" else frame
            hosp = name in (*HOSPITAL, "PRESCRIPTIONS", "MICROBIOLOGYEVENTS")
            place = four / ("hosp" if hosp else "icu") / f"{name.removesuffix('_MV').lower()}.csv"
            place.parent.mkdir(parents=True, exist_ok=True)
            frame.write_csv(place)
        source = mimic4.Source(mimic4.Settings(root=four, task="sepsis3"))
        records = source.ingest(four, tmp_path / "cache", Flow(), Progress()).filter(pl.col("patient") == "1")
        assert records["item"].max() == (20 if septic else 90)


def test_meds_has_no_prescriptions(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="read from tables only"):
        meds.Settings(root=tmp_path, task="sepsis3")
