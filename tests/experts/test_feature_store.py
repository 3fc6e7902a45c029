"""Vectors by content on disk: whole shards of every process, or nothing."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from i2m2_med.errors import UserError
from i2m2_med.experts import feature_store
from i2m2_med.experts.feature_store import FeatureStore, store_in


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def vector(number: int) -> torch.Tensor:
    return torch.full((3,), float(number))


def fill(store: FeatureStore, numbers: range) -> None:
    for number in numbers:
        store.put(key(number), vector(number))


def test_what_was_put_is_got_from_memory_and_from_disk_bit_by_bit(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "s")
    assert store.get(key(0)) is None
    fill(store, range(700))
    store.flush()
    fill(store, range(700, 1200))
    for number in range(1200):
        torch.testing.assert_close(store.get(key(number)), vector(number), rtol=0, atol=0)
    store.flush()
    other = FeatureStore(tmp_path / "s")
    for number in range(1200):
        torch.testing.assert_close(other.get(key(number)), vector(number), rtol=0, atol=0)
    assert other.get(key(1200)) is None
    assert len([*tmp_path.rglob("*")]) == 3  # the folder, two shards, nothing else


def test_what_another_process_writes_is_seen(tmp_path: Path) -> None:
    reader, writer = FeatureStore(tmp_path), FeatureStore(tmp_path)
    assert reader.get(key(5)) is None
    fill(writer, range(9))
    assert reader.get(key(5)) is None
    writer.flush()
    torch.testing.assert_close(reader.get(key(5)), vector(5))


def test_many_that_wait_become_a_shard_and_old_ones_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "MOST_WAITING", 4)
    store = FeatureStore(tmp_path)
    fill(store, range(9))
    assert sorted(len(load_file(path)["keys"]) for path in tmp_path.glob("*.safetensors")) == [4, 4]
    monkeypatch.setattr(feature_store, "LONGEST_WAIT", -1.0)
    fill(store, range(9, 10))
    assert sum(len(load_file(path)["keys"]) for path in tmp_path.glob("*.safetensors")) == 10


@pytest.mark.parametrize("damage", ["cut", "text", "gone", "other"])
def test_a_damaged_shard_is_as_if_it_had_never_been(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path)
    for start in (0, 5):
        fill(store, range(start, start + 5))
        store.flush()
    first, second = sorted(tmp_path.glob("*"), key=lambda path: load_file(path)["keys"][0, -1].item())
    assert first != second
    if damage == "cut":
        first.write_bytes(first.read_bytes()[:100])
    elif damage == "text":
        first.write_text("no shard", encoding="utf-8")
    elif damage == "gone":
        first.unlink()
    else:
        from safetensors.torch import save_file

        save_file({"weights": torch.zeros(2)}, first)
    again = FeatureStore(tmp_path)
    assert again.get(key(2)) is None
    torch.testing.assert_close(again.get(key(7)), vector(7))
    again.put(key(2), vector(2))
    again.flush()
    torch.testing.assert_close(FeatureStore(tmp_path).get(key(2)), vector(2))


def test_no_flipped_bit_of_a_shard_changes_a_vector(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    fill(store, range(5))
    store.flush()
    (shard,) = tmp_path.iterdir()
    whole = shard.read_bytes()
    for at in range(len(whole)):
        shard.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        again = FeatureStore(tmp_path)
        for number in range(5):
            found = again.get(key(number))
            assert found is None or torch.equal(found, vector(number))


def work(folder: Path, numbers: range) -> None:
    fill(store_in(folder), numbers)


def test_worker_processes_write_their_own_shards_at_their_end(tmp_path: Path) -> None:
    store_in(tmp_path).put(key(99), vector(99))  # waits in the parent, whose own it stays
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(tmp_path, range(at, at + 10))) for at in (0, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    shards = [load_file(path)["keys"][:, -1].tolist() for path in tmp_path.glob("*.safetensors")]
    assert sorted(shards) == [list(range(10)), list(range(5, 15))]
    for number in (*range(15), 99):
        torch.testing.assert_close(store_in(tmp_path).get(key(number)), vector(number))


def endless(folder: Path, begun: "multiprocessing.synchronize.Event") -> None:
    number = 0
    while True:
        fill(store_in(folder), range(number, number + 40))
        store_in(folder).flush()
        number += 40
        begun.set()


def test_a_kill_leaves_whole_shards_only(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    begun = context.Event()
    worker = context.Process(target=endless, args=(tmp_path, begun))
    worker.start()
    assert begun.wait(20)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    store = FeatureStore(tmp_path)
    store.refresh()
    assert len(store.shards) == len([*tmp_path.glob("*.safetensors")]) > 0
    assert len(store.rows) == 40 * len(store.shards)
    for number in range(len(store.rows)):
        torch.testing.assert_close(store.get(key(number)), vector(number))


def test_a_folder_that_can_t_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("in the way", encoding="utf-8")
    store = FeatureStore(tmp_path / "s")
    store.put(key(0), vector(0))
    with pytest.raises(UserError, match="can't write"):
        store.flush()
    store.waiting = {}  # at the end of the process it would be said again
