"""The source built with any settings; typed tables are cached for the whole session."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from i2m2_med.sources.mimic3 import Source
from i2m2_med.sources.mimic3.items import all_item_ids
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Flow, Progress


@dataclass(frozen=True)
class Built:
    source: Source
    records: pl.DataFrame
    arrays: dict[str, np.ndarray]
    flow: Flow

    @property
    def steps(self) -> dict[str, tuple[int, int]]:
        return {step["step"]: (step["kept"], step["dropped"]) for step in self.flow.steps}


Build = Callable[..., Built]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    cache = tmp_path_factory.mktemp("cache")

    def with_settings(root: Path, name: str = "mimic3", **settings: Any) -> Built:
        module = import_module(f"i2m2_med.sources.{name}")
        source = module.Source(module.Settings(root=root, **settings))
        folder, flow = tmp_path_factory.mktemp("prepared"), Flow()
        records = source.ingest(folder, cache, flow, Progress())
        arrays = {name: np.array(array) for name, array in source.arrays(folder).items()}
        return Built(source, records, arrays, flow)

    return with_settings


@pytest.fixture(scope="session")
def demo(shared_data: Path) -> Path:
    return shared_data / "mimic3demo"


@pytest.fixture(scope="session")
def thin(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's tables with the rows of mapped items only, for tests that write them again and again."""
    out = tmp_path_factory.mktemp("thin")
    for name, table in TABLES.items():
        rows = pl.read_csv(demo / f"{name}.csv.gz", infer_schema=False)
        if table.by_item:
            rows = rows.filter(pl.col("ITEMID").cast(pl.Int64).is_in(all_item_ids(name)))
        rows.select(column for column in table.columns if column in rows.columns).write_csv(
            out / f"{name}.csv.gz", compression="gzip"
        )
    return out
