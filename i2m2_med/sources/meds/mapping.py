"""`source.codes`: a table of the user's, code → concept and unit, by which a hospital's own MEDS data set is read.

    code,concept,unit
    VITALS//PERIODIC//HEARTRATE,heart_rate,bpm
    LAB//mg/dL//*//BUN,bun,mg/dL
    UNIT_ADMISSION//*,icu_admission,
    HOSPITAL_DISCHARGE//*,hospital_discharge,

A `*` stands for anything, once in a code. Concepts of measurements are those of a study's `series.csv` (`mimic3/units.py`) and need
a unit that the concept can be given in, by any of its spellings; concepts of events (`EVENTS`) have none, and what `*` stood for says
the sex, the unit (of an ICU admission), the place (one that says died or expired marks a death in hospital), or the ICD code.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from i2m2_med.errors import SourceError
from i2m2_med.sources.meds import codes
from i2m2_med.sources.mimic3.units import BENCHMARK, SAPS, SYNONYMS, Concept, unit_of

COLUMNS = ("code", "concept", "unit")
MOST_ROWS, MOST_STARS, MOST_BYTES = 100_000, 1_000, 10_000_000
EVENTS = {
    "birth": codes.BIRTH,
    "death": codes.DEATH,
    "gender": codes.GENDER,
    "race": codes.RACE,
    "insurance": codes.INSURANCE,
    "hospital_admission": codes.ADMISSION,
    "hospital_discharge": codes.DISCHARGE,
    "icu_admission": codes.ICU_IN,
    "icu_discharge": codes.ICU_OUT,
    "service": codes.SERVICE,
    "diagnosis_icd9": codes.DIAGNOSIS,
    "diagnosis_icd10": codes.DIAGNOSIS10,
    "note": codes.NOTE,
}
"""By concept of an event, the code that it is read as; what ends in `//` is followed by what `*` stood for."""
MEASURED = {
    "heart_rate": (codes.CHARTED, 220045), "sbp": (codes.CHARTED, 220179), "dbp": (codes.CHARTED, 220180),
    "map": (codes.CHARTED, 220181), "temperature": (codes.CHARTED, 223762), "respiratory_rate": (codes.CHARTED, 220210),
    "spo2": (codes.CHARTED, 220277), "gcs_eye": (codes.CHARTED, 220739), "gcs_verbal": (codes.CHARTED, 223900),
    "gcs_motor": (codes.CHARTED, 223901), "gcs_total": (codes.CHARTED, 1_000_198), "height": (codes.CHARTED, 226730),
    "weight": (codes.CHARTED, 224639), "fio2": (codes.CHARTED, 223835), "urine": (codes.OUTPUT, 226559),
    "pao2": (codes.RESULT, 50821), "ph": (codes.RESULT, 50820), "glucose": (codes.RESULT, 50931), "bun": (codes.RESULT, 51006),
    "wbc": (codes.RESULT, 51301), "bicarbonate": (codes.RESULT, 50882), "sodium": (codes.RESULT, 50983),
    "potassium": (codes.RESULT, 50971), "bilirubin": (codes.RESULT, 50885),
}  # fmt: skip
"""By concept of a measurement, the kind of code and the item of the map that it is read as. `pao2` is of arterial blood."""


@dataclass(frozen=True)
class Row:
    """One row of the mapping."""

    line: int
    code: str
    concept: str
    unit: str
    """By its name in `mimic3/units.py`; empty where the concept needs none."""

    def rest(self, code: str) -> str | None:
        """The text that `*` stands for in a code (empty without a `*`); None where the code is not one of this row's."""
        start, star, end = self.code.partition("*")
        if not star:
            return "" if code == self.code else None
        fits = len(code) >= len(start) + len(end) and code.startswith(start) and code.endswith(end)
        return code[len(start) : len(code) - len(end)] if fits else None


def concept_of(name: str) -> Concept:
    """Limits and units of a measured concept; the paper's where it has it."""
    return (BENCHMARK | SAPS)[name]


def read_mapping(path: Path) -> list[Row]:
    """The rows in their order. Raises SourceError that lists all rows with an unknown concept or unit, and what is known."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"{path.name} has more than {MOST_BYTES:,} bytes; a table of codes is smaller")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"source.codes: {path} can't be read ({type(error).__name__}); give a csv in UTF-8"
        ) from error
    reader = csv.DictReader(text.splitlines())
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise SourceError(f"{path.name} lacks the column {', '.join(missing)}; its columns are {', '.join(COLUMNS)}")
    rows, wrong = [], []
    for row in reader:
        entry = {name: (row[name] or "").strip() for name in COLUMNS}
        if not any(entry.values()):
            continue
        made, why = checked(reader.line_num, **entry)
        rows.append(made)
        wrong += [f"line {reader.line_num}: {why}"] if why else []
    wrong += repeated(rows)
    if sum("*" in row.code for row in rows) > MOST_STARS:
        raise SourceError(f"{path.name} has more than {MOST_STARS:,} codes with a *; name codes in full")
    if len(rows) > MOST_ROWS or not rows:
        raise SourceError(f"{path.name} has {len(rows):,} rows; it should have 1 to {MOST_ROWS:,}")
    if wrong:
        listed = "; ".join(wrong[:20]) + (f"; and {len(wrong) - 20} more" if len(wrong) > 20 else "")
        known = f"Concepts are {', '.join([*EVENTS, *MEASURED])}."
        raise SourceError(f"{path.name} can't be used: {listed}. {known}")
    return rows


def checked(line: int, code: str, concept: str, unit: str) -> tuple[Row, str | None]:
    """A row as it is read, and what is wrong with it."""
    name = SYNONYMS.get(concept.lower(), concept.lower())
    row = Row(line, code, name, unit_of(unit) or "" if unit else "")
    if not code or code.count("*") > 1:
        return row, "the code is empty" if not code else "the code has more than one *"
    if name in EVENTS:
        return row, f"{name} is an event and has no unit" if unit else None
    if name not in MEASURED:
        return row, f"'{concept[:40]}' is no concept"
    units = concept_of(name).units
    if row.unit not in units or (unit and not row.unit):
        return row, f"{name} can't be in '{unit[:20]}' but in {', '.join(each for each in units if each)}"
    return row, None


def repeated(rows: list[Row]) -> Iterator[str]:
    """Lines whose code another line has too."""
    first: dict[str, int] = {}
    for row in rows:
        if row.code in first:
            yield f"line {row.line}: its code stands on line {first[row.code]} too"
        first.setdefault(row.code, row.line)
