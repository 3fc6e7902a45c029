"""Records of fastMRI volumes, and one clear line for everything that may be wrong with them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
from fastmri.data.mri_data import SliceDataset

from i2m2_med.errors import SourceError
from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.labels import label_table, reviewed_volumes
from i2m2_med.sources.fastmri.slices import find_volumes, read_kspace
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.formats.hdf5 import OPEN_FILES, close_files, open_file
from i2m2_med.sources.source import Flow
from tests.sources.conftest import COLUMNS, ROWS, SLICES, first_volume, ingest, rewrite

Broken = Callable[[Callable[[h5py.File], object]], Path]


def test_slices_are_those_of_fastmris_own_reader(knees: Path) -> None:
    theirs = SliceDataset(knees / "singlecoil", "singlecoil")
    for kspace, _, _, _, name, index in (theirs[row] for row in range(len(theirs))):
        assert np.array_equal(read_kspace(knees / "singlecoil" / name, "fastmri", index)[0], kspace)


def test_records_hold_every_slice_of_reviewed_volumes(knees: Path, tmp_path: Path) -> None:
    flow = Flow()
    records = ingest(knees, tmp_path, flow)
    reviewed = reviewed_volumes(knees / "knee_file_list.csv")
    assert records["study"].unique().sort().to_list() == sorted(reviewed)
    assert len(records) == SLICES * len(reviewed)
    assert records["_shape"][0].to_list() == [SLICES, 1, ROWS, COLUMNS]
    assert {step["step"]: step["dropped"] for step in flow.steps}["volumes that were reviewed"] == 8 - len(reviewed)
    with h5py.File(first_volume(knees)) as file:
        assert records.filter(pl.col("study") == reviewed[0])["patient"][0] == file.attrs["patient_id"]
        assert records["group_acquisition"][0] == file.attrs["acquisition"]


def test_labels_are_the_label_tables(knees: Path, tmp_path: Path) -> None:
    records = ingest(knees, tmp_path)
    table = label_table(knees / "knee.csv", knees / "knee_file_list.csv").query("slice >= 0")
    for name in ("abnormal", "meniscus_tear", "acl", "cartilage"):
        positive = set(records.filter(pl.col(f"label_{name}") == 1).select("study", "item").iter_rows())
        assert positive == set(table[table[name] == 1][["file", "slice"]].itertuples(index=False, name=None))
        assert set(records[f"label_{name}"]) <= {0, 1}


def test_second_reading_takes_facts_from_the_cache(
    knees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(knees, tmp_path)
    monkeypatch.setattr("i2m2_med.sources.fastmri.slices.inspect", lambda _: pytest.fail("read again"))
    assert ingest(knees, tmp_path).equals(first)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.json"))
    assert kept < 0.02 * sum(path.stat().st_size for path in knees.rglob("*.h5"))  # real volumes are 1,000 times larger


def test_patient_may_be_the_file(broken: Broken, tmp_path: Path) -> None:
    folder = broken(lambda file: file.attrs.pop("patient_id"))
    with pytest.raises(SourceError, match=r"file\d+\.h5 lacks the attribute patient_id.*source\.patient=file"):
        ingest(folder, tmp_path)
    records = ingest(folder, tmp_path, patient="file")
    assert (records["patient"] == records["study"]).all()


def test_official_splits_are_kept(knees: Path, tmp_path: Path) -> None:
    names = reviewed_volumes(knees / "knee_file_list.csv")
    official = tmp_path / "splits.csv"
    official.write_text(
        "file,split\n" + "".join(f"{name},{'test' if n < 2 else 'train'}\n" for n, name in enumerate(names)),
        encoding="utf-8",
    )
    records = ingest(knees, tmp_path, splits=official)
    assert records.filter(pl.col("split") == "test")["study"].unique().sort().to_list() == sorted(names[:2])
    official.write_text("file,split\n", encoding="utf-8")
    with pytest.raises(SourceError, match=f"no split of train, valid, test: {sorted(names)[0]}"):
        ingest(knees, tmp_path, splits=official)


def test_wide_volumes_are_left_out_and_counted(knees: Path, tmp_path: Path) -> None:
    flow = Flow()
    with pytest.raises(SourceError, match="No volume"):
        ingest(knees, tmp_path, flow, max_width=COLUMNS - 1)
    assert flow.steps[-1]["why"] == f"more than {COLUMNS - 1} phase-encoding columns"
    assert len(ingest(knees, tmp_path, max_width=COLUMNS)) > 0


def missing_kspace(file: h5py.File) -> None:
    del file["kspace"]


def mask_of_another_width(file: h5py.File) -> None:
    file["mask"] = np.ones(COLUMNS - 2, np.float32)


def header_of_another_scan(file: h5py.File) -> None:
    xml = file["ismrmrd_header"][()].decode().replace(f"<x>{ROWS}</x>", f"<x>{ROWS + 2}</x>")
    del file["ismrmrd_header"]
    file["ismrmrd_header"] = xml


def put(value: complex) -> Callable[[np.ndarray], np.ndarray]:
    def change(kspace: np.ndarray) -> np.ndarray:
        kspace[1, 2, 3] = value
        return kspace

    return change


def empty_slice(kspace: np.ndarray) -> np.ndarray:
    kspace[1] = 0
    return kspace


def rss_of(*shape: int) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file["reconstruction_rss"]
        file["reconstruction_rss"] = np.ones(shape, np.float32)

    return edit


def rss_wider_than_kspace(file: h5py.File) -> None:
    del file["ismrmrd_header"]
    rss_of(SLICES, ROWS, COLUMNS + 1)(file)


BAD = [
    (rss_of(SLICES, 30, 32), "reconstruction_rss is 30 × 32, but 32 × 32 is what the header reconstructs"),
    (rss_of(SLICES, 64, 45), "reconstruction_rss is 64 × 45, but 32 × 32"),
    (rss_wider_than_kspace, f"is {ROWS} × {COLUMNS + 1}, but {ROWS} × {COLUMNS} is the size of kspace"),
    (missing_kspace, "lacks 'kspace'"),
    (rewrite(put(np.nan)), "slice 1 of kspace holds NaN"),
    (rewrite(put(complex(0, np.inf))), "slice 1 of kspace holds NaN or infinite"),
    (rewrite(empty_slice), "slice 1 of kspace is all zero"),
    (rewrite(lambda kspace: (kspace * 1j).real.astype(np.int32)), "int32; expected complex64"),
    (rewrite(lambda kspace: kspace.astype(np.complex128) * 1e300), "slice 0 of kspace holds NaN or infinite"),
    (lambda file: file.attrs.__setitem__("patient_id", ["a", "b"]), "patient_id holds 2 values"),
    (lambda file: file.__setitem__("mask", np.ones((2, COLUMNS), np.float32)), "mask has the shape"),
    (rewrite(np.abs), "float32; expected complex64"),
    (rewrite(lambda kspace: kspace.swapaxes(1, 2)), "axes in another order"),
    (rewrite(lambda kspace: np.moveaxis(kspace, 0, 2)), "axes in another order"),
    (rewrite(lambda kspace: kspace[:, :-1]), "but the header says"),
    (header_of_another_scan, "but the header says"),
    (mask_of_another_width, f"but kspace has {COLUMNS} phase-encoding columns"),
    (lambda file: file.attrs.pop("patient_id"), "lacks the attribute patient_id"),
]


@pytest.mark.parametrize(("edit", "said"), BAD)
def test_bad_volume_is_one_line_or_left_out(
    broken: Broken, tmp_path: Path, edit: Callable[[h5py.File], object], said: str
) -> None:
    folder = broken(edit)
    name = first_volume(folder).name
    with pytest.raises(SourceError, match=said) as raised:
        ingest(folder, tmp_path)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)
    flow = Flow(skip_bad=True)
    records = ingest(folder, tmp_path, flow)
    assert [refused["name"] for refused in flow.refused] == [name]
    assert name.removesuffix(".h5") not in records["study"].to_list()


def test_all_bad_volumes_are_listed_in_one_line_each(broken: Broken, tmp_path: Path) -> None:
    folder = broken(missing_kspace)
    with h5py.File(sorted(folder.rglob("*.h5"))[3], "r+") as file:
        rewrite(empty_slice)(file)
    with pytest.raises(SourceError) as raised:
        ingest(folder, tmp_path)
    first, *lines, hint = str(raised.value).splitlines()
    assert first.startswith("2 of 7 files can't be used")
    assert [line.split()[0].rstrip(":") for line in lines] == [
        first_volume(folder).name,
        sorted(folder.rglob("*.h5"))[3].name,
    ]
    assert hint == "Mend them, or go on without them: --skip-bad."
    flow = Flow(skip_bad=True)
    assert len(ingest(folder, tmp_path, flow)) == 5 * SLICES
    assert len(flow.refused) == 2


def test_where_all_are_bad_not_all_are_read(knees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2m2_med.sources.fastmri.source.HOPELESS", 3)
    with pytest.raises(SourceError, match=r"^3 of 3 files can't be used") as raised:
        ingest(knees, tmp_path, coils="multi")
    assert str(raised.value).count("Set source.coils to single") == 3


def test_truncated_volume(broken: Broken, tmp_path: Path) -> None:
    folder = broken(lambda _: None)
    volume = first_volume(folder)
    volume.write_bytes(volume.read_bytes()[:-2000])
    with pytest.raises(SourceError, match=rf"{volume.name} is truncated"):
        ingest(folder, tmp_path)


def test_annotation_of_a_slice_that_does_not_exist(broken: Broken, tmp_path: Path) -> None:
    folder = broken(lambda _: None)
    name = first_volume(folder).stem
    with (folder / "knee.csv").open("a", encoding="utf-8") as file:
        file.write(f"{name},{SLICES},No,1,2,3,4,Meniscus Tear\n")
    with pytest.raises(SourceError, match=rf"annotates slice {SLICES} of {name}\.h5, which has {SLICES}"):
        ingest(folder, tmp_path)
    flow = Flow(skip_bad=True)
    assert name not in ingest(folder, tmp_path, flow)["study"].to_list()


def test_the_same_data_under_two_names(broken: Broken, tmp_path: Path) -> None:
    folder = broken(lambda _: None)
    volume = first_volume(folder)
    shutil.copy(volume, volume.with_name("file2000000.h5"))
    with (folder / "knee_file_list.csv").open("a", encoding="utf-8") as file:
        file.write("file2000000\n")
    with pytest.raises(SourceError, match=rf"file2000000\.h5 holds the same data as {volume.name}"):
        ingest(folder, tmp_path)
    flow = Flow(skip_bad=True)
    assert "file2000000" not in ingest(folder, tmp_path, flow)["study"].to_list()


def test_no_volume_was_reviewed(broken: Broken, tmp_path: Path) -> None:
    folder = broken(lambda _: None)
    (folder / "knee_file_list.csv").write_text("file9999999\n", encoding="utf-8")
    with pytest.raises(SourceError, match="0 reviewed volumes"):
        ingest(folder, tmp_path)


def test_multi_coil_is_asked_for(tmp_path: Path) -> None:
    knee.simulate(tmp_path / "multi", volumes=3, slices=2, matrix="32x20", coils=3)
    with pytest.raises(SourceError, match=r"3 coils\. Set source\.coils to multi"):
        ingest(tmp_path / "multi", tmp_path)
    records = ingest(tmp_path / "multi", tmp_path, coils="multi")
    assert records["_shape"][0].to_list() == [2, 3, 32, 20]
    assert records["has_rss"].all()


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no fastMRI volume"):
        Source(Settings(root=tmp_path)).files()
    with pytest.raises(SourceError, match="is not a folder"):
        Source(Settings(root=tmp_path / "none")).files()


def test_annotations_are_missing(broken: Broken) -> None:
    folder = broken(lambda _: None)
    (folder / "knee.csv").unlink()
    with pytest.raises(SourceError, match=r"knee\.csv is missing.*source\.annotations"):
        Source(Settings(root=folder)).files()


def test_handles_are_reused_and_few(knees: Path) -> None:
    paths = [volume.paths[0] for volume in find_volumes(knees)]
    assert open_file(paths[0]) is open_file(paths[0])
    handles = [open_file(path) for path in paths * 2]
    assert sum(bool(handle.file) for handle in handles[-len(paths) :]) <= OPEN_FILES
    close_files()
    assert not any(bool(handle.file) for handle in handles)


def test_volume_deleted_after_preparing(broken: Broken) -> None:
    volume = first_volume(broken(lambda _: None))
    read_kspace(volume, "fastmri", 0)
    volume.unlink()
    with pytest.raises(SourceError, match=rf"{volume.name} is gone.*i2m2 prepare"):
        read_kspace(volume, "fastmri", 0)


def test_a_slice_is_read_without_the_volume(knees: Path) -> None:
    """Damage in another slice is not noticed, because it is not read."""
    with pytest.raises(SourceError, match=f"has {SLICES} slices, not a slice {SLICES}"):
        read_kspace(first_volume(knees), "fastmri", SLICES)


def test_a_volume_that_vanished_since_is_named_and_listed(knees: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(knees, folder)
    whole = ingest(folder, tmp_path)
    lost = first_volume(folder)
    lost.unlink()
    with pytest.raises(
        SourceError, match=rf"^{lost.name} is gone from .*Put it back, or go on without it: --skip-bad\.$"
    ):
        ingest(folder, tmp_path)
    flow = Flow(skip_bad=True)
    left = ingest(folder, tmp_path, flow)
    assert [refused["name"] for refused in flow.refused] == [lost.name]
    assert set(whole["study"]) - set(left["study"]) == {lost.stem}
    assert ingest(folder, tmp_path).equals(left)  # it is known by now


def test_volumes_that_were_never_there_are_only_counted(knees: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(knees, folder)
    first_volume(folder).unlink()
    flow = Flow()
    ingest(folder, tmp_path, flow)
    assert {step["step"]: step["dropped"] for step in flow.steps}["reviewed volumes with a file"] == 1
    assert not flow.refused
