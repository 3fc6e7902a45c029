"""The simulated brain data set as others read it: fastmri, fastMRI+'s rules of the shipped configs, and our own source."""

import csv
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.simulate.brain.anatomy import BRAIN
from i2m2_med.simulate.brain.write import simulate
from i2m2_med.sources.fastmri.labels import reviewed_volumes
from i2m2_med.sources.fastmri.setting import anatomy_of, plane_of
from i2m2_med.sources.fastmri.slices import VolumeFiles, inspect
from i2m2_med.sources.fastmri.source import Source
from i2m2_med.sources.source import Flow, Progress

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
COILS, ROWS, COLUMNS, SLICES, VOLUMES = 3, 66, 35, 5, 17


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("brain") / "data"
    simulate(out, volumes=VOLUMES, slices=SLICES, matrix=f"{ROWS}x{COLUMNS}", coils=COILS, seed=3, prevalence=0.2)
    return out


def volumes(folder: Path) -> list[Path]:
    return sorted(folder.glob("multicoil/*.h5"))


def test_slice_dataset_of_fastmri_reads_it(folder: Path):
    from fastmri import ifft2c, rss_complex
    from fastmri.data import SliceDataset
    from fastmri.data.transforms import center_crop, to_tensor

    dataset = SliceDataset(folder / "multicoil", "multicoil")
    assert len(dataset) == VOLUMES * SLICES
    kspace, mask, target, attributes, name, _ = dataset[7]
    assert (mask, kspace.shape, kspace.dtype) == (None, (COILS, ROWS, COLUMNS), np.complex64)
    assert attributes["recon_size"] == (33, 33, 1)
    assert name.startswith(f"file_brain_{attributes['acquisition']}_")
    image = center_crop(rss_complex(ifft2c(to_tensor(kspace))), (33, 33))
    np.testing.assert_allclose(target, image, rtol=1e-3, atol=target.max() * 1e-5)


def test_files_hold_what_multicoil_files_hold(folder: Path):
    with h5py.File(volumes(folder)[0]) as file:
        assert set(file) == {"kspace", "reconstruction_rss", "ismrmrd_header"}
        assert set(file.attrs) == {"acquisition", "max", "norm", "patient_id"}


def test_every_volume_says_that_it_is_an_axial_head(folder: Path):
    for path in volumes(folder):
        volume = inspect(VolumeFiles(path))
        assert (anatomy_of(volume, path.stem), plane_of(volume), volume.simulated) == ("brain", "axial", True)
        assert volume.voxel_mm == (BRAIN.protocol.pixel_mm,) * 2 + (BRAIN.protocol.thickness_mm,)


def test_no_reader_looked_at_t2(folder: Path):
    reviewed = reviewed_volumes(folder / "brain_file_list.csv", "brain")
    names = {path.stem for path in volumes(folder)}
    assert set(reviewed) < names
    assert any("_AXT2_" in name for name in names)
    assert not any("_AXT2_" in name for name in reviewed)
    assert {name.split("_")[2] for name in reviewed} == {"AXT1", "AXT1POST", "AXFLAIR"}


@pytest.mark.parametrize("config", ["fastmri_brain_i2m2", "fastmri_brain_studies"])
def test_the_configs_rules_give_the_truth_back(config: str, folder: Path, tmp_path: Path):
    run, _ = load_config(config, [f"source.root={folder}"])
    flow = Flow()
    records = Source(run.source).ingest(tmp_path / "out", tmp_path / "cache", flow, Progress())
    truth = pl.read_parquet(folder / "truth.parquet").filter("reviewed").sort("file", "slice")
    wide = truth.pivot("label", index=["file", "slice"], values="class")
    healthy = pl.max_horizontal(BRAIN.labels).max().over("file") == 0
    wide = wide.with_columns(normal_for_age=healthy.cast(pl.Int8))
    assert flow.synthetic
    assert records["study"].to_list() == wide["file"].to_list()
    names = [name.removeprefix("label_") for name in records.columns if name.startswith("label_")]
    assert len(names) == {"fastmri_brain_i2m2": 5, "fastmri_brain_studies": 2}[config]
    for name in names:
        assert records[f"label_{name}"].to_list() == wide[name].to_list(), name
        assert set(wide[name]) == {0, 1}, name


def test_annotations_speak_of_slices_and_of_studies(folder: Path):
    with (folder / "brain.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of_studies = {row["label"] for row in rows if row["study_level"] == "Yes"}
    assert of_studies == {"Normal for age", "Motion artifact", BRAIN.findings["small_vessel_disease"][0]}
    assert all(row["x"] == "" and row["slice"] == "0" for row in rows if row["study_level"] == "Yes")
    assert any(row["study_level"] == "No" for row in rows)


def test_same_seed_same_bytes(folder: Path, tmp_path: Path):
    simulate(
        tmp_path / "again",
        volumes=VOLUMES,
        slices=SLICES,
        matrix=f"{ROWS}x{COLUMNS}",
        coils=COILS,
        seed=3,
        prevalence=0.2,
    )
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes(), path.name


def test_patches_of_evidence_lie_apart_and_inside_the_brain():
    places = [place for where in (BRAIN.within, BRAIN.between) for place in where.values()]
    assert len(places) == 2 * len(BRAIN.labels)
    apart = min(np.hypot(u - x, v - y) for n, (u, v) in enumerate(places) for x, y in places[:n])
    assert apart >= 3 * BRAIN.radius - 1e-9, "a patch fades out at 1.5 times its radius"
    assert max(np.hypot(u / 0.97, v / 0.82) for u, v in places) < 0.82
