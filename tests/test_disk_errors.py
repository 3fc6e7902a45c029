"""What a disk refuses is the user's error in one line, however a library words it; on a real, small file system."""

import errno
import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from i2m2_med.cli import main
from i2m2_med.disk_errors import REASONS, plain_disk_error
from i2m2_med.errors import UserError, causes
from i2m2_med.files import replace_file, replace_folder, write_json

NUMBERS = np.random.default_rng(0).random(1_000_000)
FULL = "no space is left on the disk"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Two MiB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs more rights than this user has")
    yield place
    gc.collect()  # a writer that failed holds its file open as long as it is remembered
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["numbers"] = NUMBERS


def write_arrow(path: Path) -> None:
    pq.write_table(pa.table({"numbers": NUMBERS}), path)


def write_numpy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, NUMBERS)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: path.write_bytes(NUMBERS.tobytes()),
    "numpy": write_numpy,
    "torch": lambda path: torch.save({"numbers": torch.from_numpy(NUMBERS)}, path),
    "safetensors": lambda path: save_file({"numbers": torch.from_numpy(NUMBERS)}, path),
    "polars": lambda path: pl.DataFrame({"numbers": NUMBERS}).write_parquet(path),
    "polars, streamed": lambda path: pl.LazyFrame({"numbers": NUMBERS}).sink_parquet(path),
    "polars, csv": lambda path: pl.DataFrame({"numbers": NUMBERS}).write_csv(path),
    "arrow": write_arrow,
    "hdf5": write_hdf5,
}


@pytest.mark.parametrize("inside", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_said_whoever_writes(writer: str, inside: bool, small_disk: Path) -> None:
    replace = replace_folder if inside else replace_file
    with pytest.raises(UserError, match=FULL), replace(small_disk / "one") as beside:
        WRITERS[writer](beside / "two" if inside else beside)
    assert not list(small_disk.iterdir())


def test_a_disk_without_room_for_another_name_is_full(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    few = ["mount", "-t", "tmpfs", "-o", "nr_inodes=2", "tmpfs", str(place)]
    if subprocess.run(few, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs more rights than this user has")
    try:
        write_json(place / "a", {})
        with pytest.raises(UserError, match=FULL):
            write_json(place / "b", {})
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("number", REASONS)
def test_every_error_number_of_a_disk_is_one_line_and_no_ring(number: int, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised, replace_file(tmp_path / "one"):
        raise OSError(number, os.strerror(number))
    assert str(raised.value) == f"can't write {tmp_path / 'one'}: {REASONS[number]}"
    assert len(list(causes(raised.value))) == 2


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path: Path) -> None:
    for error in (ZeroDivisionError("by us"), OSError("odd"), RuntimeError("odd"), pl.exceptions.ComputeError("odd")):
        with pytest.raises(type(error), match=r"by us|odd") as raised, replace_file(tmp_path / "one"):
            raise error
        assert raised.value is error
        assert plain_disk_error(error, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_ring_of_causes_is_walked_once() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert list(causes(one)) == [one, two]


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    reasons = {
        "folder": REASONS[errno.EISDIR],
        "file/one": REASONS[errno.EEXIST],
        "dangling/one": REASONS[errno.EEXIST],
        "x" * 300: REASONS[errno.ENAMETOOLONG],
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError) as raised:
            write_json(tmp_path / name, {})
        assert reason in str(raised.value)
    other = f"can't use {tmp_path / 'folder'}: a folder stands where a file is needed"
    with pytest.raises(UserError, match=other), replace_file(tmp_path / "elsewhere" / "one") as beside:
        beside.write_bytes((tmp_path / "folder").read_bytes())


def test_a_folder_named_like_a_table_ends_prepare_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from i2m2_med.simulate.mimic3.write import simulate

    simulate(tmp_path / "tables", patients=60, seed=1)
    table = next((tmp_path / "tables").rglob("PATIENTS.csv*"))
    table.unlink()
    table.mkdir()
    capsys.readouterr()
    assert main(["prepare", "mimic3_demo", "-s", f"source.root={tmp_path / 'tables'}"]) == 1
    assert len([line for line in capsys.readouterr().err.splitlines() if "Error: " in line]) == 1
