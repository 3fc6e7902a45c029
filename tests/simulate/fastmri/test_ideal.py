"""The ideal observer's AUROC against Monte Carlo, and the noise it assumes against noisy images."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from i2m2_med.simulate.brain.anatomy import BRAIN
from i2m2_med.simulate.fastmri.acquisition import CONTRAST, SHIFT, draw_examination, draw_slice, noise, sensitivities
from i2m2_med.simulate.fastmri.anatomy import Anatomy, Geometry, patch, plane
from i2m2_med.simulate.fastmri.dials import Dials, draw_classes, draw_latents
from i2m2_med.simulate.fastmri.ideal import (
    PatchNoise,
    drawn_auroc,
    ideal_auroc,
    ideal_nats,
    log_likelihood_ratio,
    patch_noise,
)
from i2m2_med.simulate.knee.anatomy import KNEE

NO_NOISE = PatchNoise(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "dials",
    [
        Dials(1.0, 1.0, 1.0),
        Dials(0.3, 0.8, 0.4),
        Dials(0.0, 0.5, 0.2),
        Dials(0.0, 0.0, 0.7),
        Dials(0.0, 0.0, 0.0),
    ],
)
def test_closed_form_is_the_auroc_of_the_likelihood_ratio(dials: Dials):
    classes = (np.arange(40_000) % 5 < 2).astype(np.int8)[:, None]
    latents = draw_latents(classes, dials, np.random.default_rng(5))
    expected = ideal_auroc(NO_NOISE, dials)
    for paradigm, scores in log_likelihood_ratio(latents, dials).items():
        assert roc_auc_score(classes[:, 0], scores[:, 0]) == pytest.approx(expected[paradigm], abs=0.01), paradigm


def test_evidence_between_modalities_is_invisible_to_each_alone():
    dials = Dials(magnitude=0.0, phase=0.0, between=1.0)
    ideal = ideal_auroc(NO_NOISE, dials)
    assert ideal["unimodal_magnitude"] == ideal["unimodal_phase"] == ideal["intra"] == 0.5
    assert ideal["inter"] == ideal["i2m2"] == 0.98
    classes = np.repeat([[0], [1]], 20_000, axis=0).astype(np.int8)
    latents = draw_latents(classes, dials, np.random.default_rng(1))
    for alone in (latents.magnitude, latents.phase, latents.contrast, latents.shift):
        assert roc_auc_score(classes, alone) == pytest.approx(0.5, abs=0.02)


def test_dials_change_the_meaning_and_not_the_drawing():
    classes = np.zeros((7, len(KNEE.labels)), np.int8)
    silent, loud = (draw_latents(classes, Dials(d, d, 0.0), np.random.default_rng(2)) for d in (0.0, 1.0))
    np.testing.assert_array_equal(silent.magnitude, loud.magnitude)
    np.testing.assert_array_equal(silent.shift, loud.shift)


@pytest.mark.parametrize("dials", [Dials(1.0, 0.4, 0.8), Dials(0.0, 0.0, 0.7)])
def test_nats_are_the_loss_that_the_likelihood_ratio_saves(dials: Dials):
    classes = (np.arange(60_000) % 5 < 2).astype(np.int8)[:, None]
    latents, truth = draw_latents(classes, dials, np.random.default_rng(8)), np.where(classes[:, 0] == 1, 1, -1)
    expected = ideal_nats(NO_NOISE, dials, 0.4)
    entropy = -0.4 * np.log(0.4) - 0.6 * np.log(0.6)
    for paradigm, ratio in log_likelihood_ratio(latents, dials).items():
        loss = np.logaddexp(0, -truth * (ratio[:, 0] + np.log(0.4 / 0.6))).mean()
        assert entropy - loss == pytest.approx(expected[paradigm], abs=0.005), paradigm


def test_noise_lowers_every_auroc():
    dials, noisy = Dials(0.5, 0.5, 0.5), PatchNoise(0.5, 0.5, 0.5, 0.5)
    assert all(ideal_auroc(noisy, dials)[name] < value for name, value in ideal_auroc(NO_NOISE, dials).items())


@pytest.mark.parametrize(
    ("body", "label", "coils"),
    [(KNEE, "acl", 1), (KNEE, "acl", 4), (BRAIN, "mass", 3), (BRAIN, "small_vessel_disease", 1)],
)
def test_patch_noise_is_the_error_of_the_matched_filter(body: Anatomy, label: str, coils: int):
    geometry = Geometry(128, 97)
    maps = sensitivities(geometry, coils)
    stated = patch_noise(body, geometry, maps, seed=0)[label]
    errors = []
    for number in range(60):
        rng = np.random.default_rng(number)
        examination = draw_examination(body, geometry, 1.0, rng)
        clean = maps * draw_slice(examination, None, 0, 0.0, rng)
        template = clean * patch(*plane(geometry, examination.pose(0.0)), body.within[label], body.radius)
        errors.append(np.vdot(template, noise(clean.shape, rng)) / np.vdot(template, template).real)
    measured = np.array(errors)
    assert stated.magnitude == pytest.approx(measured.real.std() / CONTRAST, rel=0.3)
    assert stated.phase == pytest.approx(measured.imag.std() / SHIFT, rel=0.3)


def test_drawn_auroc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    classes, scores = rng.integers(0, 2, 51), rng.integers(0, 4, 51)
    assert drawn_auroc(scores, classes) == pytest.approx(roc_auc_score(classes, scores), abs=1e-4)
    assert drawn_auroc(scores, np.ones(51)) is None


@pytest.mark.parametrize(("volumes", "slices"), [(1, 1), (1, 7), (2, 3), (13, 5)])
def test_every_label_is_found_as_often_as_asked(volumes: int, slices: int):
    classes = draw_classes(KNEE, volumes, slices, 0.4, seed=1)
    assert (abs(classes.sum(axis=(0, 1)) - 0.4 * volumes * slices) < 1).all()
