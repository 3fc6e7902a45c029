"""Pictures and ECGs beside simulated tables, in the layouts in which MIMIC-CXR-JPG and MIMIC-IV-ECG are published.

    cxr/mimic-cxr-2.0.0-metadata.csv.gz   cxr/files/p10/p10032/s50012345/….jpg
    ecg/record_list.csv                   ecg/files/p1003/p10032/s40012345/40012345.hea and .dat

They show, blurred by noise, the levels that the series shows too: opacity of the lower fields that of the respiratory finding, heart
rate that of death. So an ideal observer of the series gains nothing by them, and `ideal.json` holds.
"""

import gzip
from pathlib import Path

import numpy as np
import polars as pl

from i2m2_med.simulate.mimic3.cases import Array, Cases, Ints
from i2m2_med.simulate.mimic3.stays import Stays, after

HEIGHT, WIDTH = 96, 80
LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
RATE, SECONDS, GAIN = 500, 10, 200
HAS_PICTURE, HAS_ECG, HAS_SECOND, HAS_LATERAL = 0.8, 0.6, 0.5, 0.3
SEEN_NOISE = 0.7
"""Spread of what a picture or ECG shows about the level, which has a spread of 1 between patients."""


def write_attached(folder: Path, cases: Cases, stays: Stays, rng: np.random.Generator) -> None:
    """`cxr/` and `ecg/` of the cases that have an ICU stay: a first one within 20 h of it, some a second a day later."""
    write_pictures(folder / "cxr", cases, stays, rng)
    write_ecgs(folder / "ecg", cases, stays, rng)


def drawn(share: float, stays: Stays, rng: np.random.Generator) -> tuple[Ints, np.ndarray]:
    """(case numbers, times) of the studies of one kind."""
    count = len(stays.subject)
    has = (rng.random(count) < share) & (stays.odd != 3)
    first, second = rng.uniform(-1, 20, count), rng.uniform(26, 48, count)
    again = has & (rng.random(count) < HAS_SECOND)
    case = np.concatenate([np.flatnonzero(has), np.flatnonzero(again)])
    hours = np.concatenate([first[has], second[again]])
    return case, stays.intime[case] + after(hours)


def write_pictures(folder: Path, cases: Cases, stays: Stays, rng: np.random.Generator) -> None:
    """Pictures, some with a lateral view of the same moment, and the metadata that names them."""
    from PIL import Image

    rows: list[dict[str, object]] = []
    for number, (case, time) in enumerate(zip(*drawn(HAS_PICTURE, stays, rng), strict=True)):
        level = cases.level[case, 2] + SEEN_NOISE * rng.standard_normal()
        for view in ("AP", "LATERAL")[: 2 if rng.random() < HAS_LATERAL else 1]:
            dicom = "-".join(f"{part:08x}" for part in rng.integers(0, 2**32, 5))
            subject, study = int(stays.subject[case]), 50_000_000 + number
            path = folder / f"files/p{str(subject)[:2]}/p{subject}/s{study}/{dicom}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(chest(level, rng)).save(path, quality=90)
            date, clock = str(time.astype("datetime64[s]")).split("T")
            rows.append(
                {
                    "dicom_id": dicom, "subject_id": subject, "study_id": study, "ViewPosition": view, "Rows": HEIGHT, "Columns": WIDTH,
                    "StudyDate": date.replace("-", ""), "StudyTime": f"{int(clock.replace(':', ''))}.0", "simulated": 1,
                }
            )  # fmt: skip
    listed = gzip.compress(pl.DataFrame(rows).write_csv().encode(), mtime=0)
    (folder / "mimic-cxr-2.0.0-metadata.csv.gz").write_bytes(listed)


def chest(level: float, rng: np.random.Generator) -> np.ndarray:
    """(HEIGHT, WIDTH) bytes: two dark fields, whose lower halves are the lighter the higher the level."""
    y, x = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j]
    image = np.full((HEIGHT, WIDTH), 0.75)
    for centre in (0.3, 0.7):
        field = ((x - centre) / 0.17) ** 2 + ((y - 0.5) / 0.4) ** 2 < 1
        image = np.where(field, 0.2 + 0.4 * (y > 0.5) / (1 + np.exp(-level)), image)
    noisy = image + 0.05 * rng.standard_normal(image.shape)
    return np.round(255 * np.clip(noisy, 0, 1)).astype(np.uint8)


def write_ecgs(folder: Path, cases: Cases, stays: Stays, rng: np.random.Generator) -> None:
    """Twelve-lead ECGs of ten seconds, and the list that names them."""
    rows: list[dict[str, object]] = []
    for number, (case, time) in enumerate(zip(*drawn(HAS_ECG, stays, rng), strict=True)):
        level = cases.level[case, 0] + SEEN_NOISE * rng.standard_normal()
        subject, study = int(stays.subject[case]), 40_000_000 + number
        path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        at = str(time.astype("datetime64[s]")).replace("T", " ")
        write_wfdb(folder / path, ecg(80 + 10 * level, rng), at)
        rows.append(
            {"subject_id": subject, "study_id": study, "file_name": study, "ecg_time": at, "path": path, "simulated": 1}
        )
    pl.DataFrame(rows).write_csv(folder / "record_list.csv")


def ecg(per_minute: float, rng: np.random.Generator) -> Array:
    """(lead, time) in mV: a narrow beat and a broad wave behind it, at a heart rate."""
    seconds = np.arange(RATE * SECONDS) / RATE
    phase = (seconds * max(per_minute, 30) / 60 + rng.random()) % 1
    beat = np.exp(-(((phase - 0.3) / 0.02) ** 2)) + 0.25 * np.exp(-(((phase - 0.6) / 0.06) ** 2))
    size = rng.uniform(0.4, 1.4, (len(LEADS), 1))
    return size * beat + 0.03 * rng.standard_normal((len(LEADS), len(seconds)))


def write_wfdb(path: Path, millivolts: Array, at: str) -> None:
    """`NAME.hea` and `NAME.dat` (format 16); at: 'YYYY-MM-DD HH:MM:SS'."""
    raw = np.round(millivolts.T * GAIN).astype("<i2")
    path.with_suffix(".dat").write_bytes(raw.tobytes())
    date, clock = at.split()
    day = "/".join(reversed(date.split("-")))
    lines = [f"{path.name} {raw.shape[1]} {RATE} {raw.shape[0]} {clock} {day}"]
    for lead, column in zip(LEADS, raw.T, strict=False):  # a shorter record has the first leads
        checksum = (int(column.astype(np.int64).sum()) + 32_768) % 65_536 - 32_768
        lines.append(f"{path.name}.dat 16 {GAIN}.0(0)/mV 16 0 {column[0]} {checksum} 0 {lead}")
    path.with_suffix(".hea").write_text("\n".join([*lines, "# synthetic"]) + "\n", encoding="utf-8")
