"""Nothing that names a patient, an admission, a date or a note reaches the store, a log or a report: looked for, word by word."""

import csv
import gzip
import io
import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
I2M2 = Path(sys.executable).with_name("i2m2")

NUMBER = re.compile(r"(?<![\w.+-])\d{5,9}(?![\w%])")
DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass
class Secrets:
    """What the inputs say of patients."""

    numbers: set[str]
    """Patient, admission and stay ids."""
    dates: set[str]
    sentences: set[str]
    names: set[str]
    """Of volumes and fastMRI patients."""

    def found_in(self, text: str) -> set[str]:
        """Those that `text` holds."""
        hits = self.numbers & set(NUMBER.findall(text)) | self.dates & set(DATE.findall(text))
        return hits | {each for each in (*self.sentences, *self.names) if each in text}


def secrets_of_tables(folder: Path) -> Secrets:
    """Every id, date and note sentence of MIMIC tables."""
    found = Secrets(set(), set(), set(), set())
    for path in sorted(folder.glob("*.csv.gz")):
        if path.name.startswith(("CHARTEVENTS", "LABEVENTS", "D_")):
            continue  # the same ids again, and 10⁵ rows of them
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    take(found, column.upper(), value or "")
    found.dates.discard(
        datetime.now(UTC).date().isoformat()
    )  # simulated dates may be any day, and stores say when they were written
    return found


def take(found: Secrets, column: str, value: str) -> None:
    if column in {"SUBJECT_ID", "HADM_ID", "ICUSTAY_ID"} and value:
        found.numbers.add(value.removesuffix(".0"))
    elif DATE.match(value):
        found.dates.add(value[:10])
    elif column == "TEXT":
        found.sentences |= {part.strip() for part in re.split(r"[.\n]", value) if len(part.strip()) >= 20}


def secrets_of_knees(folder: Path) -> Secrets:
    """Volume names and patient ids of fastMRI files."""
    volumes = sorted(folder.rglob("*.h5"))
    patients: set[str] = set()
    for path in volumes:
        with h5py.File(path) as volume:
            patients.add(str(volume.attrs["patient_id"]))
    return Secrets(set(), set(), set(), {path.stem for path in volumes} | patients)


def texts(place: Path) -> Iterator[tuple[Path, str]]:
    """Every file that is stored outside the prepared data, as text: databases and tables unpacked, the rest as it is."""
    private = {place / "prepared", place / "cache"}
    for path in sorted(place.rglob("*")):
        if path.is_dir() or path == place / "key" or private & set(path.parents):
            continue
        yield path, str(path.relative_to(place))
        if path.suffix == ".db":
            with sqlite3.connect(path) as store:
                yield path, "\n".join(store.iterdump())
        elif path.suffix == ".parquet":
            sheet = io.StringIO()
            pd.read_parquet(path).to_csv(sheet)
            yield path, sheet.getvalue()
        else:
            yield path, path.read_bytes().decode("utf-8", errors="replace")


def trained(folder: Path, *words: object) -> str:
    """`i2m2 WORDS` with its own workspace in `folder`; returns all it said."""
    environment = os.environ | {"I2M2_WORK": str(folder / "work"), "OMP_NUM_THREADS": "1"}
    command = [str(I2M2), *map(str, words)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def leaks(place: Path, said: str, secrets: Secrets) -> dict[str, set[str]]:
    """Where which secret was found."""
    found = {"what was printed": secrets.found_in(said)}
    for path, text in texts(place):
        found.setdefault(str(path.relative_to(place)), set()).update(secrets.found_in(text))
    return {name: hits for name, hits in found.items() if hits}


def key_is_kept(place: Path, said: str) -> None:
    key = place / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    word = key.read_text(encoding="utf-8").strip()
    assert len(word) == 64
    assert word not in said
    assert not [path for path, text in texts(place) if word in text]


SETTINGS = ("-s", "training.epochs=1", "-s", "evaluation.bootstrap=20", "-s", "split.valid=0.3", "-s", "split.test=0.3")


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """The search itself is tried: a leaked id in a database, a date in a table, a sentence in a log are each found."""
    secrets = Secrets({"142345"}, {"2164-10-23"}, {"Patient was found at home"}, {"file1000001"})
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("CREATE TABLE tags (value)")
        store.execute("INSERT INTO tags VALUES ('stay 142345')")
    pd.DataFrame({"when": ["2164-10-23 21:09:00"]}).to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "log.txt").write_text("note: Patient was found at home and 0.142345 and x142345", encoding="utf-8")
    (tmp_path / "report.html").write_text("<td>file1000001.h5</td>", encoding="utf-8")
    assert leaks(tmp_path, "nothing", secrets) == {
        "mlflow.db": {"142345"},
        "predictions.parquet": {"2164-10-23"},
        "log.txt": {"Patient was found at home"},
        "report.html": {"file1000001"},
    }


def test_simulated_knees(tmp_path: Path) -> None:
    trained(tmp_path, *["simulate", "knee", "knee_data", "--volumes", "16", "--slices", "2", "--matrix", "64x64"])
    said = trained(tmp_path, "train", "knee_demo", *SETTINGS, "-s", "paradigm=unimodal_magnitude")
    secrets = secrets_of_knees(tmp_path / "knee_data")
    assert len(secrets.names) > 20
    assert leaks(tmp_path / "work", said, secrets) == {}
    key_is_kept(tmp_path / "work", said)


def test_simulated_stays_with_notes(tmp_path: Path) -> None:
    trained(tmp_path, *["simulate", "mimic3", "mimic3_data", "--patients", "150"])
    said = trained(tmp_path, "train", "mimic3_demo", *SETTINGS)
    secrets = secrets_of_tables(tmp_path / "mimic3_data")
    assert min(len(secrets.numbers), len(secrets.dates), 10 * len(secrets.sentences)) > 200
    assert leaks(tmp_path / "work", said, secrets) == {}
    key_is_kept(tmp_path / "work", said)


def test_the_real_demo(tmp_path: Path, shared_data: Path) -> None:
    root = shared_data / "mimic3demo"
    said = trained(tmp_path, "train", "mimic3_mortality", *SETTINGS, "-s", f"source.root={root}", "-s", "seeds=[0]")
    secrets = secrets_of_tables(root)
    assert len(secrets.numbers) > 300
    assert len(secrets.dates) > 300
    assert leaks(tmp_path / "work", said, secrets) == {}
    key_is_kept(tmp_path / "work", said)
