"""Samples on disk: read once, the same afterwards, and never of another file or transform."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.disk_cache import DiskCache, identity
from i2m2_med.sources.source import Labels


class Reading:
    """Reads a number from a file, and counts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        self.times += 1
        value = float(Path(record["_x"]).read_text(encoding="utf-8"))
        return record | {"x": torch.full((1, 3), value), "y": torch.full((2,), -value)}


@pytest.fixture
def records(tmp_path: Path) -> pl.DataFrame:
    paths = [tmp_path / f"{number}.txt" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_text(str(number), encoding="utf-8")
    columns = {"patient": list("abcde"), "study": list("abcde"), "item": [0] * 5, "label_l": [0, 1] * 2 + [1]}
    return pl.DataFrame({**columns, "_x": [str(path) for path in paths], "has_x": [True] * 5})


def samples(records: pl.DataFrame, reading: Reading, folder: Path, modalities: tuple[str, ...] = ("x",)) -> Samples:
    store = DiskCache(folder, ("x", "y"))
    return Samples(records, Labels(("l",), ("no", "yes")), modalities, transform=reading, store=store)


def test_a_second_reader_reads_no_file(records: pl.DataFrame, tmp_path: Path):
    first, second, bare = Reading(), Reading(), Reading()
    one = samples(records, first, tmp_path / "kept").__getitems__([4, 1])
    other = samples(records[[1, 4]], second, tmp_path / "kept").__getitems__([1, 0])
    without = Samples(records, Labels(("l",), ("no", "yes")), ("x",), transform=bare).__getitems__([4, 1])
    assert (first.times, second.times) == (2, 0)
    torch.testing.assert_close(one.inputs["x"], other.inputs["x"])
    torch.testing.assert_close(one.inputs["x"], without.inputs["x"])


def test_what_another_run_reads_is_kept_too(records: pl.DataFrame, tmp_path: Path):
    reading = Reading()
    samples(records, reading, tmp_path / "kept").__getitems__([3])
    batch = samples(records, reading, tmp_path / "kept", ("x", "y")).__getitems__([3])
    assert reading.times == 1
    assert batch.present["y"].tolist() == [True]
    assert batch.inputs["y"].tolist() == [[-3, -3]]


def test_a_file_that_changed_is_read_again(records: pl.DataFrame, tmp_path: Path):
    reading = Reading()
    made = samples(records, reading, tmp_path / "kept")
    made.__getitems__([2])
    path = Path(records["_x"][2])
    path.write_text("7", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert made.__getitems__([2]).inputs["x"].unique().tolist() == [7]
    assert reading.times == 2


def test_a_folder_counts_by_its_files(tmp_path: Path):
    folder = tmp_path / "dicom"
    folder.mkdir()
    (folder / "1.dcm").write_text("a", encoding="utf-8")
    before = identity({"_x": str(folder)})
    (folder / "1.dcm").write_text("ab", encoding="utf-8")
    assert identity({"_x": str(folder)}) != before


def test_each_file_of_a_list_counts(tmp_path: Path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_text("x", encoding="utf-8")
    record = {"_pictures": [*map(str, paths)]}
    before = identity(record)
    paths[1].write_text("xy", encoding="utf-8")
    assert identity(record) != before


def test_labels_splits_and_names_are_no_part_of_the_key(records: pl.DataFrame):
    record = records.row(0, named=True)
    assert identity(record) == identity(record | {"label_l": 1, "split": "test", "patient": "z", "group_g": "q"})
    assert identity(record) != identity(record | {"item": 1})
    assert identity(record) != identity(record | {"has_x": False})


def test_a_file_that_was_cut_off_is_made_again(records: pl.DataFrame, tmp_path: Path):
    reading = Reading()
    made = samples(records, reading, tmp_path / "kept")
    made.__getitems__([0])
    (kept,) = (tmp_path / "kept").rglob("*.safetensors")
    for content in (b"", kept.read_bytes()[:20]):
        kept.write_bytes(content)
        assert made.__getitems__([0]).inputs["x"].unique().tolist() == [0]
    assert reading.times == 3
    assert not list((tmp_path / "kept").rglob("*.part"))


def test_another_transform_does_not_find_what_the_first_made(records: pl.DataFrame, tmp_path: Path):
    made = samples(records, Reading(), tmp_path / "kept")
    made.__getitems__([1])
    changed = made.replaced(transform=lambda record: {"x": torch.zeros(1, 3)} | {"record": record})
    assert changed.__getitems__([1]).inputs["x"].unique().tolist() == [0]
