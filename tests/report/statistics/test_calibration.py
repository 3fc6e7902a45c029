import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from i2m2_med.report.statistics.calibration import calibration_line, calibration_table, decision_curve
from i2m2_med.report.statistics.intervals import draw_weights
from i2m2_med.report.statistics.paired_predictions import read_cohort


def test_line_and_errors_are_statsmodels_clustered():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(50), 4)
    score = rng.normal(size=200) + rng.normal(size=50)[patient]
    positive = rng.random(200) < expit(0.3 + 0.6 * score)
    found = calibration_line(score, positive, patient)
    oracle = sm.Logit(positive.astype(float), sm.add_constant(score)).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False}
    )
    assert found[:2] == pytest.approx(oracle.params)
    assert found[2:] == pytest.approx(oracle.bse, rel=1e-3)


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


def test_separated_and_certain_scores_end():
    assert np.isfinite(
        calibration_line(np.array([-np.inf, -1, 1, np.inf]), np.array([0, 0, 1, 1]) == 1, np.arange(4)).slope
    )


def test_tables_have_a_row_for_all(make_table):
    cohort = read_cohort({("intra", 0): make_table(1.0, patients=30), ("i2m2", 0): make_table(2.0, 1, patients=30)}).of(
        "test"
    )
    table = calibration_table(cohort)
    assert len(table) == 2 * 3 * 2
    curve = decision_curve(cohort, draw_weights(20, 30))
    low = curve[curve["threshold"] == 0.02].groupby("paradigm")["value"].mean()
    assert low["i2m2"] == pytest.approx(low["treat all"], abs=0.02)
    best = curve[curve["threshold"] == 0.5].groupby("paradigm")["value"].mean()
    assert best["i2m2"] > best["intra"] > best["treat all"]


def test_net_benefit_by_hand(make_table):
    cohort = read_cohort({("i2m2", 0): make_table(patients=9, labels=1)}).of("test")
    said = cohort.first
    curve = decision_curve(cohort, draw_weights(6, 10)).query("paradigm == 'i2m2' and threshold == 0.2")
    called, sick = said.p[:, 0, 1] >= 0.2, said.target[:, 0] == 1
    expected = ((called & sick).sum() - 0.25 * (called & ~sick).sum()) / len(sick)
    assert curve["value"].item() == pytest.approx(expected)
