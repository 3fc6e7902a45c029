"""Performance per availability pattern: which modalities a sample had."""

import numpy as np
import pandas as pd

from i2m2_med.report.statistics.bootstrap import MACRO, Cube, Row, by_label, members, replicate_cube
from i2m2_med.report.statistics.calibration_floor import Floor, calibration_floor
from i2m2_med.report.statistics.intervals import REPLICATES, draw_weights, metric_interval
from i2m2_med.report.statistics.paired_predictions import Cohort
from i2m2_med.report.statistics.table import Mask

FEWEST = 10
"""Groups of fewer patients are not reported."""
PER_PATTERN = ("auroc", "accuracy", "nll", "ece")
FLOORS = ("ece of chance", "ece of chance, by patient")
"""What a perfectly calibrated model would show: samples alone, and samples of a patient as repeats of one."""


def pattern_table(cohort: Cohort, cube: Cube, replicates: int = REPLICATES, seed: int = 0) -> pd.DataFrame:
    """Performance per availability pattern (mean over seeds and labels), suppressed below ten patients.

    Every paradigm is judged on all samples it can answer, so a unimodal one has no row where its modality is missing.
    cube: of the samples that all answered, taken as it is where there is one pattern and nobody was silent.
    """
    rows: list[Row] = []
    patterns = _rows_of(cohort)
    whole = len(patterns) == 1 and bool(cohort.common.all())
    for name, here in patterns.items():
        part = cohort.take(here)
        for paradigm in cohort.paradigms:
            seeds = part.of_paradigm(paradigm)
            answered = np.logical_and.reduce([said.answered for said in seeds])
            chosen = Cohort({(paradigm, at): said.take(answered) for at, said in enumerate(seeds)})
            counts = {"pattern": name, "paradigm": paradigm, "samples": int(answered.sum())}
            known = cube[members(cohort, paradigm)] if whole else None
            rows += [counts | row for row in _pattern_rows(chosen, known, replicates, seed)]
    return pd.DataFrame(rows, columns=["pattern", "paradigm", "samples", "patients", "metric", "value", "low", "high"])


def _pattern_rows(chosen: Cohort, known: Cube | None, replicates: int, seed: int) -> list[Row]:
    """One paradigm (mean over its seeds, and over labels) on the samples of one pattern."""
    patients = len(np.unique(chosen.first.patient))
    if patients < FEWEST:
        return [{"patients": patients, "metric": f"suppressed: fewer than {FEWEST} patients"}] if patients else []
    cube = replicate_cube(chosen, draw_weights(patients, replicates, seed)) if known is None else known
    values = cube.mean(axis=0)
    overall = chosen.first.labels[0] if len(chosen.first.labels) == 1 else MACRO
    rows: list[Row] = []
    for label, metric, draws, _ in by_label(chosen, values):
        if label == overall and metric in PER_PATTERN:
            found = metric_interval(metric, draws)._asdict()
            rows.append({"patients": patients, "metric": metric, **found})
    return rows + [{"patients": patients, "metric": name, **floor._asdict()} for name, floor in _floors(chosen, seed)]


def _floors(chosen: Cohort, seed: int) -> list[tuple[str, Floor]]:
    """What `ece` would be by chance alone, samples drawn one by one and by patient: mean over seeds and labels."""
    found: dict[str, list[Floor]] = {name: [] for name in FLOORS}
    for said in chosen.models.values():
        for at in range(len(said.labels)):
            known = said.target[:, at] >= 0
            if not known.any():
                continue
            p, patient = said.p[known, at], said.patient[known]
            found[FLOORS[0]].append(calibration_floor(p, seed=seed))
            found[FLOORS[1]].append(calibration_floor(p, patient, seed=seed))
    return [(name, Floor(*np.mean(floors, axis=0).tolist())) for name, floors in found.items() if floors]


def _rows_of(cohort: Cohort) -> dict[str, Mask]:
    """Each pattern's samples."""
    pattern = np.asarray(cohort.first.samples["pattern"], dtype=str)
    return {str(name): pattern == name for name in np.unique(pattern)}
