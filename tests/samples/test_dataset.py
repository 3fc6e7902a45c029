"""Batches: absent is absent, arrays and transforms alike."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

LABELS = Labels(("sick", "old"), ("no", "yes"))


def records(n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "patient": [f"p{i}" for i in range(n)],
            "item": range(n),
            "label_sick": [i % 2 for i in range(n)],
            "label_old": [-1] * n,
        }
    )


def test_rows_come_in_the_order_that_is_asked_for():
    samples = Samples(records(6), LABELS, ["a"], {"a": np.arange(12, dtype=np.float32).reshape(6, 2)})
    batch = samples.__getitems__([4, 0, 4])
    assert batch.inputs["a"].tolist() == [[8, 9], [0, 1], [8, 9]]
    assert batch.target.tolist() == [[0, -1], [0, -1], [0, -1]]
    assert batch.rows.tolist() == [4, 0, 4]


def test_an_all_missing_row_is_absent():
    array = np.ones((3, 2), np.float32)
    array[1] = np.nan
    assert Samples(records(3), LABELS, ["a"], {"a": array}).__getitems__([0, 1, 2]).present["a"].tolist() == [
        True,
        False,
        True,
    ]


def test_presence_columns_count_for_integers():
    table = records(3).with_columns(has_notes=pl.Series([True, False, True]))
    batch = Samples(table, LABELS, ["notes"], {"notes": np.zeros((3, 2, 4), np.int32)}).__getitems__([0, 1])
    assert batch.present["notes"].tolist() == [True, False]
    assert batch.inputs["notes"].dtype == torch.int64


def test_memory_mapped_and_resident_arrays_give_the_same(tmp_path):
    values = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    state = {"a": {"mean": [1.0, 2.0, 3.0], "std": [2.0, 2.0, 2.0]}}
    mapped = Samples(records(9), LABELS, ["a"], {"a": np.load(tmp_path / "a.npy", mmap_mode="r")}, state=state)
    resident = Samples(records(9), LABELS, ["a"], {"a": values}, state=state)
    torch.testing.assert_close(mapped[4].inputs["a"], resident[4].inputs["a"], rtol=0, atol=0)


def test_a_record_without_a_modality_lacks_it():
    def read(record):
        image = {"x": torch.full((1, 3, 3), float(record["item"]))}
        return image if record["item"] != 1 else {}

    samples = Samples(records(3), LABELS, ["x"], transform=read)
    batch = samples.__getitems__([0, 1, 2])
    assert batch.present["x"].tolist() == [True, False, True]
    assert bool(batch.inputs["x"][1].isnan().all())
    assert samples[1].present["x"].tolist() == [False]


def test_a_view_is_the_chosen_samples_wherever_their_arrays_lie(tmp_path):
    values = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    state = {"a": {"mean": [1.0, 2.0, 3.0], "std": [2.0, 2.0, 2.0]}}
    rows = np.array([7, 2, 2])
    table = records(9).with_columns(has_a=pl.Series([True, False] * 4 + [True]))
    for array in (values, np.load(tmp_path / "a.npy", mmap_mode="r")):
        whole = Samples(table, LABELS, ["a"], {"a": array}, state=state)
        part, wanted = whole.take(rows), whole.__getitems__(rows.tolist())
        batch = part.__getitems__([0, 1, 2])
        torch.testing.assert_close(batch.inputs, wanted.inputs, rtol=0, atol=0)
        assert torch.equal(batch.target, wanted.target)
        assert torch.equal(batch.present["a"], wanted.present["a"])
        assert part.records["patient"].to_list() == ["p7", "p2", "p2"]
        assert batch.rows.tolist() == [0, 1, 2]


def test_a_view_of_what_is_in_memory_reads_no_file_again():
    asked: list[int] = []

    def read(record):
        asked.append(record["item"])
        return {"x": torch.full((1, 2), float(record["item"]))}

    whole = Samples(records(5), LABELS, ["x"], transform=read, cache=True)
    whole.__getitems__([1, 3])
    part = whole.take(np.array([3, 4]))
    assert part.__getitems__([0, 1]).inputs["x"][:, 0, 0].tolist() == [3, 4]
    assert whole.__getitems__([0, 1]).inputs["x"][:, 0, 0].tolist() == [0, 1]
    assert asked == [1, 3, 4, 0]
    shifted = whole.replaced(transform=lambda record: {"x": torch.full((1, 2), -1.0 - record["item"])})
    assert shifted.__getitems__([1]).inputs["x"][0, 0, 0] == -2
    assert whole.__getitems__([1]).inputs["x"][0, 0, 0] == 1


def test_changes_follow_one_another_and_leave_the_original_alone():
    samples = Samples(records(3), LABELS, ["a"], {"a": np.ones((3, 1), np.float32)})

    def times(factor: float):
        return lambda batch: replace(batch, inputs={"a": batch.inputs["a"] * factor + 1})

    changed = samples.changed_by(times(2)).changed_by(times(10))
    assert changed[0].inputs["a"].item() == 31
    assert changed.take(np.array([2]))[0].inputs["a"].item() == 31
    assert samples[0].inputs["a"].item() == 1
    with pytest.raises(TypeError, match="no arays"):
        samples.replaced(arays={})
