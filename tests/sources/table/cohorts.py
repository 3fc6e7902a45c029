"""Small cohorts as people keep them: a table with images, columns, texts, series and signals beside it."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import polars as pl

SETTINGS: dict[str, Any] = {
    "name": "table",
    "patient": "patient_id",
    "labels": {"dx": {"column": "diagnosis", "classes": ["control", "ad"]}},
    "groups": ["site"],
    "modalities": {
        "t1": {"image": "t1_path", "dimensions": 3, "channels": 1},
        "clinical": {"columns": ["age", "mmse", "sex"], "categories": ["sex"]},
        "labs": {
            "series": "labs.csv",
            "time": "hour",
            "value": "value",
            "name": "item",
            "by": "patient_id",
            "hours": 6,
            "items": ["crp", "hb"],
        },
        "report": {"text": "report_text", "tokens": 16, "chunks": 2, "overlap": 2, "vocabulary": 500, "files": False},
        "ecg": {"signal": "ecg_path", "length": 64, "channels": 2},
    },
}


def volume(label: int, rng: np.random.Generator) -> np.ndarray:
    """(17, 19, 13) noise, with a brighter middle where the label is 1."""
    made = rng.normal(100, 10, (17, 19, 13)).astype(np.float32)
    made[6:11, 6:11, 4:9] += 60 * label
    return made


def write_cohort(root: Path, n: int = 24, seed: int = 0) -> pl.DataFrame:
    """A cohort of `n` patients, a row each; every 7th lacks the image, every 5th the age. Returns the table."""
    rng = np.random.default_rng(seed)
    (root / "img").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    labs = ["patient_id,hour,item,value"]
    for number in range(n):
        label, patient = number % 2, f"p{number:03d}"
        if number % 7:
            nibabel.save(
                nibabel.Nifti1Image(volume(label, rng), np.diag([2, 2, 2.5, 1])), root / f"img/{patient}.nii.gz"
            )
        np.save(root / f"img/{patient}.npy", rng.normal(size=(2, 50 + number)).astype(np.float32))
        labs += [f"{patient},{hour},crp,{5 + 3 * label + hour}" for hour in (0.5, 3.2)] if number % 3 else []
        rows.append(
            {
                "patient_id": patient,
                "diagnosis": ("control", "ad")[label],
                "t1_path": f"img/{patient}.nii.gz" if number % 7 else None,
                "age": None if number % 5 == 0 else f"{60 + rng.normal() * 5:.1f}",
                "mmse": str(int(28 - 2 * label + rng.integers(-2, 3))),
                "sex": "f" if rng.random() < 0.5 else "m",
                "report_text": f"patient is {'confused' if label else 'alert'}" if number % 4 else None,
                "ecg_path": f"img/{patient}.npy",
                "site": "A" if number % 3 else "B",
            }
        )
    table = pl.DataFrame(rows)
    table.write_csv(root / "cohort.csv")
    (root / "labs.csv").write_text("\n".join([*labs, "p001,99,hb,1"]) + "\n", encoding="utf-8")
    return table


def settings(root: Path, table: str = "cohort.csv", **changed: Any) -> dict[str, Any]:
    """The settings of a cohort, some of them changed."""
    return {**SETTINGS, "root": str(root), "table": table, **changed}
