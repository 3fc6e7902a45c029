"""AUROC and information of an ideal observer: exact log-odds of the generative model on a large draw of its own.

Every observer reads the evidence without the noise of images, rounding and words, so that no reader of the files can do better.
A modality alone is judged on the patients who have it; `inter` and `i2m2` read everything, so their ceilings are equal.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, logit
from scipy.stats import rankdata

from i2m2_med.simulate.table.model import MODALITIES, Array, Cases, Dials, draw_cases, log_odds

LABEL = "diagnosis"
"""The label that `i2m2 init` and `table_demo` name after its column."""
Opinion = tuple[Array, NDArray[np.bool_]]
"""Log-odds of the illness without the prior, and whether each case is ill; of the cases that an observer is judged on."""


def ideal(prevalence: float, missing: float, dials: Dials, seed: int, draws: int = 20_000) -> dict[str, Any]:
    """`auroc` by label and paradigm for all four modalities, `variants` for every choice of two or more of them; `nats` likewise."""
    cases = draw_cases(draws, prevalence, missing, dials, np.random.default_rng([seed, 1]))
    chosen = [some for size in range(2, len(MODALITIES) + 1) for some in combinations(MODALITIES, size)]
    opinions = {":" + "+".join(some): of_paradigms(cases, dials, some) for some in chosen}
    tables = {
        kind: {some: {LABEL: {name: rule(*one) for name, one in own.items()}} for some, own in opinions.items()}
        for kind, rule in (("variants", auroc), ("nats_variants", information))
    }
    whole = ":" + "+".join(MODALITIES)
    return {"auroc": tables["variants"][whole], "nats": tables["nats_variants"][whole], **tables, "draws": draws}


def of_paradigms(cases: Cases, dials: Dials, modalities: tuple[str, ...]) -> dict[str, Opinion]:
    """What the ideal observer of each paradigm says."""
    ill = cases.diagnosis > 0
    alone = {
        f"unimodal_{name}": (log_odds(cases, dials, (name,))[cases.acquired[name]], ill[cases.acquired[name]])
        for name in modalities
    }
    whole = log_odds(cases, dials, modalities), ill
    return {**alone, "intra": (log_odds(cases, dials, modalities, between=False), ill), "inter": whole, "i2m2": whole}


def auroc(score: Array, ill: NDArray[np.bool_]) -> float:
    """Mann-Whitney: the share of pairs of an ill and a healthy patient that are ranked right; ties count half."""
    ranks = rankdata(score)[ill]
    return round(float((ranks.mean() - (len(ranks) + 1) / 2) / (~ill).sum()), 4)


def information(score: Array, ill: NDArray[np.bool_]) -> float:
    """Nats that the log-odds tell of the diagnosis: its entropy minus the mean of −log p(diagnosis)."""
    share = float(ill.mean())
    loss = np.logaddexp(0, np.where(ill, -1, 1) * (score + logit(share))).mean()
    return round(float(entr(share) + entr(1 - share) - loss), 4)
