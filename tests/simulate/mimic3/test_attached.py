"""Simulated pictures and ECGs: the same bytes again, nothing else moved, and they show what they should."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.simulate.mimic3.write import simulate
from i2m2_med.simulate.mimic4.write import simulate as mimic4_simulate
from i2m2_med.sources import mimic4
from i2m2_med.sources.formats.picture import read_picture
from i2m2_med.sources.formats.wfdb import read_header, read_waveform
from i2m2_med.sources.source import Flow, Progress


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "set"
    simulate(out, patients=60, seed=4, studies=True)
    return out


def test_the_same_bytes_and_the_same_tables(made: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "again", patients=60, seed=4, studies=True)
    simulate(tmp_path / "without", patients=60, seed=4)
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()
    )
    for name in files:
        assert (made / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
        if name.parts[0] not in ("cxr", "ecg"):
            assert (made / name).read_bytes() == (tmp_path / "without" / name).read_bytes(), name


def test_a_picture_shows_the_level(made: Path) -> None:
    listed = pl.read_csv(made / "cxr/mimic-cxr-2.0.0-metadata.csv.gz", infer_schema=False)
    truth = pl.read_parquet(made / "truth.parquet").select(pl.col("subject_id").cast(pl.String), "level_icd9_7")
    joined = listed.filter(pl.col("ViewPosition") == "AP").join(truth, on="subject_id")
    paths = [
        made / f"cxr/files/p{s[:2]}/p{s}/s{study}/{dicom}.jpg"
        for s, study, dicom in joined.select("subject_id", "study_id", "dicom_id").iter_rows()
    ]
    light = [read_picture(path)[55:75, 18:30].mean() for path in paths]
    assert len(light) > 40
    assert np.corrcoef(light, joined["level_icd9_7"])[0, 1] > 0.6


def test_an_ecg_is_as_its_header_says(made: Path) -> None:
    listed = pl.read_csv(made / "ecg/record_list.csv", infer_schema=False)
    header = read_header(made / "ecg" / f"{listed['path'][0]}.hea")
    assert (len(header.leads), header.rate, header.n_samples) == (12, 500, 5000)
    volts = read_waveform(made / "ecg" / f"{listed['path'][0]}.hea")
    assert volts.shape == (12, 5000)
    assert 0.3 < volts.max() < 2


def test_mimic4_has_them_under_its_own_identifiers(tmp_path: Path) -> None:
    """MIMIC-IV, its radiology reports, MIMIC-CXR-JPG and MIMIC-IV-ECG in one run."""
    out = tmp_path / "four"
    mimic4_simulate(out, patients=40, seed=2, studies=True)
    settings = mimic4.Settings(
        root=out,
        notes={"categories": ["Radiology"]},
        pictures=out / "cxr/mimic-cxr-2.0.0-metadata.csv.gz",
        picture_views=("AP", "PA"),
        ecgs=out / "ecg/record_list.csv",
    )
    records = mimic4.Source(settings).ingest(tmp_path, tmp_path / "cache", Flow(), Progress())
    for modality in ("series", "notes", "picture", "ecg"):
        assert records[f"has_{modality}"].sum() > 10, modality
