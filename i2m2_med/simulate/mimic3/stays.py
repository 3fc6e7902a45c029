"""Subjects, admissions, ICU stays and deaths of the simulated cases.

The last few subjects are there to be left out by a cohort: newborns, stays shorter than a day, admissions without an ICU stay.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2m2_med.simulate.mimic3.cases import Array, Cases, Ints

DEATH_HOURS = np.array([[0, 0], [20.8, 23.8], [26, 47], [50, 71], [74, 94], [124, 160], [0, 0]])
"""From ICU admission, by band; deaths of the last band are days after discharge."""
ODD_KINDS = ("", "newborn", "short stay", "no ICU stay")
Times = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Stays:
    """When and where each case was. Times are (case,) datetime64[ms]; NaT where nothing happened."""

    subject: Ints
    hadm: Ints
    other_hadm: Ints
    """Of an earlier or later admission, where there is one."""
    icustay: Ints
    other_icustay: Ints
    """Of a second stay in the same admission, where there is one."""
    metavision: NDArray[np.bool_]
    """Charted in MetaVision, otherwise in CareVue."""
    odd: Ints
    """(case,) index into ODD_KINDS."""
    admit: Times
    intime: Times
    outtime: Times
    discharge: Times
    death: Times
    """Death in hospital."""
    died: Times
    """Date of death, in hospital or after."""
    birth: Times


def draw_stays(cases: Cases, rng: np.random.Generator) -> Stays:
    """Place the cases in time (years 2100 to 2200, as the release's shifted dates) and name them."""
    n = len(cases)
    odd = np.zeros(n, np.int64)
    for place in range(n // 25):
        odd[n - 1 - place] = 1 + place % 3
    admit = np.datetime64("2100-01-01T00:00:00.000") + after(rng.uniform(0, 100 * 365.25 * 24, n))
    intime = admit + after(rng.uniform(0.1, 3, n))
    in_hospital, after_discharge = draw_deaths(cases, rng)
    in_hospital[odd > 0] = after_discharge[odd > 0] = np.nan
    stay = np.where(odd == 2, rng.uniform(8, 18, n), rng.uniform(50, 120, n))
    discharge = intime + after(stay + rng.uniform(10, 90, n))
    death = intime + after(in_hospital)
    discharge = np.where(np.isnat(death), discharge, death)
    died = np.where(np.isnat(death), discharge + after(24 * after_discharge), death).astype("datetime64[D]")
    hadm = rng.choice(100_000, 2 * n, replace=False) + 100_000
    icustay = rng.choice(100_000, 2 * n, replace=False) + 200_000
    return Stays(
        subject=np.sort(rng.choice(90_000, n, replace=False)) + 10_000,
        hadm=hadm[:n],
        other_hadm=hadm[n:],
        icustay=icustay[:n],
        other_icustay=icustay[n:],
        metavision=rng.random(n) < 0.5,
        odd=odd,
        admit=admit,
        intime=intime,
        outtime=np.minimum(intime + after(stay), discharge),
        discharge=discharge,
        death=death,
        died=died.astype("datetime64[ms]"),
        birth=births(cases.age, odd, admit),
    )


def after(hours: Array) -> np.ndarray:
    """Whole minutes; NaN becomes NaT."""
    minutes = np.where(np.isnan(hours), 0, np.round(hours * 60)).astype("timedelta64[m]").astype("timedelta64[ms]")
    return np.where(np.isnan(hours), np.timedelta64("NaT"), minutes)


def draw_deaths(cases: Cases, rng: np.random.Generator) -> tuple[Array, Array]:
    """Hours from ICU admission to death in hospital, and days from discharge to death after it; NaN where neither.

    Some who survive the year die later.
    """
    n = len(cases)
    low, high = DEATH_HOURS[cases.band].T
    in_hospital = np.where((cases.band > 0) & (cases.band < 6), rng.uniform(low, high), np.nan)
    within_year = np.where(cases.band == 6, rng.uniform(45, 330, n), np.nan)
    later = (cases.band == 0) & (rng.random(n) < 0.3)
    return in_hospital, np.where(later, rng.uniform(420, 1500, n), within_year)


def births(age: Array, odd: Ints, admit: Times) -> Times:
    """Dates of birth: 63 ± 14 years, the oldest always above 89; above 89 the release shifts the birth to 300 years before."""
    years = np.clip(63 + 14 * age, 18, 99)
    years[np.argmax(np.where(odd == 0, years, 0))] = max(91.0, years[odd == 0].max())
    years = np.where(odd == 1, 0.0, np.where(years > 89, 300.0, years))
    return (admit - after(years * 365.25 * 24)).astype("datetime64[D]").astype("datetime64[ms]")
