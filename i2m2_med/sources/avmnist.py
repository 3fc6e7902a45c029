"""AV-MNIST in MultiBench's layout: digits as an image and as a spectrogram, paired by label.

    root/image/{train,test}_data.npy   (row, 28, 28) or (row, 784), grey values 0 … 255 (integers or floats)
    root/audio/{train,test}_data.npy   (row, 112, 112) or (row, 12544), 0 … 255
    root/{train,test}_labels.npy       (row,) 0 … 9
    root/sources.csv                   optional, of `i2m2 simulate avmnist`: split, speaker and take of each row

The last rows of train are validation. Arrays are memory-mapped and copied block by block, whatever their size.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from i2m2_med.config.settings import Settings as ClosedSettings
from i2m2_med.errors import SourceError
from i2m2_med.files import existing_folder
from i2m2_med.marks import is_simulated
from i2m2_med.sources.formats.npy import open_npy
from i2m2_med.sources.source import Flow, Labels, Progress, Study
from i2m2_med.sources.source import Source as BaseSource

SIDES = {"image": 28, "audio": 112}
BLOCK = 2048
"""Rows that are checked and copied at a time."""
SIMULATED = (
    "The arrays are of `i2m2 simulate avmnist`: real digits and real speech in synthetic noise, other recordings than the "
    "published set's, so no figure is comparable with the paper's."
)
PUBLISHED_VALID = 12
"""One row of train in twelve is validation: 5,000 of the published 60,000."""


class Settings(ClosedSettings):
    """`source: {name: avmnist, …}`."""

    name: Literal["avmnist"] = "avmnist"
    root: Path
    """Folder that holds `image`, `audio` and the labels (or a folder `avmnist` that does)."""
    valid: Annotated[int, Field(ge=1)] | None = None
    """Rows at the end of train that are validation; where not said: as `sources.csv` says, else one in twelve (published)."""


class Source(BaseSource):
    """AV-MNIST: one label of ten digits, modalities `image` (1, 28, 28) and `audio` (1, 112, 112), in 0 … 1."""

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.labels = Labels(("digit",), tuple("0123456789"))
        self.modalities = tuple(SIDES)

    @property
    def home(self) -> Path:
        """The folder that holds `image` and `audio`."""
        root = existing_folder(self.settings.root, "it should hold AV-MNIST's arrays; set source.root")
        return root / "avmnist" if (root / "avmnist").is_dir() else root

    def files(self) -> list[Path]:
        """The six arrays, and `sources.csv` where there is one. Raises SourceError where an array is missing."""
        home = self.home
        names = [f"{modality}/{part}_data.npy" for modality in SIDES for part in ("train", "test")]
        names += ["train_labels.npy", "test_labels.npy"]
        missing = [name for name in names if not (home / name).is_file()]
        if missing:
            raise SourceError(f"{home} lacks {', '.join(missing)}; it should hold AV-MNIST in MultiBench's layout.")
        table = home / "sources.csv"
        return [*(home / name for name in names), *([table] if table.is_file() else [])]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per pair, train before test; checked arrays of both parts are written to `folder`."""
        self.files()
        home = self.home
        labels = {part: read_digit_labels(home / f"{part}_labels.npy") for part in ("train", "test")}
        for modality in SIDES:
            paths = {part: home / modality / f"{part}_data.npy" for part in labels}
            parts = {path: open_pixels(path, SIDES[modality], len(labels[part])) for part, path in paths.items()}
            write_pixels(parts, folder / f"{modality}.npy", progress)
        table = read_sources(home / "sources.csv", labels)
        flow.synthetic |= any(is_simulated(path) for path in self.files() if path.suffix == ".npy")
        if table is not None or flow.synthetic:
            flow.remarks.append(SIMULATED)
        flow.step("pairs of a digit's image and sound", sum(map(len, labels.values())))
        return make_records(labels, table, self.settings.valid)

    def arrays(self, folder: Path) -> Mapping[str, np.ndarray]:
        """Memory-mapped (row, 1, side, side): bytes (read as value / 255) or float32 that is scaled already."""
        return {modality: np.load(folder / f"{modality}.npy", mmap_mode="r") for modality in SIDES}

    def study(self, folder: Path) -> Study:
        """A folder with `image.npy`, `audio.npy` or both: one or more samples each, as in the training arrays."""
        paths = {name: folder / f"{name}.npy" for name in SIDES if (folder / f"{name}.npy").is_file()}
        if not paths:
            raise SourceError(f"{folder.name} holds neither image.npy nor audio.npy.")
        given = {name: read_pixels(path, SIDES[name]) for name, path in paths.items()}
        counts = {name: len(pixels) for name, pixels in given.items()}
        if len(set(counts.values())) > 1:
            raise SourceError(f"{folder.name}: image and audio are of different length ({counts}).")
        count = next(iter(counts.values()))
        absent = {
            name: np.full((count, 1, side, side), np.nan, np.float32)
            for name, side in SIDES.items()
            if name not in given
        }
        there = {f"has_{name}": [name in given] * count for name in SIDES}
        records = {"patient": [folder.name] * count, "study": [folder.name] * count, "item": list(range(count))}
        return Study(pl.DataFrame(records | there), given | absent)


def open_array(path: Path) -> np.ndarray:
    """A memory-mapped array. Raises SourceError for a file that is not a whole .npy of numbers."""
    return open_npy(path, "uif", str(path))


def open_pixels(path: Path, side: int, rows: int | None = None) -> np.ndarray:
    """A memory-mapped array as (row, 1, side, side). Raises SourceError for another shape or number of rows."""
    array = open_array(path)
    if array.shape[1:] not in {(side, side), (side * side,), (1, side, side)}:
        raise SourceError(f"{path} is {array.shape}; (rows, {side}, {side}) is needed.")
    if rows is not None and len(array) != rows:
        raise SourceError(
            f"{path} has {len(array)} rows, but there are {rows} labels; image, audio and labels go together."
        )
    return array.reshape(-1, 1, side, side)


def read_digit_labels(path: Path) -> np.ndarray:
    """(row,) int8 digits. Raises SourceError for other shapes, fractions, or a label outside 0 to 9."""
    labels = open_array(path)
    if labels.ndim != 1 or not len(labels):
        raise SourceError(f"{path} is {labels.shape}; (rows,) is needed, one digit each.")
    wrong = np.flatnonzero((labels < 0) | (labels > 9) | (labels % 1 != 0) | ~np.isfinite(labels))
    if len(wrong):
        raise SourceError(f"{path} row {wrong[0]} is {labels[wrong[0]]}; labels are whole numbers from 0 to 9.")
    return np.asarray(labels, dtype=np.int8)


def scaled(block: np.ndarray, path: Path, first: int) -> np.ndarray:
    """Some rows in float32, divided by 255. Raises SourceError where a value is missing or not finite."""
    bad = ~np.isfinite(block).reshape(len(block), -1).all(axis=1)
    if bad.any():
        raise SourceError(
            f"{path} row {first + int(bad.argmax())} holds NaN or infinity; leave that row out of every array."
        )
    return block.astype(np.float32) / np.float32(255)


def read_pixels(path: Path, side: int) -> np.ndarray:
    """All rows of an array (or its one sample), scaled."""
    array = open_array(path)
    alone = array.shape in {(side, side), (1, side, side)}
    return scaled(array.reshape(1, 1, side, side) if alone else open_pixels(path, side), path, 0)


def write_pixels(parts: Mapping[Path, np.ndarray], path: Path, progress: Progress) -> None:
    """Both parts in one array, block by block: bytes stay bytes, all else becomes float32 and is scaled."""
    as_bytes = all(part.dtype == np.uint8 for part in parts.values())
    shape = (sum(map(len, parts.values())), *next(iter(parts.values())).shape[1:])
    whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8 if as_bytes else np.float32, shape=shape)
    starts = [(file, first) for file, part in parts.items() for first in range(0, len(part), BLOCK)]
    row = 0
    for file, first in progress.track(starts, f"reading {path.stem}", len(starts)):
        block = parts[file][first : first + BLOCK]
        whole[row : row + len(block)] = block if as_bytes else scaled(block, file, first)
        row += len(block)
    whole.flush()


def read_sources(path: Path, labels: Mapping[str, np.ndarray]) -> pl.DataFrame | None:
    """`sources.csv` in the order of the rows, or None where there is none. Raises SourceError if it is of other arrays."""
    if not path.is_file():
        return None
    table = pl.read_csv(path)
    wanted = {"part", "row", "split", "label", "speaker", "take"}
    if not wanted <= set(table.columns):
        raise SourceError(f"{path} lacks {', '.join(sorted(wanted - set(table.columns)))}; simulate the set again.")
    table = table.sort(pl.col("part") == "test", "row")
    digits = np.concatenate([labels["train"], labels["test"]])
    if len(table) != len(digits) or (table["label"].to_numpy() != digits).any():
        raise SourceError(f"{path} does not fit the arrays beside it; simulate the set again, or delete it.")
    return table


def make_records(labels: Mapping[str, np.ndarray], table: pl.DataFrame | None, valid: int | None) -> pl.DataFrame:
    """One record per row. A "patient" is a recording where they are known (rows that share one are not independent), else the row."""
    n_train, n_test = len(labels["train"]), len(labels["test"])
    if table is None or valid is not None:
        n_valid = valid or max(1, n_train // PUBLISHED_VALID)
        if n_valid >= n_train:
            raise SourceError(f"source.valid is {n_valid}, but train has {n_train} rows; give fewer.")
        split = ["train"] * (n_train - n_valid) + ["valid"] * n_valid + ["test"] * n_test
    else:
        split = table["split"].to_list()
    rows = [f"row {row}" for row in range(n_train + n_test)]
    digits = np.concatenate([labels["train"], labels["test"]])
    records = pl.DataFrame({"study": rows, "item": 0, "label_digit": digits, "split": split})
    if table is None or valid is not None:
        return records.with_columns(pl.col("study").alias("patient"))
    recording = pl.format("{} {} {}", table["label"], table["speaker"], table["take"])
    return records.with_columns(
        table.select(recording.alias("patient"))["patient"], table["speaker"].alias("group_speaker")
    )
