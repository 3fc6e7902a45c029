"""Samples of files, by worker processes and from the cache on disk, beside a plain DataLoader and beside bare networks; by the clock.

`modalities.cache: disk` is one cache for all workers, epochs and paradigms.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.training.fit import fit
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.disk_cache import DiskCache
from i2m2_med.samples.table.transforms import LoadFiled
from tests.benchmarks.costs import wall_seconds
from tests.benchmarks.figures import Figures
from tests.benchmarks.test_table import LABELS, images, one

COUNT, BATCH = 64, 8


class Bare:
    """A data set as one writes it by hand: a file a sample, stacked by torch."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> Tensor:
        return one(self.paths[at])


def epoch(batches: DataLoader) -> Callable[[], object]:  # type: ignore[type-arg]
    """Read everything once."""
    return lambda: sum(1 for _ in batches)


def samples(paths: list[Path], cache: Path | None = None) -> Samples:
    records = pl.DataFrame({"label_dx": [0] * len(paths), "has_x": [True] * len(paths), "_x": list(map(str, paths))})
    store = None if cache is None else DiskCache(cache, ["x"])
    return Samples(records, LABELS, ("x",), transform=LoadFiled(["x"], 3), store=store)


@pytest.mark.quick
def test_first_epoch_with_workers(figures: Figures, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    paths = images(tmp_path, ".nii.gz", COUNT)
    given = samples(paths)
    epoch(loader(given.take(np.arange(2)), BATCH))()  # imports, which workers inherit
    by_hand = DataLoader(Bare(paths), batch_size=BATCH, shuffle=True, num_workers=2)  # type: ignore[arg-type]
    ours = lambda workers: wall_seconds(epoch(loader(given, BATCH, workers, seed=0)))  # noqa: E731
    what = f"first epoch of {COUNT} NIfTI of 96³ (gz), two workers"
    figures.beside("first", what, lambda: ours(2), "a plain DataLoader with two workers", lambda: wall_seconds(epoch(by_hand)), unit="s", at_most=1.11)  # fmt: skip
    figures.beside("workers", what, lambda: ours(2), "without workers", lambda: ours(0), unit="s", repeats=2)


class Net(nn.Sequential):
    """A small 3-D network that costs about what its samples cost to read from the cache, several times."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(1, 4, 5, 4), nn.ReLU(), nn.Conv3d(4, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
        )


def model() -> I2M2:
    torch.manual_seed(0)
    (network := Net())(torch.zeros(1, 1, 96, 96, 96))
    return I2M2({"x": network}, {"x": ("x",)}, ProductOfExperts(), (1, 2))


def bare_epoch() -> float:
    """Steps of the network on one synthetic batch."""
    network, batch = model(), torch.randn(BATCH, 1, 96, 96, 96)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def steps() -> None:
        for _ in range(COUNT // BATCH):
            optimizer.zero_grad()
            network.experts["x"](batch).log_softmax(-1)[:, 0].mean().neg().backward()
            optimizer.step()

    return wall_seconds(steps)


def later_epoch(paths: list[Path], folder: Path, cache: Path, workers: int) -> float:
    """An epoch of `fit` whose samples are cached on disk: the shorter of the second and the third."""
    ends: list[float] = []
    given, training = samples(paths, cache), Training(epochs=3, batch=BATCH, workers=workers)
    fit(
        model(), given, given.take(np.arange(2)), training, seed=0, folder=folder, device="cpu",
        watch=lambda *_: ends.append(time.perf_counter()),
    )  # fmt: skip
    return min(after - before for before, after in itertools.pairwise(ends))


def test_later_epochs_from_the_cache(figures: Figures, tmp_path: Path) -> None:
    """The same files for workers and without: whoever read a sample first has written it for all."""
    torch.set_num_threads(1)
    paths, cache, folders = images(tmp_path, ".nii.gz", COUNT), tmp_path / "cache", itertools.count()
    ours = lambda workers: later_epoch(paths, tmp_path / f"fit{next(folders)}", cache, workers)  # noqa: E731
    ours(2)  # fills it
    what = f"second epoch of {COUNT} volumes of 96³ from `cache: disk`, training"
    against = "the bare network's steps"
    figures.beside("cached", f"{what}, without workers", lambda: ours(0), against, bare_epoch, unit="s")
    figures.beside("cached_workers", f"{what}, two workers", lambda: ours(2), against, bare_epoch, unit="s")
