"""AUROC of an ideal observer: exact log-odds of the generative model on a large draw of its own.

Every observer reads the evidence without the noise of images, rounding and words, so that no reader of the files can do better.
A modality alone is judged on the patients who have it; `inter` and `i2m2` read everything, so their ceilings are equal.
"""

from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import rankdata

from i2m2_med.simulate.table.model import MODALITIES, Array, Cases, Dials, draw_cases, log_odds

LABEL = "dx"


def ideal(prevalence: float, missing: float, dials: Dials, seed: int, draws: int = 20_000) -> dict[str, Any]:
    """`auroc` by label and paradigm for all four modalities, `variants` for every choice of two or more of them."""
    cases = draw_cases(draws, prevalence, missing, dials, np.random.default_rng([seed, 1]))
    chosen = [some for size in range(2, len(MODALITIES) + 1) for some in combinations(MODALITIES, size)]
    variants = {":" + "+".join(some): {LABEL: of_paradigms(cases, dials, some)} for some in chosen}
    return {"auroc": variants[":" + "+".join(MODALITIES)], "variants": variants, "draws": draws}


def of_paradigms(cases: Cases, dials: Dials, modalities: tuple[str, ...]) -> dict[str, float]:
    """AUROC by paradigm."""
    everyone = np.full(len(cases), True)
    alone = {
        f"unimodal_{name}": auroc(log_odds(cases, dials, (name,)), cases, cases.acquired[name]) for name in modalities
    }
    intra = auroc(log_odds(cases, dials, modalities, between=False), cases, everyone)
    whole = auroc(log_odds(cases, dials, modalities), cases, everyone)
    return {**alone, "intra": intra, "inter": whole, "i2m2": whole}


def auroc(score: Array, cases: Cases, judged: np.ndarray) -> float:
    """Mann-Whitney: the share of pairs of an ill and a healthy patient that are ranked right; ties count half."""
    positive = cases.diagnosis[judged] > 0
    ranks = rankdata(score[judged])[positive]
    return round(float((ranks.mean() - (len(ranks) + 1) / 2) / (~positive).sum()), 4)
