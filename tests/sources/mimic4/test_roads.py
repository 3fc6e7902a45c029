"""Simulated MIMIC-IV of both versions comes out equal by its tables and by the MEDS data set that is written of them."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

from i2m2_med.simulate.mimic4 import simulate
from i2m2_med.sources import meds, mimic3, mimic4
from i2m2_med.sources.meds.export import write_meds
from i2m2_med.sources.mimic3.ingest import ingest_table
from i2m2_med.sources.source import Flow, Progress

TASKS: tuple[dict[str, Any], ...] = (
    {"task": "mortality", "notes": {}},
    {"task": "icd9", "icd9_group": 7, "comorbidities": "this_admission"},
    {"task": "ihm48", "unit": "every_stay"},
)


def ingest(source: mimic3.Source, work: Path, name: str) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    folder = work / name
    folder.mkdir()
    records = source.ingest(folder, work / "cache", Flow(), Progress())
    return records, {modality: np.array(array) for modality, array in source.arrays(folder).items()}


@pytest.mark.parametrize("version", [pytest.param("2.2", marks=pytest.mark.slow), "3.1"])
def test_tables_and_events_come_out_equal(tmp_path: Path, version: Literal["2.2", "3.1"]) -> None:
    simulate(tmp_path / "tables", patients=40, seed=5, version=version)
    whole = mimic4.Source(mimic4.Settings(root=tmp_path / "tables", notes={}, unit="every_stay", window_hours=1))
    records = ingest(whole, tmp_path, "whole")[0].with_columns(split=pl.lit("train"))
    tables = {
        name: ingest_table(path, name, tmp_path / "cache" / "mimic3", Progress())
        for name, path in whole.tables().items()
    }
    write_meds(tmp_path / "meds", tables, records, 0.0, whole.labels, whole.release)
    for number, task in enumerate(TASKS):
        straight, arrays = ingest(
            mimic4.Source(mimic4.Settings.model_validate({"root": tmp_path / "tables", **task})), tmp_path, f"a{number}"
        )
        around, again = ingest(
            meds.Source(meds.Settings.model_validate({"root": tmp_path / "meds", **task})), tmp_path, f"b{number}"
        )
        for column in set(straight.columns) - {"split", "group_years"}:
            assert straight[column].to_list() == around[column].to_list(), column
        for modality, array in arrays.items():
            np.testing.assert_allclose(again[modality], array, rtol=1.2e-7, atol=0, err_msg=modality)
