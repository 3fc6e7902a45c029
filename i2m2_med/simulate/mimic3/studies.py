"""Healthy study folders of intensive-care stays: `series.csv`, `static.json`, `notes/HOURS_category.txt`.

Times are hours since ICU admission: a column of `series.csv`, and the first part of a note's name. `static.json` knows
`age_years`, the flags `aids`, `hematologic_malignancy` and `metastatic_cancer`, and `admission_type` (medical,
scheduled_surgical, unscheduled_surgical).
"""

import csv
import json
from itertools import combinations
from pathlib import Path

import numpy as np

from i2m2_med.simulate.mimic3.notes import nursing_text

HOURS = 30.0
"""Longer than the input window of the shipped configs (24 h): what comes after it must not be read."""
CONCEPTS = {
    "gcs_total": ("points", 14, 1, 4, 0),
    "systolic_bp": ("mmHg", 120, 15, 1, 0),
    "heart_rate": ("bpm", 85, 12, 1, 0),
    "temperature": ("degC", 37, 0.5, 4, 1),
    "po2": ("mmHg", 110, 25, 8, 0),
    "fio2": ("%", 45, 8, 8, 0),
    "urine_output": ("mL", 90, 30, 2, 0),
    "bun": ("mg/dL", 22, 6, 8, 0),
    "wbc": ("K/uL", 10, 2.5, 12, 1),
    "bicarbonate": ("mEq/L", 24, 3, 8, 0),
    "sodium": ("mEq/L", 139, 3, 8, 0),
    "potassium": ("mEq/L", 4.1, 0.4, 8, 1),
    "bilirubin": ("mg/dL", 0.9, 0.3, 12, 1),
}
"""By concept: unit, mean, spread, hours between measurements, digits. PaO2/FiO2 comes as its two parts."""
ADMISSIONS = ("medical", "scheduled_surgical", "unscheduled_surgical")
MODALITIES = ("series", "static", "notes")
PATTERNS = ["+".join(some) for size in (3, 2, 1) for some in combinations(MODALITIES, size)]
"""Every choice of modalities that is not empty, the whole first."""


def write_stay(folder: Path, pattern: str, rng: np.random.Generator) -> None:
    """One stay with the modalities that `pattern` names."""
    write = {"series": write_series, "static": write_static, "notes": write_notes}
    for modality in pattern.split("+"):
        write[modality](folder, rng)


def write_series(folder: Path, rng: np.random.Generator) -> None:
    """`series.csv`: time, concept, value, unit; in the order of time."""
    rows: list[tuple[float, str, float, str]] = []
    for concept, (unit, mean, spread, apart, digits) in CONCEPTS.items():
        person = mean + spread * rng.standard_normal()
        for start in np.arange(0, HOURS, apart):
            value = max(person + spread / 3 * rng.standard_normal(), 0.1)
            value = min(max(value, 3), 15) if concept == "gcs_total" else value
            hour = round(float(start + apart * rng.uniform(0, 0.9)), 3)
            if hour >= HOURS:
                break
            if concept == "temperature" and rng.random() < 0.5:
                rows.append((hour, concept, round(value * 1.8 + 32, digits), "degF"))
            else:
                rows.append((hour, concept, round(value, digits) if digits else round(value), unit))
    with (folder / "series.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("time", "concept", "value", "unit"))
        writer.writerows(sorted(rows))


def write_static(folder: Path, rng: np.random.Generator) -> None:
    """`static.json`."""
    static = {
        "age_years": round(float(np.clip(rng.normal(64, 16), 18, 90)), 1),
        "aids": bool(rng.random() < 0.02),
        "hematologic_malignancy": bool(rng.random() < 0.05),
        "metastatic_cancer": bool(rng.random() < 0.08),
        "admission_type": str(rng.choice(ADMISSIONS)),
    }
    (folder / "static.json").write_text(json.dumps(static, indent=2) + "\n", encoding="utf-8")


def write_notes(folder: Path, rng: np.random.Generator) -> None:
    """Two to four nursing notes; each file's name begins with its hour."""
    (folder / "notes").mkdir()
    for start in np.arange(1, 24, 24 / rng.integers(2, 5)):
        hour = start + rng.uniform(0, 4)
        text = nursing_text(rng.random(3) < 0.5, rng)
        (folder / "notes" / f"{hour:07.3f}_nursing.txt").write_text(text, encoding="utf-8")
