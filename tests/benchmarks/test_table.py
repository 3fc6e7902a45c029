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


@pytest.mark.benchmark(group="table")
@pytest.mark.parametrize("ending", [".nii.gz", ".png"])
def test_decoding_beside_a_bare_loop(benchmark, tmp_path: Path, ending: str):
    paths = images(tmp_path, ending, VOLUMES if ending == ".nii.gz" else PICTURES)
    dimensions = 3 if ending == ".nii.gz" else 2
    epoch(samples(paths[:1], LoadFiled(["x"], dimensions)))  # imports, on both sides
    bare = seconds(lambda: [torch.stack([one(path) for path in paths[at : at + 8]]) for at in range(0, len(paths), 8)])
    ours = benchmark.pedantic(seconds, (lambda: epoch(samples(paths, LoadFiled(["x"], dimensions))),), rounds=1)
    print(f"\ndecoding {len(paths)} {ending}: bare {bare:.2f} s, ours {ours:.2f} s, {100 * bare / ours:.0f} % of bare")


def one(path: Path) -> torch.Tensor:
    if path.suffix == ".gz":
        return torch.from_numpy(nibabel.load(path).get_fdata(dtype=np.float32, caching="unchanged"))
    return torch.from_numpy(np.asarray(Image.open(path), np.float32))


@pytest.mark.benchmark(group="table")
def test_second_epoch_from_disk(benchmark, tmp_path: Path):
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
    data = samples(
        paths, Compose([build(block, "transform", "x") for block in blocks]), DiskCache(tmp_path / "cache", ["x"])
    )
    first = seconds(lambda: epoch(data))
    second = benchmark.pedantic(seconds, (lambda: epoch(data),), rounds=1)
    print(f"\nepoch of {len(paths)} volumes: first {first:.2f} s, second {second:.3f} s, {first / second:.0f} ×")


@pytest.mark.benchmark(group="table")
def test_a_table_of_100_000_rows_opens(benchmark, tmp_path: Path):
    n, rng = 100_000, np.random.default_rng(0)
    columns = {f"c{at}": rng.normal(size=n).round(3) for at in range(12)}
    words = {f"w{at}": rng.choice(["a", "b", "c", "d"], n) for at in range(4)}
    table = pl.DataFrame({"p": [f"p{at}" for at in range(n)], "dx": rng.choice(["no", "yes"], n), **columns, **words})
    table.write_csv(tmp_path / "t.csv")
    settings = Settings.model_validate(
        {
            "root": str(tmp_path),
            "table": "t.csv",
            "patient": "p",
            "labels": {"dx": {"column": "dx", "classes": ["no", "yes"]}},
            "modalities": {"c": {"columns": [*columns, *words], "categories": [*words]}},
        }
    )
    opened = benchmark.pedantic(seconds, (lambda: Source(settings).table,), rounds=1)
    whole = Source(settings)
    ingested = seconds(lambda: whole.ingest(tmp_path, tmp_path, Flow(), Progress()))
    print(
        f"\n100,000 rows × 18 columns: opened in {opened:.2f} s, typed, checked and written in {ingested:.2f} s of CPU"
    )


def trained(networks: dict[str, torch.nn.Module], reads: dict[str, tuple[str, ...]], arrays: Any, out: Path) -> float:
    model = I2M2(networks, reads, ProductOfExperts(), (1, 2))
    records = pl.DataFrame({"label_dx": np.random.default_rng(0).integers(0, 2, ROWS)})
    data = Samples(records, LABELS, tuple(arrays), arrays)
    training = Training(epochs=3, batch=40)
    watch = lambda *_: None  # noqa: E731
    return seconds(
        lambda: fit(model, data, data.take(np.arange(500)), training, seed=0, folder=out, device="cpu", watch=watch)
    )


@pytest.mark.benchmark(group="table")
def test_training_on_columns_beside_mimics(benchmark, tmp_path: Path):
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.normal(size=(ROWS, *shape)).astype(np.float32)  # noqa: E731
    joint = ("static", "series")
    mimic = trained(
        {"static": StaticMLP(classes=2), "series": SeriesGRU(classes=2), "joint": StaticSeriesJoint(classes=2)},
        {"static": ("static",), "series": ("series",), "joint": joint},
        {"static": normal(5), "series": normal(24, 12)},
        tmp_path / "mimic",
    )
    columns = lambda: ColumnsEncoder(6, 2, levels=30)  # noqa: E731
    halves = {name: np.concatenate([normal(6), np.full((ROWS, 2), 2), np.ones((ROWS, 8))], 1) for name in ("a", "b")}
    networks = {"a": Joint([columns()]), "b": Joint([columns()]), "joint": Joint([columns(), columns()])}
    reads = {"a": ("a",), "b": ("b",), "joint": ("a", "b")}
    ours = benchmark.pedantic(trained, (networks, reads, halves, tmp_path / "ours"), rounds=1)
    print(
        f"\n3 epochs of {ROWS:,} rows, I2M2: columns {ours:.1f} s, MIMIC's experts {mimic:.1f} s, {mimic / ours:.2f} ×"
    )
