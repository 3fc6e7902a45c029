"""What the manifest says: missingness per split, static columns against the label, the database's trace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.config.run import Split
from i2m2_med.samples.split import bucket
from i2m2_med.sources.mimic3.audits import database_probe

from .conftest import Build, Built
from .small import small_tables, write_tables


def audits(built: Built) -> dict:
    split = [bucket(patient, Split()) for patient in built.records["patient"]]
    found = built.source.audits(built.records.with_columns(pl.Series("split", split)), built.arrays)
    json.dumps(found, allow_nan=False)  # it goes into the manifest
    return found


def test_missingness_per_channel_and_split(build: Build, demo: Path) -> None:
    missing = audits(build(demo))["missing"]
    assert set(missing) == {"train", "valid", "test"}
    assert missing["train"]["bun"] == 0
    assert 0.2 < missing["train"]["bilirubin"] < 0.7
    assert all(0 <= share <= 1 for split in missing.values() for share in split.values())


def test_never_measured_as_in_the_specification(build: Build, demo: Path) -> None:
    """Bilirubin 28 of 93 admissions, in the published cohort."""
    built = build(demo, profile="i2m2_compat", normalise="train")
    never = ~np.isfinite(built.arrays["series"]).any(axis=1)
    assert never[:, 11].sum() == 28


@pytest.mark.parametrize(
    ("settings", "leaks"),
    [
        ({"task": "icd9"}, set()),
        ({"task": "icd9", "comorbidities": "this_admission"}, {"hematologic_malignancy", "metastatic_cancer"}),
        ({"task": "icd9", "profile": "i2m2_compat"}, {"hematologic_malignancy", "metastatic_cancer"}),
        ({"task": "icd9", "comorbidities": "this_admission", "cancer_flags": False}, set()),
        ({"task": "mortality", "profile": "i2m2_compat"}, set()),
    ],
)
def test_static_columns_against_the_label(build: Build, demo: Path, settings: dict, leaks: set[str]) -> None:
    found = audits(build(demo, **settings))["static_vs_label"]
    assert {name for name, column in found.items() if column["leak"]} == leaks
    if settings == {"task": "icd9", "comorbidities": "this_admission"}:
        assert found["metastatic_cancer"]["precision"] == 1
        assert found["metastatic_cancer"]["recall"] > 0.4


def probed(series: np.ndarray, source: np.ndarray) -> dict:
    split = np.where(np.arange(len(source)) % 3 == 0, "test", "train")
    return database_probe(pl.DataFrame({"group_source": source, "split": split}), series)


def test_the_probe_finds_the_database_where_it_can_be_read() -> None:
    rng = np.random.default_rng(0)
    source = np.where(rng.random(300) < 0.5, "carevue", "metavision")
    series = rng.normal(size=(300, 24, 3))
    assert abs(probed(series, source)["auroc"] - 0.5) < 0.15
    missing = series.copy()
    missing[source == "carevue", :, 1] = np.nan  # charted in one database only
    assert probed(missing, source)["auroc"] == 1
    assert probed(series, np.full(300, "carevue"))["auroc"] is None


def test_the_probe_on_the_demo_says_how_few_there_are(build: Build, demo: Path) -> None:
    probe = audits(build(demo))["database_probe"]
    assert probe["auroc"] is not None
    assert probe["stays"] == 27


def test_small_cohorts_have_audits_too(build: Build, tmp_path: Path) -> None:
    built = build(write_tables(tmp_path / "t", small_tables()))
    records = built.records.with_columns(split=pl.lit("train"))
    found = built.source.audits(records, built.arrays)
    assert found["database_probe"]["auroc"] is None
    assert set(found["missing"]) == {"train"}
    json.dumps(found, allow_nan=False)


BITS = """
import hashlib, sys, tempfile
from pathlib import Path
from i2m2_med.sources.mimic3 import Settings, Source
from i2m2_med.sources.source import Flow, Progress
for settings in ({}, {"profile": "i2m2_compat"}, {"task": "ihm48", "series_channels": ["value", "mask", "since"]}):
    folder = Path(tempfile.mkdtemp())
    source = Source(Settings(root=sys.argv[1], **settings))
    records = source.ingest(folder, folder / "cache", Flow(), Progress())
    arrays = source.arrays(folder)
    print(hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest(), records.hash_rows().sum())
"""


@pytest.mark.slow
def test_same_bits_with_one_and_two_threads(demo: Path) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", BITS, str(demo)],
            env=os.environ | {"POLARS_MAX_THREADS": str(threads)},
            capture_output=True,
            check=True,
        ).stdout
        for threads in (1, 2)
    ]
    assert said[0] == said[1]
    assert said[0].count(b"\n") == 3
