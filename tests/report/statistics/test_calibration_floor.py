"""Laws of the calibration error that chance alone makes."""

import numpy as np
import pytest

from i2m2_med.report.statistics.calibration_floor import calibration_floor
from i2m2_med.report.statistics.metrics import point_metrics


def said(samples, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), samples)


def drawn(p, rng):
    return (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("classes", [2, 7])
def test_it_is_what_labels_drawn_from_the_probabilities_show(classes):
    p, rng = said(301, classes), np.random.default_rng(5)
    shown = [point_metrics(p, drawn(p, rng))["ece"] for _ in range(200)]
    floor = calibration_floor(p)
    assert floor.value == pytest.approx(np.mean(shown), rel=0.1)
    assert 0.85 <= np.mean([floor.low <= error <= floor.high for error in shown]) <= 1


def test_it_shrinks_as_one_over_the_root_of_samples():
    few, many = (calibration_floor(said(samples, 5)).value for samples in (400, 6400))
    assert many == pytest.approx(few / 4, rel=0.15)


def test_certain_answers_have_none_and_no_answers_have_no_floor():
    assert calibration_floor(np.eye(3)[[0, 2, 1]]) == (0, 0, 0)
    assert np.isnan(calibration_floor(np.empty((0, 3)))).all()


def test_repeats_of_a_patient_count_as_one_sample():
    p, patient = said(60, 4), np.arange(60)
    alone = calibration_floor(p, patient, draws=3000).value
    repeated = calibration_floor(p.repeat(8, axis=0), patient.repeat(8), draws=3000).value
    assert repeated == pytest.approx(alone, rel=0.02)
    assert calibration_floor(p.repeat(8, axis=0)).value < 0.6 * alone


def test_it_is_seeded():
    p = said(50, 3)
    assert calibration_floor(p, seed=3) == calibration_floor(p, seed=3) != calibration_floor(p, seed=4)
