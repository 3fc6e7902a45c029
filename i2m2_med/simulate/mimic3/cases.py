"""The generative model behind the simulated MIMIC-III tables: labels first, then the evidence that each modality carries.

Three findings, independent of each other: death (seven bands of time to death), a neoplasm code (ICD-9 140-239) and a
respiratory code (460-519). Given a finding's sign s (death: graded by nearness, survivors -1; codes: -1 or +1),

- series: a level per finding, N(d·s, 1), moves laboratory values and vitals that are the finding's own;
- static: age moves with death, N(d·s, 1); among surgical patients, scheduled or not moves with the two codes;
- notes: of four mentions per finding, each is in favour with probability 1/2 + 0.23·d·s;
- between: surgical or not is a fair coin, and so is the direction of two channels per finding over the first day, but
  their agreement is the finding, wrong with a probability that falls from 1/2 (dial 0) to 3 % (dial 1).

Axis legend: case = patients, finding = death, neoplasm, respiratory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from i2m2_med.errors import ConfigError

FINDINGS = ("mortality", "icd9_1", "icd9_7")
BANDS = ("survives a year", "first day", "second day", "third day", "fourth day", "first week", "first year")
"""Time from ICU admission to death. `first day` ends inside the input window."""
SEVERITY = np.array([-1.0, 1.9, 1.7, 1.4, 1.0, 0.6, 0.2])
BAND_SHARES = np.array([0.10, 0.21, 0.19, 0.12, 0.18, 0.20])
"""Of the deaths, by band 1 to 6."""
MENTIONS = 4
NOTED_SHARE = 0.85
"""Share of cases that have notes."""
LEVEL_STRENGTH, AGE_STRENGTH, SCHEDULED_STRENGTH, MENTION_STRENGTH = 1.0, 0.8, 1.6, 0.23
TREND_NOISE = 0.3

Array = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class CaseDials:
    """Strength of the evidence within each modality, and of that in the relation of static and series only; each 0 to 1."""

    series: float
    static: float
    notes: float
    between: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ConfigError(f"--{name} is {value}; a dial goes from 0 (no evidence) to 1 (strong evidence)")

    @property
    def disagreement(self) -> float:
        """Probability that the relation of a case says the opposite of its finding."""
        return 0.5 - 0.47 * self.between


@dataclass(frozen=True, kw_only=True)
class Cases:
    """One draw of the generative model."""

    band: Ints
    """(case,) index into BANDS."""
    codes: Ints
    """(case, 2): 1 where a neoplasm (respiratory) code is among the discharge diagnoses."""
    level: Array
    """(case, finding), in units of the spread between patients."""
    trend: Array
    """(case, finding): +1 rises over the first day, -1 falls, with spread TREND_NOISE."""
    age: Array
    """(case,), standardised."""
    surgical: Ints
    """(case,) 1 = the first service is surgical."""
    scheduled: Ints
    """(case,) 1 = elective admission."""
    mentions: Ints
    """(case, finding): how many of MENTIONS are in favour."""
    noted: NDArray[np.bool_]
    """(case,) False where the case has no notes."""

    def __len__(self) -> int:
        return len(self.band)

    @property
    def truths(self) -> Ints:
        """(case, finding): 1 = dies within a year, 1 = has the code."""
        return np.column_stack([self.band > 0, self.codes]).astype(np.int64)


def draw_cases(count: int, prevalence: float, dials: CaseDials, rng: np.random.Generator) -> Cases:
    """Draw labels in fixed shares (so that small cohorts hold every class), then the evidence."""
    bands = draw_shares(count, [1 - prevalence, *(prevalence * BAND_SHARES)], rng)
    codes = np.column_stack([draw_shares(count, [1 - prevalence, prevalence], rng) for _ in range(2)])
    signs = signs_of(bands, codes)
    surgical = draw_shares(count, [0.5, 0.5], rng)
    return Cases(
        band=bands,
        codes=codes,
        level=LEVEL_STRENGTH * dials.series * signs + rng.standard_normal((count, 3)),
        trend=draw_trends(bands, codes, surgical, dials, rng),
        age=AGE_STRENGTH * dials.static * signs[:, 0] + rng.standard_normal(count),
        surgical=surgical,
        scheduled=(rng.random(count) < scheduled_share(signs[:, 1], signs[:, 2], surgical, dials.static)).astype(
            np.int64
        ),
        mentions=rng.binomial(MENTIONS, mention_share(signs, dials.notes)),
        noted=rng.random(count) < NOTED_SHARE,
    )


def draw_shares(count: int, shares: list[float], rng: np.random.Generator) -> Ints:
    """(case,) class numbers in the given shares as exactly as whole numbers allow, in random order."""
    edges = np.cumsum(shares) / np.sum(shares) * count
    return rng.permutation(np.searchsorted(edges, np.arange(count) + 0.5)).astype(np.int64)


def signs_of(bands: Ints, codes: Ints) -> Array:
    """(case, finding): how strongly each finding speaks in its evidence, from -1 up."""
    return np.column_stack([SEVERITY[bands], 2.0 * codes - 1])


def draw_trends(bands: Ints, codes: Ints, surgical: Ints, dials: CaseDials, rng: np.random.Generator) -> Array:
    """(case, finding): up where surgical and finding agree, save for the dial's share of disagreement."""
    truth = np.column_stack([bands > 0, codes])
    agrees = truth == surgical[:, None]
    swapped = rng.random(agrees.shape) < dials.disagreement
    return np.where(agrees ^ swapped, 1.0, -1.0) + TREND_NOISE * rng.standard_normal(agrees.shape)


def scheduled_share(neoplasm: Array, respiratory: Array, surgical: Ints, static: float) -> Array:
    """Probability of an elective admission: moved by the two codes among surgical patients, 1/2 among medical ones."""
    pull = SCHEDULED_STRENGTH * static * (neoplasm - respiratory) / 2
    return 1 / (1 + np.exp(-pull * surgical))


def mention_share(signs: Array, notes: float) -> Array:
    """Probability that one mention is in favour of its finding."""
    return 0.5 + MENTION_STRENGTH * notes * signs
