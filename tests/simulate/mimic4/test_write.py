"""Laws of the simulated MIMIC-IV tables: the release's format, same bytes, and the labels that were drawn, whatever codes say them."""

import gzip
import json
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from i2m2_med.errors import ConfigError
from i2m2_med.simulate.mimic3.write import simulate as simulate_mimic3
from i2m2_med.simulate.mimic4.layout import HEADERS, TENTH, YEARS
from i2m2_med.simulate.mimic4.write import simulate
from i2m2_med.sources import mimic4
from i2m2_med.sources.mimic3.icd10 import group_of as group_of_tenth
from i2m2_med.sources.mimic3.labels import group_of
from i2m2_med.sources.source import Flow, Progress

Version = Literal["2.2", "3.1"]


@pytest.fixture(scope="module", params=["2.2", "3.1"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Version]:
    out = tmp_path_factory.mktemp("simulated") / "mimic4"
    simulate(out, patients=120, seed=3, version=request.param)
    return out, request.param


def ingest(root: Path, work: Path, **settings: Any) -> tuple[pl.DataFrame, Flow]:
    source, flow = mimic4.Source(mimic4.Settings(root=root, **settings)), Flow()
    work.mkdir(exist_ok=True)
    return source.ingest(work, work.parent / "cache", flow, Progress()), flow


def test_headers_are_the_release_s_and_a_mark(written: tuple[Path, Version]) -> None:
    for module, tables in HEADERS.items():
        for name, header in tables.items():
            with gzip.open(written[0] / module / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
                assert file.readline() == header + ",simulated\n", name


def test_words_and_years_are_the_version_s(written: tuple[Path, Version]) -> None:
    root, version = written
    people = pl.read_csv(root / "hosp" / "patients.csv.gz", try_parse_dates=True)
    assert set(people["anchor_year_group"]) == set(YEARS[version])
    assert people["anchor_age"].is_between(18, 91).all()
    assert 91 in people["anchor_age"]
    admissions = pl.read_csv(root / "hosp" / "admissions.csv.gz", try_parse_dates=True)
    assert ("English" in set(admissions["language"])) == (version == "3.1")
    last = admissions.group_by("subject_id").agg(pl.col("dischtime").max())
    dead = people.drop_nulls("dod").join(last, on="subject_id")
    assert dead.height > 30
    assert ((dead["dod"].cast(pl.Datetime("us")) - dead["dischtime"]).dt.total_days() <= 365).all()
    codes = pl.read_csv(root / "hosp" / "diagnoses_icd.csv.gz", infer_schema=False)
    assert set(codes["icd_version"]) == {"9", "10"}
    assert codes.group_by("hadm_id").agg(pl.col("icd_version").n_unique())["icd_version"].max() == 1


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name in ("once", "again"):
        simulate(tmp_path / name, patients=25, seed=3)
    for path in sorted(path for path in (tmp_path / "once").rglob("*") if path.is_file()):
        again = tmp_path / "again" / path.relative_to(tmp_path / "once")
        assert again.read_bytes() == path.read_bytes(), path.name


def test_every_code_has_a_counterpart_of_its_group() -> None:
    pairs = pl.DataFrame({"nine": list(TENTH), "ten": list(TENTH.values())})
    groups = pairs.select(nine=group_of(pl.col("nine")), ten=group_of_tenth(pl.col("ten")))
    exceptions = {"7991", "9974", "99592", "V4581", "78039", "E9342"}  # those whose chapter changed with ICD-10
    kept = pairs.with_columns(same=groups["nine"] == groups["ten"]).filter(~pl.col("nine").is_in(list(exceptions)))
    assert kept["same"].all(), kept.filter(~pl.col("same"))
    of_labels = groups.select(pl.all().is_in([1, 7]))
    assert (of_labels["nine"] == of_labels["ten"]).all()


@pytest.mark.parametrize(("task", "column"), [("mortality", "mortality_clean"), ("icd1", "icd9_1"), ("icd7", "icd9_7")])
def test_labels_are_the_drawn_ones(written: tuple[Path, Version], tmp_path: Path, task: str, column: str) -> None:
    asked = {"task": "mortality"} if task == "mortality" else {"task": "icd9", "icd9_group": int(task[3:])}
    records, flow = ingest(written[0], tmp_path / "work", notes={}, **asked)
    truth = pl.read_parquet(written[0] / "truth.parquet").filter(pl.col("mortality_clean") >= 0)
    label = next(name for name in records.columns if name.startswith("label_"))
    both = records.join(truth.with_columns(study=pl.col("icustay_id").cast(pl.String)), on="study")
    assert both.height == records.height == truth.height > 80
    assert (both[label] == both[column]).all()
    assert flow.synthetic
    assert not [remark for remark in flow.remarks if "version" in remark or "truncated" in remark]
    assert set(both["group_years"]) == set(YEARS[written[1]])
    assert 0.6 < both["has_notes"].mean() < 1  # type: ignore[operator]


def test_notes_are_read_by_the_rules_of_time(written: tuple[Path, Version], tmp_path: Path) -> None:
    _, flow = ingest(written[0], tmp_path / "work", notes={})
    counts = flow.audits["notes"]
    assert counts["left out: category not allowed"] > 80  # discharge summaries
    assert counts["left out: after the window"] > 80
    text = pl.read_parquet(tmp_path / "work" / "notes.parquet")["text"]
    assert text.len() > 100
    assert not text.str.contains("(?i)discharge summary|progress note|expired").any()


def test_the_ideal_observer_is_that_of_the_same_cases(tmp_path: Path) -> None:
    simulate_mimic3(tmp_path / "three", patients=25, seed=3)
    simulate(tmp_path / "four", patients=25, seed=3)
    ours, theirs = (
        json.loads((tmp_path / name / "ideal.json").read_text(encoding="utf-8")) for name in ("four", "three")
    )
    assert ours == theirs


def test_an_impossible_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 patient"):
        simulate(tmp_path / "out", patients=0)
