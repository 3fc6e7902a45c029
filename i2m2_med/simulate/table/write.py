"""Write the cohort: `cohort.csv`, `images/*.nii.gz`, `labs.csv`, and what is known of the truth.

The model is described in `model.py`, the ceiling in `ideal.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.config.run import IDEAL
from i2m2_med.console import TerminalProgress
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.table import cells, volumes
from i2m2_med.simulate.table.model import MODALITIES, Cases, Dials, draw_cases

TABLE, LABS = "cohort.csv", "labs.csv"
CLASSES = ("control", "ad")
HOURS = 24
SMALLEST, LARGEST = 16, 512


def simulate(
    out: Path,
    *,
    patients: int = 200,
    matrix: str = "40x48x40",
    seed: int = 0,
    t1: float = 0.7,
    clinical: float = 0.7,
    report: float = 0.5,
    labs: float = 0.5,
    between: float = 0.8,
    pair: str = "t1+clinical",
    prevalence: float = 0.5,
    missing: float = 0.1,
    template: Path | None = None,
) -> dict[str, Any]:
    """Write a synthetic cohort: a table with paths to volumes, columns, sentences, and a long table of lab values.

    Args:
        out: folder to make; it must not hold anything yet.
        patients: rows of the table.
        matrix: XxYxZ of the volumes.
        seed: same seed, same bytes.
        t1: strength (0 to 1) of evidence in the volume alone.
        clinical: strength of evidence in the clinical columns alone.
        report: strength of evidence in the report's words alone.
        labs: strength of evidence in the lab series alone.
        between: strength of evidence that only the two modalities of `pair` give together.
        pair: the two, such as t1+clinical or report+labs.
        prevalence: share of patients who are ill.
        missing: share of patients who lack the volume, the report, the series (each drawn by itself).
        template: a T1 template (NIfTI) to use instead of the made head.

    Raises ConfigError for a number that can't be, and UserError when `out` holds something already.
    """
    dials = Dials(dict(zip(MODALITIES, (t1, clinical, report, labs), strict=True)), between, pair_of(pair))
    check(dials, patients=patients, seed=seed, prevalence=prevalence, missing=missing)
    size = matrix_size(matrix)
    with replace_folder(out) as folder:
        from i2m2_med.simulate.table.ideal import ideal  # takes scipy.stats along, a second and more

        cases = draw_cases(patients, prevalence, missing, dials, np.random.default_rng([seed, 0]))
        rows = write_files(folder, cases, size, template, seed)
        pl.DataFrame(rows).write_csv(folder / TABLE)
        truth(cases).write_parquet(folder / "truth.parquet")
        found = ideal(prevalence, missing, dials, seed)
        write_json(
            folder / IDEAL, {**found, "dials": {**dials.within, "between": between, "pair": pair}, "classes": CLASSES}
        )
    return {
        "out": str(out),
        "synthetic": True,
        "table": str(out / TABLE),
        "patients": patients,
        "ideal": found["auroc"],
    }


def pair_of(pair: str) -> tuple[str, str]:
    """Two modalities by their names."""
    names = tuple(pair.split("+"))
    if len(set(names)) != 2 or len(names) != 2 or not set(names) <= set(MODALITIES):
        raise ConfigError(f"--pair is {pair!r}; give two of {', '.join(MODALITIES)}, such as t1+clinical")
    return names[0], names[1]


def check(dials: Dials, *, patients: int, seed: int, prevalence: float, missing: float) -> None:
    """Raise ConfigError for a number that can't be."""
    for name, value in {**dials.within, "between": dials.between}.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"--{name} is {value:g}; a dial goes from 0 to 1")
    if patients < 1 or seed < 0 or not 0 < prevalence < 1 or not 0 <= missing < 1:
        raise ConfigError(
            "give 1 patient or more, a seed from 0 up, a prevalence between 0 and 1, and missing from 0 to below 1"
        )


def matrix_size(matrix: str) -> tuple[int, int, int]:
    """XxYxZ as three numbers."""
    parts = matrix.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and SMALLEST <= int(part) <= LARGEST for part in parts):
        raise ConfigError(f"--matrix is {matrix!r}; give XxYxZ, each from {SMALLEST} to {LARGEST}, such as 40x48x40")
    return int(parts[0]), int(parts[1]), int(parts[2])


def write_files(
    folder: Path, cases: Cases, size: tuple[int, int, int], template: Path | None, seed: int
) -> list[dict[str, str]]:
    """The volumes and the long table; returns the rows of the cohort."""
    import nibabel

    (folder / "images").mkdir()
    shape = volumes.head(size, template)
    affine = np.diag([*(field / n for field, n in zip(volumes.FIELD_MM, size, strict=True)), 1.0])
    rows: list[dict[str, str]] = []
    measured: list[dict[str, Any]] = []
    for at in TerminalProgress().track(range(len(cases)), "simulating patients", len(cases)):
        rng = np.random.default_rng([seed, 2, at])
        patient, has = f"sub{at + 1:05d}", {name: bool(cases.acquired[name][at]) for name in MODALITIES}
        shown = {name: (float(cases.evidence[name][at]), int(cases.sign[name][at])) for name in MODALITIES}
        path = f"images/{patient}_T1w.nii.gz" if has["t1"] else ""
        if path:
            nibabel.save(nibabel.Nifti1Image(volumes.volume(shape, *shown["t1"], rng), affine), folder / path)
        own = cells.labs(*shown["labs"], HOURS, rng) if has["labs"] else []
        measured += [{"patient_id": patient, **row} for row in own]
        text = cells.report(*shown["report"], rng) if has["report"] else ""
        columns = cells.clinical(*shown["clinical"], rng)
        diagnosis = CLASSES[int(cases.diagnosis[at] > 0)]
        site = f"site {'ABC'[int(rng.integers(3))]}"
        rows.append(
            {"patient_id": patient, "diagnosis": diagnosis, "site": site, "t1_path": path, **columns, "report": text}
        )
    schema = {"patient_id": pl.String, "hour": pl.Float64, "item": pl.String, "value": pl.Float64}
    pl.DataFrame(measured, schema=schema).write_csv(folder / LABS)
    return rows


def truth(cases: Cases) -> pl.DataFrame:
    """Diagnosis, evidence, signs and what was acquired, of every patient in the table's order."""
    columns: dict[str, Any] = {"diagnosis": cases.diagnosis}
    for name in MODALITIES:
        columns |= {
            f"evidence_{name}": cases.evidence[name],
            f"sign_{name}": cases.sign[name],
            f"has_{name}": cases.acquired[name],
        }
    return pl.DataFrame(columns)
