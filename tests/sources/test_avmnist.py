"""AV-MNIST in MultiBench's layout: any number type, rows in their place, bad input named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.avmnist import BLOCK, Settings, Source
from i2m2_med.sources.source import Flow, Progress

N_TRAIN, N_TEST = 25, 7
NAMES = ("image/train_data", "image/test_data", "audio/train_data", "audio/test_data", "train_labels", "test_labels")


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = {"train": N_TRAIN, "test": N_TEST}
    made = {f"image/{part}_data": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for part, n in rows.items()}
    made |= {f"audio/{part}_data": rng.integers(0, 256, (n, 112, 112), dtype=np.uint8) for part, n in rows.items()}
    return made | {f"{part}_labels": (np.arange(n) % 10).astype(np.uint8) for part, n in rows.items()}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, np.ndarray]], Path]:
    def save(arrays: dict[str, np.ndarray]) -> Path:
        for name, array in arrays.items():
            path = tmp_path / "avmnist" / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
        (tmp_path / "prepared").mkdir(exist_ok=True)
        return tmp_path

    return save


def ingest(root: Path, **settings):
    source = Source(Settings(root=root, **settings))
    records = source.ingest(root / "prepared", root / "cache", Flow(), Progress())
    return records, source.arrays(root / "prepared")


def as_read(array: np.ndarray) -> np.ndarray:
    return array / np.float32(255) if array.dtype == np.uint8 else array


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("flat", [False, True])
def test_rows_are_train_then_test_whatever_the_number_type(arrays, write, dtype, flat):
    given = {
        name: array.astype(dtype).reshape(len(array), -1) if flat and "data" in name else array.astype(dtype)
        for name, array in arrays.items()
    }
    records, read = ingest(write(given))
    assert records["label_digit"].to_list() == [*arrays["train_labels"], *arrays["test_labels"]]
    assert records["split"].to_list() == ["train"] * 23 + ["valid"] * 2 + ["test"] * 7  # one in twelve of train
    assert records["patient"].n_unique() == len(records)
    for name, side in (("image", 28), ("audio", 112)):
        expected = np.concatenate([arrays[f"{name}/{part}_data"] for part in ("train", "test")])
        assert isinstance(read[name], np.memmap)
        assert read[name].shape == (N_TRAIN + N_TEST, 1, side, side)
        np.testing.assert_allclose(as_read(read[name])[:, 0], expected / 255, rtol=1e-6)


def test_bytes_stay_bytes(arrays, write):
    _, read = ingest(write(arrays))
    assert {array.dtype for array in read.values()} == {np.dtype(np.uint8)}


def test_rows_are_the_same_across_blocks(arrays, write):
    rows = BLOCK + 3
    many = {
        name: np.resize(array, (rows, *array.shape[1:])) for name, array in arrays.items() if name.startswith("image")
    }
    many |= {f"audio/{part}_data": np.zeros((rows, 112, 112), np.uint8) for part in ("train", "test")}
    many |= {f"{part}_labels": np.zeros(rows, np.int64) for part in ("train", "test")}
    many["image/train_data"] = many["image/train_data"].astype(np.float32)
    _, read = ingest(write(many))
    np.testing.assert_allclose(read["image"][BLOCK:rows, 0], many["image/train_data"][BLOCK:] / 255, rtol=1e-6)
    np.testing.assert_allclose(read["image"][rows:, 0], many["image/test_data"] / 255, rtol=1e-6)


def test_the_number_of_validation_rows_can_be_said(arrays, write):
    records, _ = ingest(write(arrays), valid=5)
    assert records["split"].to_list() == ["train"] * 20 + ["valid"] * 5 + ["test"] * 7
    with pytest.raises(SourceError, match=r"source\.valid is 25"):
        ingest(write(arrays), valid=N_TRAIN)


def test_root_may_be_the_folder_itself_or_the_one_around_it(arrays, write):
    root = write(arrays)
    inside = Source(Settings(root=root / "avmnist")).files()
    assert inside == Source(Settings(root=root)).files()


BAD = {
    "a missing array": ({"audio/test_data": None}, "lacks audio/test_data.npy"),
    "text": ({"image/train_data": np.full((N_TRAIN, 28, 28), "a")}, "holds <U1"),
    "complex numbers": ({"audio/train_data": np.zeros((N_TRAIN, 112, 112), complex)}, "holds complex128"),
    "a pickle": ({"image/train_data": np.array([{}, None])}, "not a whole .npy"),
    "another shape": ({"image/train_data": np.zeros((N_TRAIN, 27, 28))}, r"\(25, 27, 28\)"),
    "audio shorter than image": ({"audio/train_data": np.zeros((N_TRAIN - 1, 112, 112))}, "24 rows"),
    "a label above 9": ({"train_labels": np.full(N_TRAIN, 10)}, "row 0 is 10"),
    "a label below 0": ({"test_labels": np.arange(N_TEST) - 1}, "row 0 is -1"),
    "a fraction": ({"test_labels": np.arange(N_TEST) + 0.5}, "row 0 is 0.5"),
    "labels in a table": ({"test_labels": np.zeros((N_TEST, 10))}, r"\(7, 10\)"),
    "NaN": ({"audio/test_data": np.full((N_TEST, 112, 112), np.nan)}, "row 0 holds NaN"),
    "infinity": ({"image/test_data": np.full((N_TEST, 28, 28), np.inf)}, "row 0 holds NaN or inf"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(case, arrays, write):
    changed, says = BAD[case]
    kept = {name: changed.get(name, array) for name, array in arrays.items() if changed.get(name, array) is not None}
    with pytest.raises(SourceError, match=says) as caught:
        ingest(write(kept))
    assert "\n" not in str(caught.value)


def test_a_truncated_array_is_one_clear_line(arrays, write):
    path = write(arrays) / "avmnist" / "audio" / "train_data.npy"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SourceError, match="not a whole"):
        ingest(path.parents[2])


def test_a_study_may_lack_a_modality(arrays, tmp_path):
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "image.npy", arrays["image/test_data"][3])
    study = Source(Settings(root=tmp_path)).study(tmp_path / "a")
    assert study.records.select("has_image", "has_audio").row(0) == (True, False)
    np.testing.assert_allclose(study.arrays["image"][0, 0], arrays["image/test_data"][3] / 255, rtol=1e-6)
    assert np.isnan(study.arrays["audio"]).all()
    assert study.arrays["audio"].shape == (1, 1, 112, 112)


def test_a_study_with_nothing_or_unequal_lengths_is_refused(arrays, tmp_path):
    source = Source(Settings(root=tmp_path))
    with pytest.raises(SourceError, match="neither"):
        source.study(tmp_path)
    np.save(tmp_path / "image.npy", arrays["image/test_data"])
    np.save(tmp_path / "audio.npy", arrays["audio/test_data"][:3])
    with pytest.raises(SourceError, match="different length"):
        source.study(tmp_path)
