"""Study folders: every pattern readable by the formats' own packages, every damage what its name says, and none outside."""

import csv
import gzip
import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import yaml

from i2m2_med.errors import ConfigError, UserError
from i2m2_med.simulate.damage import anywhere
from i2m2_med.simulate.fastmri.acquisition import image_of
from i2m2_med.simulate.knee import damage as studies_damage_knee
from i2m2_med.simulate.knee import studies as studies_knee
from i2m2_med.simulate.mimic3 import damage as studies_damage_mimic3
from i2m2_med.simulate.mimic3 import studies as studies_mimic3
from i2m2_med.simulate.studies import simulate

SIZE = {"matrix": "64x49", "slices": 2}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studies") / "healthy"
    simulate(out, count=14, seed=1, **SIZE)
    return out


@pytest.fixture(scope="module", params=["knee", "mimic3", "both"])
def damaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studies") / request.param
    simulate(out, kind=request.param, count=20, seed=1, damage=True, **SIZE)
    return out


def of_kind(folder: Path, name: str) -> list[Path]:
    """Healthy studies that hold a file of this name."""
    return sorted(
        study for study in folder.iterdir() if (study / name).exists() and not (study / "damage.txt").exists()
    )


def test_every_pattern_of_missing_modalities_comes_up(healthy: Path, tmp_path: Path):
    summary = simulate(tmp_path / "again", count=14, seed=2, **SIZE)
    knee, mimic3 = set(studies_knee.PATTERNS), set(studies_mimic3.PATTERNS)
    assert set(summary["patterns"]) == {f"knee: {name}" for name in knee} | {f"mimic3: {name}" for name in mimic3}
    assert len(mimic3) == 7
    assert len(list(healthy.iterdir())) == summary["studies"] == 14
    assert not list(healthy.rglob("damage.txt"))


def test_raw_is_ismrmrd_that_its_own_package_reads(healthy: Path):
    ismrmrd = pytest.importorskip("ismrmrd", reason="needs the ismrmrd package")
    study = of_kind(healthy, "raw.h5")[0]
    with ismrmrd.Dataset(study / "raw.h5", mode="r") as dataset:
        header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
        lines = [dataset.read_acquisition(number) for number in range(dataset.number_of_acquisitions())]
    matrix = header.encoding[0].encodedSpace.matrixSize
    assert (matrix.x, matrix.y, len(lines)) == (64, 49, 98)
    kspace = np.zeros((2, 1, 64, 49), np.complex64)
    for line in lines:
        kspace[line.idx.slice, :, :, line.idx.kspace_encode_step_1] = line.data
    image = np.abs(image_of(kspace))
    assert image[:, :, 24:40, 16:32].mean() > 3 * image[:, :, :, :4].mean(), "a leg in the middle, air beside it"


def test_nifti_pairs_are_magnitude_and_phase(healthy: Path):
    study = of_kind(healthy, "magnitude.nii.gz")[0]
    magnitude, phase = (nibabel.load(study / f"{name}.nii.gz") for name in ("magnitude", "phase"))
    assert magnitude.shape == phase.shape == (32, 32, 2)
    assert magnitude.get_fdata().min() >= 0
    assert abs(phase.get_fdata()).max() <= np.pi + 1e-6
    np.testing.assert_allclose(magnitude.header.get_zooms(), (0.4375, 0.4375, 3))


def test_study_yaml_names_the_volume_where_there_are_two(healthy: Path):
    study = of_kind(healthy, "study.yaml")[0]
    assert len(list(study.glob("*.h5"))) == 2
    with h5py.File(study / yaml.safe_load((study / "study.yaml").read_text(encoding="utf-8"))["kspace"]) as file:
        assert file["kspace"].shape == (2, 64, 49)


def test_a_stay_has_times_concepts_units_flags_and_notes(healthy: Path):
    study = next(path for path in of_kind(healthy, "series.csv") if (path / "notes").exists())
    with (study / "series.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time", "concept", "value", "unit"]
    assert {row["concept"] for row in rows} == set(studies_mimic3.CONCEPTS)
    hours = [float(row["time"]) for row in rows]
    assert hours == sorted(hours)
    assert 24 < hours[-1] < 30
    whole = next(path for path in of_kind(healthy, "static.json"))
    assert set(json.loads((whole / "static.json").read_text(encoding="utf-8"))) == {
        "age_years", "aids", "hematologic_malignancy", "metastatic_cancer", "admission_type"
    }  # fmt: skip
    assert all(0 < float(path.name.partition("_")[0]) < 30 for path in (study / "notes").iterdir())


def test_there_are_forty_kinds_of_damage_and_every_pattern(damaged: Path):
    named = [path.read_text(encoding="utf-8").strip() for path in damaged.glob("*/damage.txt")]
    assert len(named) == len(set(named)) == 40
    patterns = {"knee": 7, "mimic3": 7, "both": 14}[damaged.name]
    assert len(list(damaged.iterdir())) == 40 + patterns


def test_the_tables_name_each_damage_once():
    names = [one.name for one in (*anywhere("kspace"), *studies_damage_knee.DAMAGE, *studies_damage_mimic3.DAMAGE)]
    assert len(names) == len(set(names)) == 10 + 30 + 30


def test_same_seed_same_bytes(damaged: Path, tmp_path: Path):
    simulate(tmp_path / "twice", kind=damaged.name, count=20, seed=1, damage=True, **SIZE)
    for study in sorted(damaged.iterdir()):
        twin = tmp_path / "twice" / study.name
        assert contents(study) == contents(twin), study.name


def test_damage_writes_nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    simulate(Path("out"), kind="knee", count=1, damage=True, **SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["out"]


def test_damage_is_what_its_name_says(tmp_path: Path):
    simulate(tmp_path / "out", kind="knee", count=60, damage=True, **SIZE)
    study = {path.read_text(encoding="utf-8").strip(): path.parent for path in (tmp_path / "out").glob("*/damage.txt")}
    with h5py.File(study["kspace_external_link"] / "kspace.h5") as file:
        assert isinstance(file.get("kspace", getlink=True), h5py.ExternalLink)
    with h5py.File(study["kspace_huge_shape"] / "kspace.h5") as file:
        assert file["kspace"].nbytes > 2**60
    assert (study["kspace_huge_shape"] / "kspace.h5").stat().st_size < 2**20
    with h5py.File(study["kspace_external_storage"] / "kspace.h5") as file:
        assert file["kspace"].external
    with h5py.File(study["kspace_virtual_dataset"] / "kspace.h5") as file:
        assert file["kspace"].is_virtual
    with h5py.File(study["kspace_scaled_a_trillion"] / "kspace.h5") as file:
        assert file["kspace"].dtype == np.complex64
    with pytest.raises(OSError, match=r"truncated|[Uu]nable"):
        h5py.File(study["hdf5_truncated"] / "kspace.h5")
    bomb = study["nifti_gzip_bomb"] / "phase.nii.gz"
    with gzip.open(bomb) as file:
        assert 2**30 / bomb.stat().st_size > 500
        assert nibabel.Nifti1Header(file.read(348)).get_data_shape() == (512, 512, 1024)
    assert nibabel.load(study["nifti_declares_tebibytes"] / "phase.nii.gz").shape == (32767,) * 3
    assert any("\n" in path.name for path in study["file_name_with_newline"].iterdir())
    assert {path.name for path in study["empty_folder"].iterdir()} == {"damage.txt"}
    links = [path for path in study["symlinks_to_another_study"].iterdir() if path.is_symlink()]
    assert links
    assert all(
        (path.resolve().exists() and study["symlinks_to_another_study"] not in path.resolve().parents) for path in links
    )


@pytest.mark.parametrize("bad", [{"count": 0}, {"seed": -1}, {"slices": 0}, {"matrix": "big"}])
def test_bad_numbers_are_one_clear_line(tmp_path: Path, bad: dict[str, int]):
    with pytest.raises(ConfigError, match=f"^--{next(iter(bad))} "):
        simulate(tmp_path / "out", **bad)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(healthy: Path):
    with pytest.raises(UserError, match="already holds something"):
        simulate(healthy, count=1)


def contents(study: Path) -> dict[str, bytes | str]:
    """Every file's bytes, every link's target."""
    return {
        str(path.relative_to(study)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in study.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_knee_reader_refuses_what_the_table_says(tmp_path: Path):
    from i2m2_med.errors import SourceError
    from i2m2_med.sources.fastmri.study import open_study

    expected = simulate(tmp_path / "out", kind="knee", count=47, damage=True, **SIZE)["damage"]
    found = {}
    for study in sorted((tmp_path / "out").iterdir()):
        name = (
            (study / "damage.txt").read_text(encoding="utf-8").strip()
            if (study / "damage.txt").exists()
            else study.name
        )
        try:
            found[name] = "scored" if open_study(study).records.height == 2 else "cut short"
        except SourceError:
            found[name] = "refused"
    assert found == {name: expected.get(name, "scored") for name in found}
    assert expected.keys() <= found.keys()
