"""The simulated knee data set as others read it: fastmri, fastMRI+ rules, and our own command line's promises."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import ConfigError, UserError
from i2m2_med.simulate.knee.anatomy import KNEE
from i2m2_med.simulate.knee.write import simulate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("knee") / "data"
    simulate(out, volumes=9, slices=5, matrix="66x49", seed=3, between=1.0)
    return out


def test_slice_dataset_of_fastmri_reads_it(folder: Path):
    from fastmri import complex_abs, ifft2c, rss
    from fastmri.data import SliceDataset
    from fastmri.data.transforms import center_crop, to_tensor

    dataset = SliceDataset(folder / "singlecoil", "singlecoil")
    assert len(dataset) == 45
    kspace, mask, target, attributes, name, number = dataset[7]
    assert (name, number, mask, kspace.shape, kspace.dtype) == ("file1000002.h5", 2, None, (66, 49), np.complex64)
    assert attributes["encoding_size"] == (66, 49, 1)
    assert attributes["recon_size"] == (33, 33, 1)
    assert (attributes["padding_left"], attributes["padding_right"]) == (0, 49)
    image = center_crop(complex_abs(ifft2c(to_tensor(kspace))), (33, 33))
    np.testing.assert_allclose(target, image, rtol=1e-3, atol=target.max() * 1e-5)
    assert 1e-5 < np.median(target) < 1e-3, "raw scale"
    assert rss(image[None]).shape == image.shape


def test_multicoil_has_a_coil_axis_and_no_esc(tmp_path: Path):
    from fastmri import ifft2c, rss_complex
    from fastmri.data import SliceDataset
    from fastmri.data.transforms import center_crop, to_tensor

    simulate(tmp_path / "data", volumes=1, slices=2, matrix="64x48", coils=5)
    kspace, _, target, _, _, _ = SliceDataset(tmp_path / "data" / "multicoil", "multicoil")[1]
    assert kspace.shape == (5, 64, 48)
    np.testing.assert_allclose(
        target, center_crop(rss_complex(ifft2c(to_tensor(kspace))), (32, 32)), rtol=1e-3, atol=target.max() * 1e-5
    )
    with h5py.File(tmp_path / "data/multicoil/file1000001.h5") as file:
        assert set(file) == {"kspace", "reconstruction_rss", "ismrmrd_header"}
        assert set(file.attrs) == {"acquisition", "max", "norm", "patient_id"}
        assert file.attrs["max"] == pytest.approx(file["reconstruction_rss"][()].max())


def test_header_is_valid_ismrmrd(folder: Path):
    ismrmrd = pytest.importorskip("ismrmrd", reason="needs the ismrmrd package")
    with h5py.File(folder / "singlecoil/file1000001.h5") as file:
        header = ismrmrd.xsd.CreateFromDocument(file["ismrmrd_header"][()])
    assert header.encoding[0].reconSpace.matrixSize.x == 33
    assert header.encoding[0].encodingLimits.kspace_encoding_step_1.maximum == 48


def test_some_patients_have_several_volumes(folder: Path):
    patients = []
    for path in sorted(folder.glob("singlecoil/*.h5")):
        with h5py.File(path) as file:
            patients.append(file.attrs["patient_id"])
    assert len(patients) == 9
    assert 5 <= len(set(patients)) < 9


def test_published_rule_gives_the_truth_back(folder: Path):
    from i2m2_med.sources.fastmri.labels import label_table

    labels = pl.from_pandas(label_table(folder / "knee.csv", folder / "knee_file_list.csv")).filter(
        pl.col("slice") >= 0
    )
    truth = pl.read_parquet(folder / "truth.parquet").filter("reviewed")
    wide = truth.pivot("label", index=["file", "slice"], values="class").filter(
        pl.any_horizontal(pl.col(KNEE.labels) == 1)
    )
    assert (
        labels.select("file", "slice", *KNEE.labels).sort("file", "slice").rows() == wide.sort("file", "slice").rows()
    )


def test_annotations_have_the_oddities_of_the_real_ones(folder: Path):
    with (folder / "knee.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "slice", "study_level", "x", "y", "width", "height", "label"]
    assert any(row["label"].endswith(" ") for row in rows)
    assert any(row["study_level"] == "Yes" and row["x"] == "" for row in rows)
    assert len({tuple(row.values()) for row in rows}) < len(rows), "exact duplicates"
    per_slice = [(row["file"], row["slice"]) for row in rows]
    assert len(set(per_slice)) < len(per_slice) / 2, "several boxes on a slice"
    listed = (folder / "knee_file_list.csv").read_text(encoding="utf-8").splitlines()
    assert "file1000008" not in listed
    assert "file1000001" in listed
    assert not any(row["file"] == "file1000008" for row in rows), "never reviewed, so never annotated"


def test_boxes_lie_on_the_evidence_of_the_flipped_image(tmp_path: Path):
    simulate(tmp_path / "a", volumes=1, slices=6, matrix="128x96", magnitude=1.0, prevalence=0.9)
    simulate(tmp_path / "b", volumes=1, slices=6, matrix="128x96", magnitude=0.0, prevalence=0.9)
    images = [h5py.File(tmp_path / name / "singlecoil/file1000001.h5")["reconstruction_esc"][()] for name in "ab"]
    evidence = np.abs(images[0] - images[1])[:, ::-1]
    rows = pl.read_csv(tmp_path / "a/knee.csv", infer_schema=False).unique().filter(pl.col("study_level") == "No")
    covered = np.zeros(evidence.shape, bool)
    for number, x, y, w, h in rows.select(pl.col("slice", "x", "y", "width", "height").cast(int)).iter_rows():
        covered[number, y : y + h, x : x + w] = True
    assert evidence[covered].sum() > 0.9 * evidence.sum()
    assert covered.mean() < 0.35


def test_same_seed_same_bytes(folder: Path, tmp_path: Path):
    simulate(tmp_path / "again", volumes=9, slices=5, matrix="66x49", seed=3, between=1.0)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes(), path.name
    simulate(tmp_path / "other", volumes=1, slices=1, matrix="66x49", seed=4)
    first = "singlecoil/file1000001.h5"
    assert (tmp_path / "other" / first).read_bytes() != (folder / first).read_bytes()


def test_prevalence_is_met_and_volumes_have_both_classes(folder: Path):
    truth = pl.read_parquet(folder / "truth.parquet")
    assert truth.group_by("label").agg(pl.col("class").mean())["class"].is_between(0.37, 0.43).all()
    ill = truth.group_by("label", "file").agg(pl.col("class").max()).group_by("label").agg(pl.col("class").mean())
    assert ill["class"].is_between(0.5, 0.8).all()


def test_ideal_observer_is_written_per_label_and_paradigm(folder: Path):
    ideal = json.loads((folder / "ideal.json").read_text(encoding="utf-8"))
    paradigms = {"unimodal_magnitude", "unimodal_phase", "intra", "inter", "i2m2"}
    assert set(ideal["auroc"]) == set(KNEE.labels)
    assert all(set(of) == paradigms for of in ideal["auroc"].values())


@pytest.mark.parametrize(
    "bad",
    [
        {"magnitude": 1.1},
        {"phase": -0.1},
        {"between": float("nan")},
        {"matrix": "640"},
        {"matrix": "640x368x3"},
        {"matrix": "640x200"},
        {"matrix": "99999999x99999999"},
        {"volumes": 0},
        {"slices": 0},
        {"coils": -1},
        {"seed": -1},
        {"prevalence": 0.0},
    ],
)
def test_bad_numbers_are_one_clear_line(tmp_path: Path, bad: dict[str, float]):
    with pytest.raises(ConfigError, match=f"^--{next(iter(bad))} .*") as refused:
        simulate(tmp_path / "out", **bad)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UserError, match="already holds something"):
        simulate(tmp_path, volumes=1, slices=1, matrix="64x48")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
