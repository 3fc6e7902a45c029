"""NOTEEVENTS of the simulated cases: template sentences, written for this project; they stem from no patient.

Four nursing notes of the first day each mention the three findings, in favour or against, as the case's `mentions` say.
Everything else is neutral, or a trap: later notes and discharge summaries tell the outcome, notes in error say the opposite,
addenda repeat, and electrocardiogram and discharge notes have a date but no time.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from i2m2_med.simulate.mimic3.cases import MENTIONS, Cases
from i2m2_med.simulate.mimic3.stays import Stays

ADDENDUM_SHARE, ERROR_SHARE, RADIOLOGY_SHARE, ECG_SHARE = 0.05, 0.1, 0.4, 0.3
FIRST_HOURS = (2.0, 7.5, 13.0, 18.5)
"""Of the nursing notes, each written within the two hours that follow."""
IN_FAVOUR = (
    ("Skin mottled, extremities cool to touch.", "Pressors titrated up, family meeting about poor prognosis.", "Lactate climbing, minimal response."),
    ("CT shows a suspicious mass, biopsy pending.", "Oncology following for lesion noted on imaging.", "Staging work-up with adenopathy."),
    ("Thick tan secretions, coarse breath sounds.", "Work of breathing increased, rhonchi at bases.", "CXR with new infiltrate, sputum sent."),
)  # fmt: skip
AGAINST = (
    ("Skin warm and dry, good capillary refill.", "Pressors weaned off, family encouraged by progress.", "Lactate cleared, follows commands."),
    ("CT without any focal finding, no biopsy planned.", "Imaging unremarkable, primary team following.", "No adenopathy palpated."),
    ("Scant clear secretions, lungs clear.", "Breathing comfortable, good air entry.", "CXR clear, no sputum to send."),
)  # fmt: skip
FILLERS = (
    "Pt resting in bed, call light in reach.", 'States "I slept a little".', "Lines patent, dressings dry and intact.", "Foley draining yellow urine.",
    "Turned and repositioned every two hours.", "Labs sent as ordered.", "Plan discussed with [**Name 10**] on rounds.", "Wife [**Name 11**] visited, updated.",
)  # fmt: skip
OUTCOME = (
    "Condition stable, cleared for the floor.",
    "Made CMO after family discussion; expired with family at bedside.",
)
NOTHING = np.datetime64("NaT", "ms")


@dataclass(frozen=True, kw_only=True)
class Note:
    """One row of NOTEEVENTS; `chart` NaT where the release gives a date only."""

    case: int
    date: np.datetime64
    chart: np.datetime64
    store: np.datetime64
    category: str
    description: str
    text: str
    error: str | None = None


def note_events(cases: Cases, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """All notes, by subject and date. Cases without a usable ICU stay have none."""
    has = np.flatnonzero(cases.noted & (stays.odd == 0))
    notes = [note for case in has for note in notes_of(int(case), cases, stays, rng)]
    places = np.array([note.case for note in notes], dtype=np.int64)
    charted = {"CHARTDATE": "date", "CHARTTIME": "chart", "STORETIME": "store"}
    times = {
        name: np.array([getattr(note, field) for note in notes], dtype="datetime64[ms]")
        for name, field in charted.items()
    }
    columns = {
        "SUBJECT_ID": stays.subject[places],
        "HADM_ID": stays.hadm[places],
        **times,
        "CATEGORY": [note.category for note in notes],
        "DESCRIPTION": [note.description for note in notes],
        "CGID": rng.integers(14_000, 21_500, len(notes)),
        "ISERROR": pl.Series([note.error for note in notes], dtype=pl.String),
        "TEXT": pl.Series([note.text for note in notes], dtype=pl.String),
    }
    return pl.DataFrame(columns).sort("SUBJECT_ID", "CHARTDATE", maintain_order=True)


def notes_of(case: int, cases: Cases, stays: Stays, rng: np.random.Generator) -> list[Note]:
    """The nursing notes of the first day, and what surrounds them."""
    shares = [np.arange(MENTIONS) < count for count in cases.mentions[case]]
    favours = np.column_stack([rng.permutation(share) for share in shares])
    nursing = [
        timed(
            case,
            stays,
            hour=hour + rng.uniform(0, 2),
            kind=NURSING[int(stays.metavision[case])],
            text=nursing_text(favour, rng),
            rng=rng,
        )
        for hour, favour in zip(FIRST_HOURS, favours, strict=True)
    ]
    others = [later_note(case, stays, rng), discharge_summary(case, cases, stays, rng)]
    if rng.random() < ADDENDUM_SHARE:
        others.append(replace(nursing[0], store=nursing[0].store + np.timedelta64(30, "m")))
    if rng.random() < ERROR_SHARE:
        others.append(
            timed(
                case,
                stays,
                hour=rng.uniform(3, 20),
                kind=NURSING[0],
                text=nursing_text(~favours[0], rng),
                rng=rng,
                error="1",
            )
        )
    if rng.random() < RADIOLOGY_SHARE:
        note = timed(
            case, stays, hour=rng.uniform(1, 20), kind=("Radiology", "CHEST (PORTABLE AP)"), text=RADIOLOGY, rng=rng
        )
        others.append(replace(note, store=NOTHING))
    if rng.random() < ECG_SHARE:
        others.append(
            dated(case, stays.intime[case], "ECG", "Sinus rhythm.\nNormal ECG; no previous tracing for comparison.")
        )
    return [*nursing, *others]


NURSING = (("Nursing/other", "Report"), ("Nursing ", "Nursing Progress Note"))
"""Category and description in CareVue and MetaVision; the release's MetaVision categories end in a blank."""
RADIOLOGY = (
    "[**Hospital 1**] MEDICAL CONDITION:\n  Line placement.\n FINAL REPORT\n  Lines and tubes in standard position.\n"
)


def nursing_text(favour: np.ndarray, rng: np.random.Generator) -> str:
    """(finding,) in favour or against → a note of several lines."""
    sentences = [rng.choice((IN_FAVOUR if yes else AGAINST)[finding]) for finding, yes in enumerate(favour)]
    lines = rng.permutation([*sentences, *rng.choice(FILLERS, 4, replace=False)])
    return "NURSING NOTE (SIMULATED)\n" + "\n".join(lines) + "\n"


def timed(
    case: int,
    stays: Stays,
    *,
    hour: float,
    kind: tuple[str, str],
    text: str,
    rng: np.random.Generator,
    error: str | None = None,
) -> Note:
    """A note charted `hour` hours after ICU admission and stored within the hour."""
    chart = stays.intime[case] + np.timedelta64(round(hour * 60), "m")
    store = chart + np.timedelta64(int(rng.integers(5, 60)), "m")
    category, description = kind
    return Note(
        case=case,
        date=chart.astype("datetime64[D]"),
        chart=chart,
        store=store,
        category=category,
        description=description,
        text=text,
        error=error,
    )


def dated(case: int, day: np.datetime64, category: str, text: str) -> Note:
    """A note that has a date and no time."""
    return Note(
        case=case,
        date=day.astype("datetime64[D]"),
        chart=NOTHING,
        store=NOTHING,
        category=category,
        description="Report",
        text=text,
    )


def later_note(case: int, stays: Stays, rng: np.random.Generator) -> Note:
    """A note from after the first day that tells how it ends."""
    text = f"Physician progress note (simulated)\n{OUTCOME[int(died_in_hospital(stays)[case])]}\n"
    return timed(
        case,
        stays,
        hour=rng.uniform(25, 30),
        kind=("Physician ", "Physician Resident Progress Note"),
        text=text,
        rng=rng,
    )


def discharge_summary(case: int, cases: Cases, stays: Stays, rng: np.random.Generator) -> Note:
    """Dated on the day of discharge; names the diagnoses and the outcome."""
    codes = cases.codes[case]
    diagnoses = ["Malignancy." if codes[0] else "No malignancy.", "Pneumonia." if codes[1] else "No pneumonia."]
    text = "\n".join(
        ["Discharge summary (simulated)", *rng.permutation(diagnoses), OUTCOME[int(died_in_hospital(stays)[case])], ""]
    )
    return dated(case, stays.discharge[case], "Discharge summary", text)


def died_in_hospital(stays: Stays) -> np.ndarray:
    """(case,) bool."""
    return ~np.isnat(stays.death)
