import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from i2m2_med.report.statistics.calibration import (
    NOT_ESTIMABLE,
    calibration_line,
    calibration_table,
    decision_curve,
    in_the_large,
)
from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.paired_predictions import pair_predictions


def clustered(patients: int = 50, per: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(patients), per)
    score = rng.normal(size=len(patient)) + rng.normal(size=patients)[patient]
    return score, rng.random(len(patient)) < expit(0.3 + 0.6 * score), patient


def test_line_is_statsmodels_and_its_errors_those_of_gee_with_mancl_and_derouen():
    score, positive, patient = clustered()
    found = calibration_line(score, positive, patient)
    design = sm.add_constant(score)
    assert found[:2] == pytest.approx(sm.Logit(positive.astype(float), design).fit(disp=0).params)
    gee = sm.GEE(positive.astype(float), design, groups=patient, family=sm.families.Binomial())
    oracle = gee.fit(cov_type="bias_reduced")
    assert found[2:] == pytest.approx(oracle.bse, rel=1e-3)


def test_weights_are_statsmodels_weights():
    score, positive, patient = clustered()
    weight = np.where(positive, 0.3, 1.4)
    found = calibration_line(score, positive, patient, weight)
    oracle = sm.GLM(
        positive.astype(float), sm.add_constant(score), family=sm.families.Binomial(), freq_weights=weight
    ).fit()
    assert found[:2] == pytest.approx(oracle.params)


def test_in_the_large_by_hand():
    score, positive, patient = clustered()
    found = in_the_large(score, positive, patient)
    oracle = sm.GLM(positive.astype(float), np.ones(len(score)), family=sm.families.Binomial(), offset=score).fit()
    assert found.offset == pytest.approx(oracle.params[0])
    assert found.expected == pytest.approx(expit(score).sum())
    assert found.observed == positive.sum()
    shifted = in_the_large(score - 5, positive, patient)
    assert shifted.offset == pytest.approx(found.offset + 5)
    assert shifted.observed / shifted.expected > 10 * found.observed / found.expected


def test_probabilities_that_are_true_have_slope_one():
    rng = np.random.default_rng(1)
    score = rng.normal(size=20_000) * 2
    positive = rng.random(20_000) < expit(score)
    found = calibration_line(score, positive, np.arange(20_000))
    assert found.slope == pytest.approx(1, abs=4 * found.slope_error)
    assert calibration_line(3 * score, positive, np.arange(20_000)).slope == pytest.approx(found.slope / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("score", "positive"), [(np.zeros(9), np.arange(9) < 4), (np.arange(9.0), np.zeros(9, dtype=bool))]
)
def test_what_can_not_be_fitted_is_undefined(score, positive):
    assert np.isnan(calibration_line(score, positive, np.arange(9))).all()


def test_certain_scores_end():
    score = np.array([-np.inf, -1, 1, np.inf, np.inf])
    assert np.isfinite(calibration_line(score, np.array([0, 0, 1, 1, 0]) == 1, np.arange(5)).slope)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("tie", [0.0, 1.0])
def test_a_separated_slope_is_not_estimable(make_table, sign, tie):
    score, positive = np.array([-2.0, -1.0, 1.0, 3.0]), np.array([0, 0, 1, 1]) == 1
    score[1] += 2 * tie  # touches the lowest positive
    assert np.isnan(calibration_line(sign * score, positive, np.arange(4))).all()
    table = make_table(patients=30, labels=1)
    table["p"] = np.where(table["class"] == table["target"], 0.9, 0.1)
    made = calibration_table(pair_predictions({("i2m2", 0): table}).of("test")).set_index("metric")
    assert np.isnan(made.loc["slope", ["value", "low", "high"]].astype(float)).all()
    assert made.loc["slope", "remark"] == NOT_ESTIMABLE
    assert np.isfinite(made.loc["observed / expected", ["value", "low", "high"]].astype(float)).all()


def test_tables_have_a_row_for_all(make_table):
    cohort = pair_predictions(
        {("intra", 0): make_table(1.0, patients=30), ("i2m2", 0): make_table(2.0, 1, patients=30)}
    ).of("test")
    table = calibration_table(cohort)
    assert len(table) == 2 * 3 * 4
    curve = decision_curve(cohort, draw_weights(20, 30))
    low = curve[curve["threshold"] == 0.02].groupby("paradigm")["value"].mean()
    assert low["i2m2"] == pytest.approx(low["treat all"], abs=0.02)
    best = curve[curve["threshold"] == 0.5].groupby("paradigm")["value"].mean()
    assert best["i2m2"] > best["intra"] > best["treat all"]


def test_net_benefit_by_hand(make_table):
    cohort = pair_predictions({("i2m2", 0): make_table(patients=9, labels=1)}).of("test")
    said = cohort.first
    curve = decision_curve(cohort, draw_weights(6, 10)).query("paradigm == 'i2m2' and threshold == 0.2")
    called, sick = said.p[:, 0, 1] >= 0.2, said.target[:, 0] == 1
    expected = ((called & sick).sum() - 0.25 * (called & ~sick).sum()) / len(sick)
    assert curve["value"].item() == pytest.approx(expected)
