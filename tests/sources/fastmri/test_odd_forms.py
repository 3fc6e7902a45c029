"""K-space in forms that other writers give it is the same k-space, and tables that a spreadsheet saved are the same tables."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.fastmri.labels import read_boxes
from i2m2_med.sources.fastmri.slices import VolumeFiles, inspect, kept_facts, read_kspace, read_rss
from i2m2_med.sources.fastmri.study import open_study
from i2m2_med.sources.formats.hdf5 import close_files
from tests.sources.conftest import COLUMNS, SLICES, first_volume, ingest, rewrite

Broken = Callable[[Callable[[h5py.File], object]], Path]


def big_endian_image(file: h5py.File) -> None:
    image = file["reconstruction_rss"][()].astype(">f8")
    del file["reconstruction_rss"]
    file["reconstruction_rss"] = image


FORMS: dict[str, Callable[[h5py.File], object]] = {
    "complex128": rewrite(lambda kspace: kspace.astype(np.complex128)),
    "big-endian": rewrite(lambda kspace: kspace.astype(">c8")),
    "big-endian complex128": rewrite(lambda kspace: kspace.astype(">c16")),
    "big-endian image": big_endian_image,
    "patient_id as an array": lambda file: file.attrs.__setitem__("patient_id", [file.attrs["patient_id"]]),
    "patient_id as bytes": lambda file: file.attrs.__setitem__("patient_id", np.bytes_(file.attrs["patient_id"])),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_volume_in_another_form(broken: Broken, knees: Path, tmp_path: Path, form: str) -> None:
    folder = broken(FORMS[form])
    ours, theirs = ingest(folder, tmp_path), ingest(knees, tmp_path)
    assert ours.drop("_data").equals(theirs.drop("_data"))
    for index in range(SLICES):
        one, two = (read_kspace(first_volume(root), "fastmri", index) for root in (folder, knees))
        assert one.dtype == np.complex64
        assert one.dtype.isnative
        assert np.array_equal(one, two)
        images = [read_rss(first_volume(root), "fastmri", index) for root in (folder, knees)]
        assert np.array_equal(images[0], images[1])


@pytest.mark.parametrize("shape", [(COLUMNS,), (1, COLUMNS), (1, 1, COLUMNS, 1), (COLUMNS, 1)])
def test_a_mask_is_read_with_axes_of_one_entry(broken: Broken, tmp_path: Path, shape: tuple[int, ...]) -> None:
    folder = broken(lambda file: file.__setitem__("mask", np.ones(shape, np.float32)))
    records = ingest(folder, tmp_path)
    assert records.filter(pl.col("study") == first_volume(folder).stem)["_masked"].all()


@pytest.mark.parametrize("kind", ["c8", ">c16"])
def test_a_npy_of_several_slices(tmp_path: Path, kind: str) -> None:
    numbers = np.random.default_rng(0)
    kspace = (numbers.normal(size=(3, 2, 6, 5)) + 1j * numbers.normal(size=(3, 2, 6, 5))).astype(np.complex64)
    np.save(tmp_path / "volume.npy", kspace.astype(kind))
    volume = inspect(VolumeFiles(tmp_path / "volume.npy"))
    assert (volume.n_slices, volume.n_coils, volume.readout, volume.phase) == (3, 2, 6, 5)
    for index in range(3):
        assert np.array_equal(read_kspace(tmp_path / "volume.npy", "npy", index), kspace[index])
        np.save(tmp_path / "slice.npy", kspace[index])
        assert inspect(VolumeFiles(tmp_path / "slice.npy")).energies[0] == volume.energies[index]
    with pytest.raises(SourceError, match="has 3 slices, not a slice 3"):
        read_kspace(tmp_path / "volume.npy", "npy", 3)


def virtual(folder: Path, sources: list[str], n_slices: int = SLICES) -> Path:
    """A volume whose slices are those of other files, one each."""
    path = folder / "virtual.h5"
    layout = h5py.VirtualLayout((n_slices, 6, 5), np.complex64)
    for index, name in enumerate(sources):
        layout[index] = h5py.VirtualSource(name, "kspace", (6, 5))
    close_files()
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("kspace", layout)
    return path


def slices(folder: Path) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    kspace = np.arange(1, SLICES * 30 + 1).reshape(SLICES, 6, 5).astype(np.complex64)
    for index in range(SLICES):
        with h5py.File(folder / f"{index}.h5", "w") as file:
            file["kspace"] = kspace[index]
    return kspace


def test_a_virtual_array_of_files_in_its_folder_is_read(tmp_path: Path) -> None:
    kspace = slices(tmp_path)
    path = virtual(tmp_path, [f"{index}.h5" for index in range(SLICES)])
    assert inspect(VolumeFiles(path)).n_slices == SLICES
    for index in range(SLICES):
        assert np.array_equal(read_kspace(path, "fastmri", index)[0], kspace[index])


def test_files_behind_a_virtual_array_belong_to_the_volume(tmp_path: Path) -> None:
    kspace = slices(tmp_path / "study")
    path = virtual(tmp_path / "study", [f"{index}.h5" for index in range(SLICES)])
    behind = [tmp_path / "study" / f"{index}.h5" for index in range(SLICES)]
    assert VolumeFiles(path).content == [path, *behind]
    assert VolumeFiles(behind[0]).content == behind[:1]
    first = kept_facts(VolumeFiles(path), tmp_path / "cache")
    close_files()
    with h5py.File(behind[1], "r+") as file:
        file["kspace"][...] = 2 * kspace[1]
    assert kept_facts(VolumeFiles(path), tmp_path / "cache").energies[1] == pytest.approx(4 * first.energies[1])
    with pytest.raises(SourceError, match="put together from other files"):
        open_study(path)
    (tmp_path / "study" / "study.yaml").write_text("kspace: virtual.h5\n", encoding="utf-8")
    assert len(open_study(tmp_path / "study").records) == SLICES


def test_a_virtual_array_that_leads_out_or_has_holes_is_refused(tmp_path: Path) -> None:
    slices(tmp_path / "elsewhere")
    slices(tmp_path / "here")
    names = [f"{index}.h5" for index in range(SLICES)]
    (tmp_path / "here" / "link.h5").symlink_to(tmp_path / "elsewhere" / "0.h5")
    for sources in (["../elsewhere/0.h5"], [str(tmp_path / "elsewhere/0.h5")], ["link.h5"], ["none.h5"]):
        with pytest.raises(SourceError, match="which is not in its folder"):
            inspect(VolumeFiles(virtual(tmp_path / "here", sources + names[1:])))
    with pytest.raises(SourceError, match="is not filled"):
        inspect(VolumeFiles(virtual(tmp_path / "here", names, SLICES + 1)))
    with h5py.File(tmp_path / "here" / "0.h5", "w") as file:
        file["kspace"] = h5py.ExternalLink(str(tmp_path / "elsewhere" / "0.h5"), "kspace")
    with pytest.raises(SourceError, match="is a link to another place"):
        inspect(VolumeFiles(virtual(tmp_path / "here", names)))


def test_a_table_that_a_spreadsheet_saved_is_the_same(knees: Path, tmp_path: Path) -> None:
    head, *rows = (knees / "knee.csv").read_text(encoding="utf-8").splitlines()
    floats = []
    for row in rows:
        name, index, *rest = row.split(",")
        floats.append(",".join([name, f"{index}.0", *rest]))
    (tmp_path / "knee.csv").write_text(
        "\n".join([head, *floats, "", ",,,,,,,", "  , , , , , , , ", "", ""]), encoding="utf-8"
    )
    assert read_boxes(tmp_path / "knee.csv").equals(read_boxes(knees / "knee.csv"))
    (tmp_path / "knee.csv").write_text(
        "\n".join([head, "", "file1000001,14.5,No,1,2,3,4,Meniscus Tear"]), encoding="utf-8"
    )
    with pytest.raises(SourceError, match=r"knee\.csv line 3: file, slice"):
        read_boxes(tmp_path / "knee.csv")
