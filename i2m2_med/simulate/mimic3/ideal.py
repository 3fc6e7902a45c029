"""AUROC of an ideal observer: exact posteriors of the generative model, and their AUROC on a large draw of its own.

Every observer knows the model and its dials and reads the evidence without measurement noise, so that no reader of the
tables can do better. The one exception: `i2m2_compat` makes two static features from the diagnoses that are icd9_1's label.
The notes alone are judged on the cases that have notes. `inter` and `i2m2` read everything, so their ceilings are equal.

Axis legend: case = drawn cases; band, neoplasm, respiratory = the states that are summed over (7 × 2 × 2).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from i2m2_med.simulate.mimic3.cases import (
    AGE_STRENGTH,
    BAND_SHARES,
    LEVEL_STRENGTH,
    MENTIONS,
    SEVERITY,
    TREND_NOISE,
    Array,
    CaseDials,
    Cases,
    Ints,
    draw_cases,
    mention_share,
    scheduled_share,
)

MODALITIES = ("series", "static", "notes")
CLASSES = ("beyond a year", "1 day", "2 days", "3 days", "1 week", "1 year")
CLASS_OF_BAND = {"clean": (0, -1, 1, 2, 3, 4, 5), "i2m2_compat": (0, 1, 2, 3, 4, 4, 5)}
"""Mortality class by band. `clean` counts from the end of the first day (whoever died before is out); `i2m2_compat` from
ICU admission, with one class from the fourth day to 30 days after discharge."""
SIGNS = (SEVERITY, np.array([-1.0, 1.0]), np.array([-1.0, 1.0]))
TRUTHS = ((0, 1, 1, 1, 1, 1, 1), (0, 1), (0, 1))


def ideal_auroc(prevalence: float, dials: CaseDials, seed: int, draws: int = 20_000) -> dict[str, Any]:
    """AUROC per label and paradigm; mortality is the mean over the six classes, each against the rest.

    `auroc` is the profile `clean` with all three modalities; `variants` holds the other profile and series + static alone.
    """
    cases = draw_cases(draws, prevalence, dials, np.random.default_rng([seed, 1]))
    judged = {
        f"{profile}:{'+'.join(modalities)}": opinions_by_label(cases, prevalence, dials, profile, modalities)
        for profile in CLASS_OF_BAND
        for modalities in (MODALITIES, MODALITIES[:2])
    }
    tables = {
        kind: {
            variant: {label: {name: rule(*each) for name, each in own.items()} for label, own in by_label.items()}
            for variant, by_label in judged.items()
        }
        for kind, rule in (("variants", mean_auroc), ("nats_variants", information))
    }
    return {"auroc": tables["variants"]["clean:" + "+".join(MODALITIES)], **tables, "draws": draws}


def opinions_by_label(
    cases: Cases, prevalence: float, dials: CaseDials, profile: str, modalities: tuple[str, ...]
) -> dict[str, dict[str, tuple[Array, Ints]]]:
    """By label and paradigm, (case, class) probabilities and the truth of the cases that the paradigm can answer.

    `died` is mortality as a yes or no within a year.
    """
    classes = np.array(CLASS_OF_BAND[profile])
    kept = classes[cases.band] >= 0
    prior = state_prior(prevalence, classes >= 0)
    alone = {name: posterior(log_likelihood(cases, dials, (name,)), prior)[kept] for name in modalities}
    together = posterior(log_likelihood(cases, dials, modalities), prior)[kept]
    columns = {
        "mortality": (0, classes, classes[cases.band[kept]]),
        "died": (0, (np.arange(len(classes)) > 0).astype(int), (cases.band[kept] > 0).astype(int)),
        "icd9_1": (1, np.arange(2), cases.codes[kept, 0]),
        "icd9_7": (2, np.arange(2), cases.codes[kept, 1]),
    }
    table: dict[str, dict[str, tuple[Array, Ints]]] = {}
    for label, (axis, groups, truth) in columns.items():
        opinions = {f"unimodal_{name}": marginal(p, axis, groups) for name, p in alone.items()}
        known = marginal(prior[None], axis, groups)
        opinions["intra"] = known * np.prod([p / known for p in opinions.values()], axis=0)
        opinions["inter"] = opinions["i2m2"] = marginal(together, axis, groups)
        heard = {
            name: cases.noted[kept] if name == "unimodal_notes" else np.full(len(truth), True) for name in opinions
        }
        table[label] = {
            name: ((p / p.sum(axis=1, keepdims=True))[heard[name]], truth[heard[name]]) for name, p in opinions.items()
        }
    return table


def state_prior(prevalence: float, bands: np.ndarray) -> Array:
    """(band, neoplasm, respiratory) prior probabilities, over the bands that are in the cohort."""
    band = np.array([1 - prevalence, *(prevalence * BAND_SHARES)]) * bands
    code = np.array([1 - prevalence, prevalence])
    return (band / band.sum())[:, None, None] * code[:, None] * code


def log_likelihood(cases: Cases, dials: CaseDials, modalities: tuple[str, ...]) -> Array:
    """(case, band, neoplasm, respiratory): log p(what the modalities show | state), up to a constant per case."""
    total = np.zeros((len(cases), 7, 2, 2))
    for finding in range(3):
        own = np.zeros((len(cases), len(SIGNS[finding])))
        if "series" in modalities:
            own += log_normal(cases.level[:, finding], LEVEL_STRENGTH * dials.series * SIGNS[finding])
        if "notes" in modalities:
            share = mention_share(SIGNS[finding], dials.notes)
            own += cases.noted[:, None] * log_mentions(cases.mentions[:, finding], share)
        if "static" in modalities and finding == 0:
            own += log_normal(cases.age, AGE_STRENGTH * dials.static * SEVERITY)
        if "series" in modalities and "static" in modalities:
            own += log_relation(cases.trend[:, finding], cases.surgical, np.array(TRUTHS[finding]), dials)
        total += np.expand_dims(own, [axis for axis in (1, 2, 3) if axis != finding + 1])
    if "static" in modalities:
        total += log_scheduled(cases, dials)[:, None]
    return total


def log_normal(value: Array, mean: Array) -> Array:
    """(case, state): log N(value; mean, 1) up to a constant."""
    return -((value[:, None] - mean) ** 2) / 2


def log_mentions(count: Ints, share: Array) -> Array:
    """(case, state): log-probability of that many mentions in favour, up to a constant."""
    favour = count[:, None].astype(float)
    return favour * np.log(share) + (MENTIONS - favour) * np.log(1 - share)


def log_relation(trend: Array, surgical: Ints, truth: Ints, dials: CaseDials) -> Array:
    """(case, state): log p(trend | surgical, finding), a mixture of rising and falling."""
    rises = np.where(surgical[:, None] == truth, 1 - dials.disagreement, dials.disagreement)
    up, down = (np.exp(-((trend - centre) ** 2) / 2 / TREND_NOISE**2)[:, None] for centre in (1, -1))
    return np.log(rises * up + (1 - rises) * down + 1e-300)


def log_scheduled(cases: Cases, dials: CaseDials) -> Array:
    """(case, neoplasm, respiratory): log p(elective or not | surgical, codes)."""
    neoplasm, respiratory = np.meshgrid(SIGNS[1], SIGNS[2], indexing="ij")
    share = scheduled_share(neoplasm, respiratory, cases.surgical[:, None, None], dials.static)
    return np.where(cases.scheduled[:, None, None] == 1, np.log(share), np.log(1 - share))


def posterior(log_likelihoods: Array, prior: Array) -> Array:
    """(case, band, neoplasm, respiratory) probabilities."""
    weights = np.exp(log_likelihoods - log_likelihoods.max(axis=(1, 2, 3), keepdims=True)) * prior
    return weights / weights.sum(axis=(1, 2, 3), keepdims=True)


def marginal(states: Array, axis: int, groups: np.ndarray) -> Array:
    """(case, class): sum over everything but one finding, its states gathered into classes (-1 = in no class)."""
    own = states.sum(axis=tuple(other + 1 for other in range(3) if other != axis))
    return np.column_stack([own[:, groups == group].sum(axis=1) for group in range(groups.max() + 1)])


def mean_auroc(probabilities: Array, truth: Ints) -> float:
    """AUROC of class 1 of two, or the mean over classes, each against the rest; ties count half."""
    wanted = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return round(float(np.mean([auroc(probabilities[:, k], truth == k) for k in wanted])), 4)


def information(probabilities: Array, truth: Ints) -> float:
    """Nats that the probabilities tell of the truth: its entropy minus the mean of −log p(truth)."""
    shares = np.bincount(truth, minlength=probabilities.shape[1]) / len(truth)
    entropy = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
    return round(entropy + float(np.log(probabilities[np.arange(len(truth)), truth] + 1e-300).mean()), 4)


def auroc(score: Array, positive: NDArray[np.bool_]) -> float:
    """Mann-Whitney: the share of pairs of a positive and a negative that are ranked right."""
    of_positive = rankdata(score)[positive]
    return float((of_positive.mean() - (len(of_positive) + 1) / 2) / (~positive).sum())
