"""Study folders: the same tensors as from the tables, units, and clear refusals."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.simulate.studies import simulate as simulate_studies
from i2m2_med.sources.mimic3 import Settings, Source
from i2m2_med.sources.mimic3.items import CHANNELS, SAPS12
from i2m2_med.sources.mimic3.measure import RAW_SAPS
from i2m2_med.sources.mimic3.study import open_study, read_notes
from i2m2_med.sources.mimic3.units import canonical, known_concepts
from i2m2_med.sources.source import Study

from .conftest import Build
from .small import chart, lab, note, small_tables, write_tables

STATIC = {
    "age_years": 61.5,
    "aids": False,
    "hematologic_malignancy": True,
    "metastatic_cancer": False,
    "admission_type": "medical",
}


def source(**settings: Any) -> Source:
    return Source(Settings(root=Path("unused"), **settings))


def folder(path: Path, rows: list[tuple[Any, ...]] | None = None, static: Any = None, **notes: str) -> Path:
    """A study folder; notes by the name of their file."""
    path.mkdir()
    if rows is not None:
        with (path / "series.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("time", "concept", "value", "unit"), *rows])
    if static is not None:
        (path / "static.json").write_text(json.dumps(static), encoding="utf-8")
    if notes:
        (path / "notes").mkdir()
        for name, text in notes.items():
            (path / "notes" / f"{name}.txt").write_text(text, encoding="utf-8")
    return path


def channel(study: Study, name: str, hour: int = 0) -> float:
    return float(study.arrays["series"][0, hour, SAPS12.index(name)])


def test_a_study_folder_gives_what_the_tables_give(build: Build, tmp_path: Path) -> None:
    charted = [chart(1, 211, 0.5, 80.0, row=1), chart(1, 678, 2.5, 98.6, row=2), chart(2, 211, 1.0, 60.0, row=3)]
    labs = [lab(1, 51006, -3.0, 20.0, row=1), lab(1, 51006, 5.0, 30.0, row=2), lab(1, 51006, 30.0, 99.0, row=3)]
    noted = [note(1, 3.0, "Pt resting.", row=1)]
    root = write_tables(tmp_path / "t", small_tables(CHARTEVENTS=charted, LABEVENTS=labs, NOTEEVENTS=noted))
    kinds = {"series_channels": ["value", "mask", "since"], "notes": {}}
    tables = build(root, **kinds)
    rows = [
        (0.5, "heart_rate", 80, "bpm"),
        (2.5, "temperature", 98.6, "degF"),
        (-3, "bun", 20, "mg/dL"),
        (5, "bun", 30, "mg/dL"),
        (30, "bun", 99, "mg/dL"),
        (2, "urine_output", 50, "mL"),
    ]
    age = float(tables.arrays["static"][0, 0])
    static = {"age_years": age, "admission_type": "medical"}
    study = source(**kinds).study(folder(tmp_path / "s", rows, static, **{"003.000_nursing": "Pt resting."}))
    for name in ("series", "static", "notes"):
        np.testing.assert_array_equal(study.arrays[name][0], tables.arrays[name][0])


@pytest.mark.parametrize(
    ("concept", "value", "unit", "channel_name", "expected"),
    [
        ("temperature", 98.6, "degF", "temperature", 37.0),
        ("temperature", 37, "°C", "temperature", 37.0),
        ("bun", 10, "mmol/L", "bun", 28.0),
        ("bilirubin", 34.2, "umol/L", "bilirubin", 2.0),
        ("urine", 0.1, "L", "urine", 100.0),
        ("systolic_bp", 16, "kPa", "sbp", 120.01),
        ("sodium", 140, "mmol/L", "sodium", 140.0),
        ("GCS_total", 14, "", "gcs", 14.0),
    ],
)
def test_units(tmp_path: Path, concept: str, value: float, unit: str, channel_name: str, expected: float) -> None:
    study = source().study(folder(tmp_path / "s", [(0.5, concept, value, unit)]))
    assert channel(study, channel_name) == pytest.approx(expected, abs=0.01)


def test_ratio_of_its_parts(tmp_path: Path) -> None:
    study = source().study(folder(tmp_path / "s", [(0.5, "po2", 90, "mmHg"), (0.2, "fio2", 0.45, "fraction")]))
    assert channel(study, "pao2_fio2") == pytest.approx(2)


@pytest.mark.parametrize(
    ("rows", "static", "says"),
    [
        ([(0.5, "heart_rate", "8O", "bpm")], None, "line 2: the value is not a number"),
        ([(0.5, "heart_rate", "inf", "bpm")], None, "line 2: the value is not a number"),
        ([("noon", "heart_rate", 80, "bpm")], None, "line 2: the time is not a number"),
        ([(0.5, "heart_rate", 80, "stone")], None, "line 2: heart_rate has an unknown unit; give it in bpm"),
        ([], None, "holds none of series.csv, static.json"),
        ([(900, "heart_rate", 80, "bpm")], None, "holds none of"),
        (None, None, "holds none of"),
        (None, [1, 2], "static.json is not an object"),
        (None, {"admission_type": "medical"}, "age_years is missing"),
        (None, STATIC | {"age_years": -5}, "age_years"),
        (None, STATIC | {"age_years": True}, "age_years"),
        (None, STATIC | {"admission_type": "walk-in"}, "admission_type is not one of medical"),
        (None, STATIC | {"aids": "perhaps"}, "aids is neither true nor false"),
    ],
)
def test_refusals_are_one_clear_line_without_values(tmp_path: Path, rows: list | None, static: Any, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        source().study(folder(tmp_path / "s", rows, static))
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_absent(tmp_path: Path) -> None:
    study = source(notes={}).study(folder(tmp_path / "s", static=STATIC))
    assert study.records.select("has_series", "has_static", "has_notes").row(0) == (False, True, False)
    assert np.isnan(study.arrays["series"]).all()
    assert study.arrays["static"].tolist() == [[61.5, 0, 1, 0, 0]]


def test_notes_of_the_future_without_time_or_of_discharge_are_not_read(tmp_path: Path) -> None:
    notes = {"900_physician": "expired", "nursing": "no time", "003_discharge_summary": "went home"}
    study = source(notes={}).study(folder(tmp_path / "s", static=STATIC, **notes))
    assert not study.records["has_notes"][0]


def test_published_profile_can_not_score_one_study(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="z-scores run over all samples"):
        source(profile="i2m2_compat").study(folder(tmp_path / "s", static=STATIC))


def test_every_channel_can_be_given() -> None:
    assert {canonical(name, "saps12") for name in known_concepts("saps12")} == set(RAW_SAPS)
    assert {canonical(name, "benchmark17") for name in known_concepts("benchmark17")} == set(CHANNELS["benchmark17"])


def test_simulated_studies_are_scored_or_refused_as_they_should_be(tmp_path: Path) -> None:
    from i2m2_med.simulate.mimic3.damage import DAMAGE

    simulate_studies(tmp_path / "out", kind="mimic3", count=45, seed=2, damage=True)
    expected = {damage.name: damage.expected for damage in DAMAGE}
    seen = 0
    for study in sorted((tmp_path / "out").iterdir()):
        name = (study / "damage.txt").read_text(encoding="utf-8").split()[0] if (study / "damage.txt").exists() else ""
        if name not in expected:
            continue
        seen += 1
        try:
            source(notes={}).study(study)
            found = "scored"
        except SourceError:
            found = "refused"
        assert found == expected[name], name
    assert seen > 15


@pytest.mark.parametrize("category", ["dis\u00adcharge summary", "discharg\u0435", "d\u200bischarge", "\uff44ischarge"])
def test_a_discharge_note_in_disguise_is_refused(category: str, tmp_path: Path) -> None:
    """A soft hyphen, a Cyrillic letter, a blank of no width, a letter of full width."""
    settings = Settings(root=tmp_path, notes={})  # type: ignore[arg-type]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / f"003_{category}.txt").write_text("went home", encoding="utf-8")
    with pytest.raises(SourceError, match="category in a note's name"):
        read_notes(tmp_path, settings)


@pytest.mark.parametrize("task", ["los", "decompensation", "phenotyping", "readmission"])
def test_a_task_asked_at_the_end_reads_the_last_window(tmp_path: Path, task: str) -> None:
    rows = [f"{hour}.5,heart_rate,{60 + hour},bpm" for hour in range(70)]
    (tmp_path / "series.csv").write_text("\n".join(["time,concept,value,unit", *rows]), encoding="utf-8")
    settings = Settings(root=tmp_path, task=task)
    seen = open_study(tmp_path, settings).arrays["series"][0, :, 8]
    assert seen.tolist() == [60 + hour for hour in range(70 - settings.window_hours, 70)]
