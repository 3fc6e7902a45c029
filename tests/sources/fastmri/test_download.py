"""The official download as downloaded: parts and kinds side by side, links to folders, and its own split."""

import shutil
from pathlib import Path

import h5py
import polars as pl
import pytest

from i2m2_med.config.run import Split
from i2m2_med.errors import SourceError
from i2m2_med.samples.split import assign
from i2m2_med.sources.fastmri.download import kind_of, of_kind, part_of_download, walk_folder
from i2m2_med.sources.source import Flow
from tests.sources.conftest import ingest


@pytest.fixture
def download(knees: Path, tmp_path: Path) -> Path:
    """Single- and multi-coil folders with the same file names; of multi-coil files only the coil axis matters here."""
    root = tmp_path / "download"
    for path in (knees / "knee.csv", knees / "knee_file_list.csv"):
        root.mkdir(exist_ok=True)
        shutil.copy(path, root)
    for number, path in enumerate(sorted(knees.rglob("*.h5"))):
        part = "val" if number % 3 == 0 else "train"
        for kind in ("singlecoil", "multicoil"):
            folder = root / f"{kind}_{part}"
            folder.mkdir(exist_ok=True)
            shutil.copy(path, folder)
        with h5py.File(root / f"multicoil_{part}" / path.name, "r+") as file:
            kspace = file["kspace"][()]
            del file["kspace"], file["reconstruction_rss"]
            file["kspace"] = kspace[:, None].repeat(2, axis=1)
    return root


@pytest.mark.parametrize(("coils", "n_coils"), [("single", 1), ("multi", 2)])
def test_only_folders_of_the_wanted_coils_count(download: Path, tmp_path: Path, coils: str, n_coils: int) -> None:
    flow = Flow()
    records = ingest(download, tmp_path, flow, coils=coils)
    assert {shape[1] for shape in records["_shape"].to_list()} == {n_coils}
    assert not flow.refused
    assert flow.steps[0]["dropped"] == 8


def test_without_a_kind_the_same_name_twice_is_refused(download: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="twice"):
        ingest(download, tmp_path, coils="any")


def test_the_official_split(download: Path, tmp_path: Path) -> None:
    records = ingest(download, tmp_path)
    split, how = assign(records, Split(official=True))
    assert how.startswith("official: val is test")
    folders = split["_data"].str.extract(r"singlecoil_(\w+)/", 1)
    in_val = set(split.filter(folders == "val")["patient"])
    assert (split.filter(folders == "val")["split"] == "test").all()
    assert set(split.filter(folders == "train")["split"]) <= {"train", "valid", "unused"}
    both = split.filter((folders == "train") & pl.col("patient").is_in(list(in_val)))
    assert (both["split"] == "unused").all()
    assert (
        split.filter(pl.col("split") != "unused").group_by("patient").agg(pl.col("split").n_unique())["split"].max()
        == 1
    )


def test_folders_say_kind_and_part(tmp_path: Path) -> None:
    root = tmp_path / "knee"
    for name, kind, part in [
        ("singlecoil_train/a.h5", "single", "train"),
        ("new/multicoil_val/deeper/a.h5", "multi", "val"),
        ("singlecoil_test_v2/a.h5", "single", "test"),
        ("multicoil_train_batch_3/a.h5", "multi", "train"),
        ("singlecoil/a.h5", "single", None),
        ("singlecoils_of_mine/a.h5", None, None),
        ("a.h5", None, None),
    ]:
        assert (kind_of(root / name, root), part_of_download(root / name, root)) == (kind, part)
    assert part_of_download(tmp_path / "singlecoil_val/a.h5", tmp_path / "singlecoil_val") == "val"


def test_where_only_the_other_kind_is_there_nothing_is_hidden(tmp_path: Path) -> None:
    files = [tmp_path / "multicoil_train/a.h5", tmp_path / "b.h5"]
    assert of_kind(files, tmp_path, "single") == files


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk_folder(root).files]


def test_links_to_folders_are_followed_once_and_no_further(tmp_path: Path) -> None:
    root, disk, far = tmp_path / "root", tmp_path / "disk", tmp_path / "far"
    for folder in (root / "real", disk / "deep", far):
        folder.mkdir(parents=True)
        (folder / f"{folder.name}.h5").touch()
    (root / "train").symlink_to(disk)  # lies in the root: followed
    (root / "again").symlink_to(root / "real")  # the same folder
    (root / "real" / "up").symlink_to(root)  # a circle
    (root / "over").symlink_to(tmp_path)  # a folder that holds the root
    (disk / "deep" / "out").symlink_to(far)  # leads from outside to elsewhere
    (root / "nowhere").symlink_to(tmp_path / "none")
    walk = walk_folder(root)
    assert names(root) == ["real/real.h5", "train/deep/deep.h5"]
    assert (walk.outside, walk.left) == (1, 5)


def test_a_linked_part_of_the_download_is_read_and_said(download: Path, tmp_path: Path) -> None:
    whole = ingest(download, tmp_path)
    shutil.move(download / "singlecoil_val", tmp_path / "elsewhere")
    (download / "singlecoil_val").symlink_to(tmp_path / "elsewhere")
    flow = Flow()
    linked = ingest(download, tmp_path, flow)
    assert linked.drop("_data").equals(whole.drop("_data"))
    assert flow.audits["linked folders outside the root that were read"] == 1


def test_no_walk_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2m2_med.sources.fastmri.download.MOST_FOLDERS", 3)
    for number in range(5):
        (tmp_path / f"{number}").mkdir()
    with pytest.raises(SourceError, match="holds more than 3 folders"):
        walk_folder(tmp_path)
