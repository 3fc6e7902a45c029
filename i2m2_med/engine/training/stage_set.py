"""Where a plan is rehearsed: a workspace that is thrown away, and a few of the samples."""

import os
import shutil
import tempfile
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2m2_med.config.run import RunConfig
from i2m2_med.console import Terminal
from i2m2_med.engine.prediction.build import build_model, probe_rows
from i2m2_med.samples.cohort import Cohort
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.disk_cache import DiskCache
from i2m2_med.signals import uninterrupted


@contextmanager
def stage_set() -> Generator[Path]:
    """A workspace that is gone afterwards."""
    before = os.environ.get("I2M2_WORK")
    folder = tempfile.mkdtemp(prefix="i2m2-plan-")
    try:
        os.environ["I2M2_WORK"] = folder
        yield Path(folder)
    finally:
        with uninterrupted():
            shutil.rmtree(folder, ignore_errors=True)
        if before is None:
            os.environ.pop("I2M2_WORK", None)
        else:
            os.environ["I2M2_WORK"] = before


@contextmanager
def silent() -> Generator[None]:
    """Let nothing be said meanwhile."""
    quiet, Terminal.quiet = Terminal.quiet, True
    try:
        yield
    finally:
        Terminal.quiet = quiet


def on_stage(cohort: Cohort, place: Path) -> Cohort:
    """Return the same cohort, which keeps samples on the disk in `place` where its config keeps them there."""
    store = cohort.store and DiskCache(place / "cache" / "samples", cohort.store.made)
    return replace(cohort, store=store, opened={})


def some(samples: Samples, most: int, among: Collection[int] = ()) -> Samples:
    """Return up to `most` samples, those of the rows `among` and others drawn without looking at them; they begin without a cache of their own."""
    rows = np.array(sorted(among), dtype=np.int64)
    others = np.setdiff1d(np.arange(len(samples)), rows)
    drawn = min(len(others), max(0, most - len(rows)))
    rows = np.sort(np.concatenate([rows, np.random.default_rng(0).choice(others, drawn, replace=False)]))
    taken = samples.take(rows)
    return taken if taken.cached is None else taken.replaced(cached={})


def heard_rows(run: RunConfig, cohort: Cohort) -> set[int]:
    """Return training rows among which each expert finds what it reads: a modality may be rarer than a batch is large.

    Raises ConfigError where an expert finds nothing.
    """
    model, train = build_model(run, tuple(run.experts), cohort.labels, 0), cohort.samples("train")
    return {row for name in model.names for row in probe_rows(model, name, train)}
