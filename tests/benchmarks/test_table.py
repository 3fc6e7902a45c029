"""A stranger's table beside bare loops, in one run: decoding, the second epoch, opening 100,000 rows, training on columns.

Seconds are of CPU, one process and one thread: what other processes do meanwhile changes no ratio.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.training.fit import fit
from i2m2_med.experts import ColumnsEncoder, Joint, SeriesGRU, StaticMLP, StaticSeriesJoint
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.disk_cache import DiskCache
from i2m2_med.samples.table.transforms import LoadFiled
from i2m2_med.sources.source import Flow, Labels, Progress
from i2m2_med.sources.table import Settings, Source
from i2m2_med.sources.table.completion import transforms
from i2m2_med.sources.table.settings import Settings as TableSettings
from tests.benchmarks.figures import Figures

VOLUMES, PICTURES, ROWS = 24, 200, 10_000
LABELS = Labels(("dx",), ("no", "yes"))


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def images(root: Path, ending: str, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [root / f"{number}{ending}" for number in range(count)]
    for path in paths:
        if ending == ".nii.gz":
            smooth = rng.normal(100, 20, (96, 96, 96)).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(smooth, np.diag([2, 2, 2, 1])), path)
        else:
            Image.fromarray(rng.integers(0, 255, (512, 512)).astype(np.uint8)).save(path)
    return paths


def samples(paths: list[Path], transform: Any, store: DiskCache | None = None) -> Samples:
    records = pl.DataFrame({"label_dx": [0] * len(paths), "has_x": [True] * len(paths), "_x": list(map(str, paths))})
    return Samples(records, LABELS, ("x",), transform=transform, store=store)


def epoch(data: Samples) -> None:
    for start in range(0, len(data), 8):
        data.__getitems__(list(range(start, min(start + 8, len(data)))))


@pytest.mark.quick
@pytest.mark.parametrize("ending", [".nii.gz", ".png"])
def test_decoding_beside_a_bare_loop(figures: Figures, tmp_path: Path, ending: str) -> None:
    paths = images(tmp_path, ending, VOLUMES if ending == ".nii.gz" else PICTURES)
    dimensions = 3 if ending == ".nii.gz" else 2
    epoch(samples(paths[:1], LoadFiled(["x"], dimensions)))  # imports, on both sides
    what, of, library = {
        ".nii.gz": ("NIfTI of 96³ (gz, int16)", "nibabel", "nifti"),
        ".png": ("PNG of 512²", "Pillow", "png"),
    }[ending]
    figures.beside(
        library, f"decoding {len(paths)} {what} into batches of 8",
        lambda: seconds(lambda: epoch(samples(paths, LoadFiled(["x"], dimensions)))), f"{of} and torch.stack",
        lambda: seconds(lambda: [torch.stack([one(path) for path in paths[at : at + 8]]) for at in range(0, len(paths), 8)]),
        repeats=5, at_most=1.11,
    )  # fmt: skip


def one(path: Path) -> torch.Tensor:
    if path.suffix == ".gz":
        return torch.from_numpy(nibabel.load(path).get_fdata(dtype=np.float32, caching="unchanged"))
    return torch.from_numpy(np.asarray(Image.open(path), np.float32))


@pytest.mark.quick
def test_second_epoch_from_disk(figures: Figures, tmp_path: Path) -> None:
    from monai.transforms.compose import Compose

    from i2m2_med.config.targets import build

    paths = images(tmp_path, ".nii.gz", VOLUMES)
    source = {
        "root": str(tmp_path),
        "table": "t.csv",
        "patient": "p",
        "labels": {"dx": {"column": "dx", "classes": ["no", "yes"]}},
        "modalities": {"x": {"image": "x", "dimensions": 3, "channels": 1}},
    }
    blocks = transforms(TableSettings.model_validate(source), {"x": (64, 64, 64)})
    transform = Compose([build(block, "transform", "x") for block in blocks])
    pairs = []
    for repeat in range(3):
        data = samples(paths, transform, DiskCache(tmp_path / f"cache{repeat}", ["x"]))
        pairs.append((seconds(lambda data=data: epoch(data)), seconds(lambda data=data: epoch(data))))
    first, second = zip(*pairs, strict=True)
    what = f"second epoch of {VOLUMES} volumes of 96³, from `cache: disk`"
    figures.add("second_epoch", what, second, "the first epoch, default transforms", first, "CPU s")


@pytest.mark.quick
def test_a_table_of_100_000_rows_opens(figures: Figures, tmp_path: Path) -> None:
    n, rng = 100_000, np.random.default_rng(0)
    columns = {f"c{at}": rng.normal(size=n).round(3) for at in range(12)}
    words = {f"w{at}": rng.choice(["a", "b", "c", "d"], n) for at in range(4)}
    table = pl.DataFrame({"p": [f"p{at}" for at in range(n)], "dx": rng.choice(["no", "yes"], n), **columns, **words})
    table.write_csv(path := tmp_path / "t.csv")
    settings = Settings.model_validate(
        {
            "root": str(tmp_path),
            "table": "t.csv",
            "patient": "p",
            "labels": {"dx": {"column": "dx", "classes": ["no", "yes"]}},
            "modalities": {"c": {"columns": [*columns, *words], "categories": [*words]}},
        }
    )

    def ingested() -> float:
        whole = Source(settings)
        return seconds(lambda: whole.ingest(tmp_path, tmp_path, Flow(), Progress()))

    bare = lambda: seconds(lambda: pl.read_csv(path))  # noqa: E731
    against, what = "polars.read_csv", "100,000 rows × 18 columns"
    figures.beside("rows_opened", f"{what}: opened", lambda: seconds(lambda: Source(settings).table), against, bare)
    figures.beside("rows_ingested", f"{what}: typed, checked, written", ingested, against, bare)


def trained(networks: dict[str, torch.nn.Module], reads: dict[str, tuple[str, ...]], arrays: Any, out: Path) -> float:
    model = I2M2(networks, reads, ProductOfExperts(), (1, 2))
    records = pl.DataFrame({"label_dx": np.random.default_rng(0).integers(0, 2, ROWS)})
    data = Samples(records, LABELS, tuple(arrays), arrays)
    training = Training(epochs=3, batch=40)
    watch = lambda *_: None  # noqa: E731
    return seconds(
        lambda: fit(model, data, data.take(np.arange(500)), training, seed=0, folder=out, device="cpu", watch=watch)
    )


def test_training_on_columns_beside_mimics(figures: Figures, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.normal(size=(ROWS, *shape)).astype(np.float32)  # noqa: E731
    joint, folders = ("static", "series"), iter(tmp_path / str(number) for number in range(10))
    still, series = normal(5), normal(24, 12)

    def mimic() -> float:
        networks = {
            "static": StaticMLP(classes=2),
            "series": SeriesGRU(classes=2),
            "joint": StaticSeriesJoint(classes=2),
        }
        reads = {"static": ("static",), "series": ("series",), "joint": joint}
        return trained(networks, reads, {"static": still, "series": series}, next(folders))

    columns = lambda: ColumnsEncoder(6, 2, levels=30)  # noqa: E731
    halves = {name: np.concatenate([normal(6), np.full((ROWS, 2), 2), np.ones((ROWS, 8))], 1) for name in ("a", "b")}

    def ours() -> float:
        networks = {"a": Joint([columns()]), "b": Joint([columns()]), "joint": Joint([columns(), columns()])}
        return trained(networks, {"a": ("a",), "b": ("b",), "joint": ("a", "b")}, halves, next(folders))

    what = f"I2M2 on columns, 3 epochs of {ROWS:,} rows"
    figures.beside("columns", what, ours, "MIMIC's three experts", mimic, repeats=2)
