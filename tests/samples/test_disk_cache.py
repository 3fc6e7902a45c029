"""Samples on disk: read once, the same afterwards, and never of another file or transform."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from i2m2_med.errors import UserError
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


def test_a_file_that_changed_under_its_old_size_and_time_is_read_again(records: pl.DataFrame, tmp_path: Path):
    made = samples(records, Reading(), tmp_path / "kept")
    made.__getitems__([2])
    path = Path(records["_x"][2])
    before = path.stat()
    path.write_text("8", encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert made.__getitems__([2]).inputs["x"].unique().tolist() == [8]


def test_a_file_of_another_sample_is_not_taken(records: pl.DataFrame, tmp_path: Path):
    made = samples(records, Reading(), tmp_path / "kept")
    made.__getitems__([3, 4])
    one, other = (tmp_path / "kept").rglob("*.sample")
    one.write_bytes(other.read_bytes())
    assert made.__getitems__([3, 4]).inputs["x"][:, 0, 0].tolist() == [3, 4]


@pytest.mark.parametrize("ending", [".cfl", ".img"])
def test_a_header_counts_with_its_file(tmp_path: Path, ending: str):
    path, header = tmp_path / f"scan{ending}", tmp_path / "scan.hdr"
    path.write_bytes(b"x")
    header.write_text("1 2", encoding="utf-8")
    before = identity({"_data": str(path)})
    header.write_text("1 2 3", encoding="utf-8")
    assert identity({"_data": str(path)}) != before


@pytest.mark.parametrize("text", ["a/" + "b" * 300, "is it a/b " * 600, "a/\0", "a/\ud800"], ids=range(4))
def test_a_text_may_look_like_a_path(text: str):
    assert identity({"_question": text})[1] == [(text, [])]


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([1j]).conj().imag,
        torch.ones(1).expand(4),
        torch.ones(2, requires_grad=True),
        torch.zeros(0, 3),
        np.ones(3)[::2],
        np.ones(3, np.uint16),
        3.5,
    ],
    ids=range(8),
)
def test_what_is_kept_is_what_was_made(tmp_path: Path, value: Any):
    store = DiskCache(tmp_path, ("x", "y"))
    first, second = (store.get({"item": 0}, lambda _: {"x": value, "y": value}) for _ in range(2))
    for name in ("x", "y"):  # of one memory, too
        torch.testing.assert_close(first[name], torch.as_tensor(value).detach())
        assert torch.equal(first[name], second[name])
        assert first[name].dtype == second[name].dtype


@pytest.mark.parametrize(
    ("value", "words"), [("word", "a str of 'x'"), (None, "a NoneType"), (np.ones(1, complex), "complex128")]
)
def test_what_cannot_be_kept_is_refused_in_a_line(tmp_path: Path, value: Any, words: str):
    with pytest.raises(UserError, match=words):
        DiskCache(tmp_path, ("x",)).get({"item": 0}, lambda _: {"x": value})


def test_a_transform_is_shown_what_the_key_covers(tmp_path: Path):
    shown: list[str] = []
    record = {"_x": "a", "has_x": True, "item": 1, "label_l": 1, "group_g": "q", "split": "train", "patient": "z"}
    DiskCache(tmp_path, ()).get(record, lambda one: shown.extend(one) or {})
    assert sorted(shown) == ["_x", "has_x", "item"]


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


def test_a_file_that_was_cut_off_or_differs_in_a_byte_is_made_again(records: pl.DataFrame, tmp_path: Path):
    reading = Reading()
    Path(records["_x"][0]).write_text("2", encoding="utf-8")
    made = samples(records, reading, tmp_path / "kept")
    made.__getitems__([0])
    (kept,) = (tmp_path / "kept").rglob("*.sample")
    whole = kept.read_bytes()
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    for content in (b"", whole[:20], whole[:-1], whole[:-8] + bytes(8), bytes(len(whole)), whole + b"0", *flipped):
        kept.write_bytes(content)
        assert made.__getitems__([0]).inputs["x"].unique().tolist() == [2]
    assert reading.times == 1 + 6 + len(whole)
    assert not list((tmp_path / "kept").rglob("*.part"))


def test_another_transform_does_not_find_what_the_first_made(records: pl.DataFrame, tmp_path: Path):
    made = samples(records, Reading(), tmp_path / "kept")
    made.__getitems__([1])
    changed = made.replaced(transform=lambda record: {"x": torch.zeros(1, 3)} | {"record": record})
    assert changed.__getitems__([1]).inputs["x"].unique().tolist() == [0]
