"""The ideal observer against closed forms, and the dials against simple models on the written tables."""

import numpy as np
import pytest
from scipy.stats import norm

from i2m2_med.simulate.mimic3.cases import LEVEL_STRENGTH, CaseDials, draw_cases
from i2m2_med.simulate.mimic3.ideal import ideal_auroc

LABELS = ("mortality", "died", "icd9_1", "icd9_7")


def test_no_evidence_is_chance() -> None:
    table = ideal_auroc(0.5, CaseDials(0.0, 0.0, 0.0, 0.0), 0, draws=2000)["auroc"]
    assert all(value == 0.5 for label in LABELS for value in table[label].values())


def test_evidence_between_is_found_only_by_who_reads_both() -> None:
    table = ideal_auroc(0.5, CaseDials(0.0, 0.0, 0.0, 1.0), 0, draws=4000)["auroc"]
    for label in LABELS:
        assert all(
            value == 0.5 for name, value in table[label].items() if name.startswith("unimodal") or name == "intra"
        )
    # two sides agree with probability 0.97, and the directions are hardly ever misread: AUROC = 0.97
    assert table["icd9_1"]["i2m2"] == pytest.approx(0.97, abs=0.01)
    alone = ideal_auroc(0.5, CaseDials(0.0, 0.0, 0.0, 1.0), 0, draws=4000)["variants"]["clean:series+static"]
    assert alone["died"]["inter"] == pytest.approx(0.97, abs=0.01)


def test_evidence_within_leaves_nothing_between() -> None:
    table = ideal_auroc(0.4, CaseDials(1.0, 1.0, 1.0, 0.0), 0)["auroc"]
    assert table["died"]["intra"] == pytest.approx(table["died"]["i2m2"], abs=1e-3)
    # one Gaussian level, means ±d: AUROC = Φ(2d/√2)
    assert table["icd9_1"]["unimodal_series"] == pytest.approx(norm.cdf(2 * LEVEL_STRENGTH / 2**0.5), abs=0.01)
    for label in LABELS:
        best = max(value for name, value in table[label].items() if name.startswith("unimodal"))
        assert best < table[label]["intra"] <= table[label]["i2m2"] + 2e-3


def test_dials_turn_the_ceiling_up() -> None:
    for name in ("series", "static", "notes", "between"):
        turned = [
            ideal_auroc(
                0.5, CaseDials(**{**dict.fromkeys(("series", "static", "notes", "between"), 0.0), name: v}), 0, 4000
            )
            for v in (0.3, 0.8)
        ]
        low, high = (each["auroc"]["died"]["i2m2"] for each in turned)
        assert 0.5 < low < high


def test_shares_are_as_asked() -> None:
    cases = draw_cases(1000, 0.3, CaseDials(1.0, 1.0, 1.0, 1.0), np.random.default_rng(0))
    assert (cases.band > 0).sum() == 300
    assert cases.codes.sum(axis=0).tolist() == [300, 300]
    assert abs(np.corrcoef(cases.surgical, cases.truths[:, 0])[0, 1]) < 0.1  # the coin knows nothing by itself
