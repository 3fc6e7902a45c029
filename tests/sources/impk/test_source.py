"""im.pk: read without running it, as the published loader reads it."""

import os
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.array_pickle import read_arrays
from i2m2_med.sources.impk.source import Settings, Source, read_impk
from i2m2_med.sources.source import Flow, Progress


class Evil:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def arrays(rows: int = 43) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    series = rng.normal(50, 10, (rows, 24, 12))
    series[3, :, 11] = np.nan
    deaths = np.zeros((rows, 6))
    for row in range(rows):
        deaths[row, row % 7 :] = 1  # nested, as they are: who dies within a day dies within two
    return {
        "ep_tdata": series,
        "adm_features_all": np.column_stack([rng.uniform(6000, 33_000, rows), rng.integers(0, 2, (rows, 4))]),
        "adm_labels_all": deaths,
        "y_icd9": rng.integers(0, 2, (rows, 20)),
    }


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_gives_the_same_arrays(tmp_path: Path, protocol: int) -> None:
    made = arrays()
    read = read_impk(write(tmp_path / "im.pk", made, protocol))
    assert all(np.array_equal(read[key], made[key], equal_nan=True) for key in made)


def test_arrays_of_any_order_and_numbers_beside_them(tmp_path: Path) -> None:
    made = {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.arange(3, dtype=">i4"), "c": np.float64(2)}
    read = read_arrays(write(tmp_path / "x.pk", made), ("a", "b"))
    assert np.array_equal(read["a"], made["a"])
    assert read["b"].tolist() == [0, 1, 2]


def test_older_numpy_s_names_are_known(tmp_path: Path) -> None:
    text = pickle.dumps({"a": np.arange(3.0)}, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core" in text
    (tmp_path / "x.pk").write_bytes(text)
    assert read_arrays(tmp_path / "x.pk", ("a",))["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_malicious_pickle_is_refused_unrun(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    for content in ({**arrays(), "evil": Evil(mark)}, np.array([Evil(mark)], dtype=object), Evil(mark)):
        with pytest.raises(
            SourceError, match=r"im\.pk is refused: it asks for (posix|nt)\.system.*nothing of it was run"
        ):
            read_impk(write(tmp_path / "im.pk", content, protocol))
        assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.",
        b"cnumpy\nndarray.__reduce__\n.",
        b"c_codecs\nencode\n(S'1'\nS'zlib'\ntR.",
    ],
)
def test_other_names_are_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "im.pk").write_bytes(text)
    with pytest.raises(SourceError, match="is refused"):
        read_impk(tmp_path / "im.pk")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    whole = pickle.dumps(arrays())
    for content, says in ((whole[: len(whole) // 2], "ends in the middle"), (b"", "ends in the middle")):
        (tmp_path / "im.pk").write_bytes(content)
        with pytest.raises(SourceError, match=says):
            read_impk(tmp_path / "im.pk")
    made = arrays()
    for change, says in (
        ({"y_icd9": None}, "y_icd9 is a NoneType"),
        ({"ep_tdata": made["ep_tdata"][:, :, :11]}, r"ep_tdata has the shape \(43, 24, 11\), not \(row, 24, 12\)"),
        ({"adm_labels_all": made["adm_labels_all"][:4]}, "don't belong together"),
        ({"y_icd9": made["y_icd9"].astype(str)}, "not an array of numbers"),
    ):
        with pytest.raises(SourceError, match=says):
            read_impk(write(tmp_path / "im.pk", {**made, **change}))
    with pytest.raises(SourceError, match="lacks y_icd9"):
        read_impk(write(tmp_path / "im.pk", {key: made[key] for key in list(made)[:3]}))
    with pytest.raises(SourceError, match="holds a list"):
        read_impk(write(tmp_path / "im.pk", [1]))
    with pytest.raises(SourceError, match="is not there"):
        Source(Settings(root=tmp_path / "nowhere")).files()


def ingest(tmp_path: Path, **settings: object) -> tuple[pl.DataFrame, dict[str, np.ndarray], Source]:
    write(tmp_path / "im.pk", arrays())
    source = Source(Settings(root=tmp_path, **settings))
    folder = tmp_path / "prepared"
    folder.mkdir(exist_ok=True)
    records = source.ingest(folder, tmp_path / "cache", Flow(), Progress())
    return records, {name: np.array(array) for name, array in source.arrays(folder).items()}, source


def test_labels_are_the_published_loader_s(tmp_path: Path) -> None:
    records, _, source = ingest(tmp_path)
    assert len(source.labels.classes) == 6
    # row % 7: columns from there on say yes; column 0 (any death) counts for nothing, the first of 1 … 5 is the class
    assert records["label_mortality"].to_list() == [[1, 1, 2, 3, 4, 5, 0][row % 7] for row in range(43)]
    records, _, source = ingest(tmp_path, task="icd9", icd9_group=7)
    assert source.labels.names == ("icd9_7",)
    assert records["label_icd9_7"].to_list() == arrays()["y_icd9"][:, 7].tolist()
    with pytest.raises(SourceError, match="has 20 columns"):
        ingest(tmp_path, task="icd9", icd9_group=20)


def test_published_statistics_and_split(tmp_path: Path) -> None:
    records, made, _ = ingest(tmp_path)
    known = np.nan_to_num(arrays()["ep_tdata"])
    by_hand = (known - known.mean(axis=(0, 1))) / known.std(axis=(0, 1))
    np.testing.assert_allclose(made["series"], by_hand, rtol=1e-5, atol=1e-5)
    assert records["split"].value_counts().sort("split").rows() == [("test", 4), ("train", 35), ("valid", 4)]


def test_clean_keeps_what_was_not_measured(tmp_path: Path) -> None:
    records, made, _ = ingest(tmp_path, profile="clean")
    assert "split" not in records.columns
    assert np.isnan(made["series"][3, :, 11]).all()
    assert records["patient"].n_unique() == 43
