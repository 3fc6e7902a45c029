"""Write synthetic MIMIC-IV tables in the release's format: the cases of `simulate mimic3`, all charted in MetaVision, half of them
coded in ICD-10, with the same dials, `truth.parquet` and ideal observer (`ideal.json`).

What differs: ages are known to the year, deaths to one year after the last discharge, there are no newborns, and the evidence of
notes stands in radiology reports.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.config.run import IDEAL
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.mimic3.attached import write_attached
from i2m2_med.simulate.mimic3.cases import CaseDials, draw_cases
from i2m2_med.simulate.mimic3.stays import ODD_KINDS, Stays, draw_stays
from i2m2_med.simulate.mimic3.tables import write_rows
from i2m2_med.simulate.mimic3.write import ceiling, draw_tables, refuse_impossible, truth_table
from i2m2_med.simulate.mimic4.convert import as_mimic4
from i2m2_med.simulate.mimic4.layout import HEADERS, MARK, Version

IDS = {
    "subject": 10_000_000,
    "hadm": 20_000_000,
    "other_hadm": 20_000_000,
    "icustay": 30_000_000,
    "other_icustay": 30_000_000,
}
"""The release's identifiers have eight digits and begin with 1, 2 and 3."""


def simulate(
    out: Path,
    *,
    version: Version = "3.1",
    patients: int = 200,
    seed: int = 0,
    series: float = 0.6,
    static: float = 0.5,
    notes: float = 0.5,
    between: float = 0.6,
    prevalence: float = 0.5,
    studies: bool = False,
) -> dict[str, Any]:
    """Simulate the MIMIC-IV tables that the pipeline reads. Everything is synthetic; the same call writes the same bytes.

    Parameters
    ----------
    out
        Folder to write (`hosp`, `icu`, `note`); it must not hold anything yet.
    version
        MIMIC-IV's version whose words and years are written.
    patients
        How many patients are drawn. One in 25 is there to be left out: stays under a day, admissions without an ICU stay.
    seed
        Seed of everything that is drawn.
    series
        Evidence within the time series, 0 (none) to 1 (strong).
    static
        Evidence within the static features, 0 to 1.
    notes
        Evidence within the notes, 0 to 1.
    between
        Evidence that only the relation of series and static shows, neither of them alone, 0 to 1.
    prevalence
        Share of patients who die within a year, and share who have a code of each of the two ICD groups.
    studies
        Also chest pictures (`cxr/`) and ECGs (`ecg/`), in the layouts of MIMIC-CXR-JPG and MIMIC-IV-ECG.
    """
    dials = CaseDials(series, static, notes, between)
    refuse_impossible(patients, seed, prevalence)
    rng = np.random.default_rng(seed)
    with replace_folder(out) as folder:
        cases = draw_cases(patients, prevalence, dials, rng)
        stays = in_mimic4(draw_stays(cases, rng))
        tables = as_mimic4(draw_tables(cases, stays, rng), stays, version, rng)
        rows = write_tables(folder, tables)
        if studies:
            write_attached(folder, cases, stays, np.random.default_rng([seed, 8]))
        truth = truth_table(cases, stays).filter(pl.col("left_out") != ODD_KINDS[1])
        truth.write_parquet(folder / "truth.parquet")
        ideal = ceiling(dials, patients, seed, prevalence)
        write_json(folder / IDEAL, ideal)
    return {"out": str(out), "synthetic": True, "version": version, "rows": rows, "ideal": ideal["auroc"]}


def in_mimic4(stays: Stays) -> Stays:
    """The stays under identifiers of MIMIC-IV's length, all charted in MetaVision."""
    numbers = {name: getattr(stays, name) + base for name, base in IDS.items()}
    return replace(stays, metavision=np.ones_like(stays.metavision), **numbers)


def write_tables(folder: Path, tables: dict[str, pl.DataFrame]) -> dict[str, int]:
    """Every table into its folder, in the release's columns, marked as simulated; returns the row counts."""
    for module, headers in HEADERS.items():
        (folder / module).mkdir()
        for name, header in headers.items():
            columns, table = [*header.split(","), MARK], tables[name].with_columns(pl.lit(1).alias(MARK))
            empty = [pl.lit(None, pl.String).alias(column) for column in columns if column not in table.columns]
            write_rows(folder / module / f"{name}.csv.gz", table.with_columns(empty).select(columns), "necessary")
    return {name: table.height for name, table in tables.items()}
