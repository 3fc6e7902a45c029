"""Write synthetic MIMIC-III tables in the release's format, with known dependence of the labels on each modality.

The model is described in `mimic3_cases`, the ceiling in `mimic3_ideal`. Beside the tables stand `truth.parquet` (labels and
evidence of every case) and `ideal.json` (the AUROC an ideal observer reaches).
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.config.run import IDEAL
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.mimic3.admissions import (
    admissions_table,
    diagnoses_table,
    icustays_table,
    other_admissions,
    patients_table,
    services_table,
    transfers_table,
)
from i2m2_med.simulate.mimic3.attached import write_attached
from i2m2_med.simulate.mimic3.cases import BANDS, FINDINGS, CaseDials, Cases, draw_cases
from i2m2_med.simulate.mimic3.events import chart_events, lab_events, output_events, place
from i2m2_med.simulate.mimic3.ideal import CLASS_OF_BAND, CLASSES, ideal_auroc
from i2m2_med.simulate.mimic3.items import CHART_LABELS, LAB_LABELS, OUTPUT_LABELS
from i2m2_med.simulate.mimic3.notes import note_events
from i2m2_med.simulate.mimic3.stays import ODD_KINDS, Stays, draw_stays
from i2m2_med.simulate.mimic3.tables import write_csv


def simulate(
    out: Path,
    *,
    patients: int = 200,
    seed: int = 0,
    series: float = 0.6,
    static: float = 0.5,
    notes: float = 0.5,
    between: float = 0.6,
    prevalence: float = 0.5,
    studies: bool = False,
) -> dict[str, Any]:
    """Simulate the MIMIC-III tables that the pipeline reads. Everything is synthetic; the same call writes the same bytes.

    Parameters
    ----------
    out
        Folder to write; it must not hold anything yet.
    patients
        How many patients. One in 25 is there to be left out: newborns, stays under a day, admissions without an ICU stay.
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
        Share of patients who die within a year, and share who have a code of each of the two ICD-9 groups.
    studies
        Also chest pictures (`cxr/`) and ECGs (`ecg/`), in the layouts of MIMIC-CXR-JPG and MIMIC-IV-ECG.
    """
    dials = CaseDials(series, static, notes, between)
    refuse_impossible(patients, seed, prevalence)
    rng = np.random.default_rng(seed)
    with replace_folder(out) as folder:
        cases = draw_cases(patients, prevalence, dials, rng)
        stays = draw_stays(cases, rng)
        rows = {name: write_csv(folder, name, table) for name, table in draw_tables(cases, stays, rng).items()}
        if studies:
            write_attached(folder, cases, stays, np.random.default_rng([seed, 8]))
        truth_table(cases, stays).write_parquet(folder / "truth.parquet")
        ideal = ceiling(dials, patients, seed, prevalence)
        write_json(folder / IDEAL, ideal)
    return {"out": str(out), "synthetic": True, "rows": rows, "ideal": ideal["auroc"]}


def refuse_impossible(patients: int, seed: int, prevalence: float) -> None:
    """Raise ConfigError for numbers that nothing can be drawn with."""
    if patients < 1 or seed < 0:
        raise ConfigError(f"--patients is {patients} and --seed {seed}; at least 1 patient, and a seed from 0 up")
    if not 0.02 <= prevalence <= 0.98:
        raise ConfigError(f"--prevalence is {prevalence}; a share from 0.02 to 0.98, so that every class has cases")


def ceiling(dials: CaseDials, patients: int, seed: int, prevalence: float) -> dict[str, Any]:
    """Return the content of `ideal.json`: AUROC of an ideal observer, and how it was computed."""
    return {
        **ideal_auroc(prevalence, dials, seed),
        "explained": "AUROC of an observer who knows the generative model and reads its evidence without measurement noise, "
        "computed on a large draw (i2m2_med.simulate.mimic3.ideal). `auroc`: profile clean, all three modalities.",
        "dials": vars(dials),
        "drawn": {"patients": patients, "seed": seed, "prevalence": prevalence},
        "classes": CLASSES,
    }


def draw_tables(cases: Cases, stays: Stays, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """Every table by name, in the order in which they are drawn."""
    others, other_codes = other_admissions(stays, rng)
    admissions = pl.concat([admissions_table(cases, stays, rng), others], how="diagonal_relaxed")
    icustays = icustays_table(stays, rng)
    charted = chart_events(cases, stays, rng)
    labs, oxygen = lab_events(cases, stays, rng)
    return {
        "PATIENTS": patients_table(stays, rng),
        "ADMISSIONS": admissions.sort("SUBJECT_ID", "ADMITTIME"),
        "ICUSTAYS": icustays,
        "TRANSFERS": transfers_table(icustays),
        "SERVICES": services_table(cases, stays, rng),
        "DIAGNOSES_ICD": pl.concat([diagnoses_table(cases, stays, rng), other_codes], how="diagonal_relaxed").sort(
            "SUBJECT_ID"
        ),
        "CHARTEVENTS": charted_by_system(place(pl.concat([charted, oxygen], how="diagonal"), stays, rng)),
        "LABEVENTS": place(labs, stays, rng),
        "OUTPUTEVENTS": place(output_events(cases, stays, rng), stays, rng).with_columns(
            VALUEUOM=pl.lit("ml"), VALUE="VALUENUM"
        ),
        "NOTEEVENTS": note_events(cases, stays, rng),
        "D_ITEMS": dictionary(),
        "D_LABITEMS": lab_dictionary(),
    }


def charted_by_system(events: pl.DataFrame) -> pl.DataFrame:
    """MetaVision marks errors as 0 or 1; CareVue leaves good rows empty and has a STOPPED column."""
    metavision = pl.col("metavision")
    return events.with_columns(
        ERROR=pl.when(metavision | (pl.col("ERROR") == 1)).then("ERROR"),
        WARNING=pl.when(metavision).then(0),
        STOPPED=pl.when(~metavision).then(pl.lit("NotStopd")),
    )


def dictionary() -> pl.DataFrame:
    """D_ITEMS: numbers above 220,000 are MetaVision's."""
    labels = {**CHART_LABELS, **OUTPUT_LABELS}
    items = list(labels)
    return pl.DataFrame(
        {
            "ITEMID": items,
            "LABEL": list(labels.values()),
            "DBSOURCE": ["metavision" if item > 220_000 else "carevue" for item in items],
            "LINKSTO": ["chartevents" if item in CHART_LABELS else "outputevents" for item in items],
        }
    ).sort("ITEMID")


def lab_dictionary() -> pl.DataFrame:
    """D_LABITEMS."""
    rows = [(item, *words) for item, words in LAB_LABELS.items()]
    return pl.DataFrame(rows, schema=["ITEMID", "LABEL", "FLUID", "CATEGORY"], orient="row")


def truth_table(cases: Cases, stays: Stays) -> pl.DataFrame:
    """One row per case: identifiers, labels of both profiles (-1 = not in the cohort), and the evidence that was drawn."""
    left_out = stays.odd > 0
    columns = {
        "subject_id": stays.subject,
        "hadm_id": stays.hadm,
        "icustay_id": stays.icustay,
        "left_out": np.array(ODD_KINDS)[stays.odd],
        "band": np.array(BANDS)[cases.band],
        **{f"mortality_{name}": np.where(left_out, -1, np.array(c)[cases.band]) for name, c in CLASS_OF_BAND.items()},
        "icd9_1": cases.codes[:, 0],
        "icd9_7": cases.codes[:, 1],
        "age_score": cases.age,
        "surgical": cases.surgical,
        "scheduled": cases.scheduled,
    }
    for column, finding in enumerate(FINDINGS):
        columns |= {f"level_{finding}": cases.level[:, column], f"trend_{finding}": cases.trend[:, column]}
        columns |= {f"mentions_{finding}": cases.mentions[:, column]}
    return pl.DataFrame(columns)
