import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.engine.calibration.calibrate import (
    arrays_of,
    calibrate,
    calibrate_table,
    fit_calibration,
    outcome_by_pattern,
    uncertainty,
)
from i2m2_med.engine.calibration.prior import check_prior, mend_prior
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.sources.source import Labels


def prediction_table(
    log_probs: np.ndarray, target: np.ndarray, patient: np.ndarray, pattern: np.ndarray
) -> pd.DataFrame:
    """Rows in the order of the engine: sample, label, class."""
    samples, labels, classes = log_probs.shape
    return pd.DataFrame(
        {
            "patient": np.repeat(patient.astype(str), labels * classes),
            "label": np.tile(np.repeat([f"label{i}" for i in range(labels)], classes), samples),
            "class": np.tile(np.arange(classes), samples * labels),
            "p": np.exp(log_probs).ravel(),
            "target": np.repeat(target.ravel(), classes),
            "pattern": np.repeat(pattern, labels * classes),
        }
    )


@pytest.fixture
def overconfident():
    """make(seed, classes): targets drawn from the truth; the model says it three times too surely, and with a bias where audio lacks."""

    def make(seed: int, classes: int = 2, n: int = 3000) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        truth = log_softmax(rng.normal(size=(n, 2, classes)), axis=-1)
        target = (rng.random((n, 2, 1)) > np.exp(truth).cumsum(axis=-1)).sum(axis=-1).clip(0, classes - 1)
        pattern = np.where(rng.random(n) < 0.5, "audio+image", "image")
        shift = np.zeros((n, 1, classes))
        if classes == 2:
            shift[pattern == "image", :, 1] = 2.0
        said = log_softmax(np.where(pattern == "image", 1.5, 3.0)[:, None, None] * truth + shift, axis=-1)
        return prediction_table(said, target, np.arange(n), pattern)

    return make


def nll(table: pd.DataFrame) -> float:
    return float(-np.log(table.loc[table["class"] == table["target"], "p"]).mean())


@pytest.mark.parametrize("classes", [2, 5])
def test_each_pattern_gets_its_own_scale(overconfident, classes):
    fitted = fit_calibration(overconfident(0, classes))
    for name, scale in (("audio+image", 3.0), ("image", 1.5)):
        for label in fitted["patterns"][name]["labels"]:
            here = label["scale"] * np.exp(label["bend"] * 0.7)  # where most of these samples are as unsure as that
            assert here == pytest.approx(1 / scale, rel=0.15)


@pytest.mark.parametrize("classes", [2, 5])
def test_new_samples_are_calibrated(overconfident, classes):
    mended = calibrate_table(overconfident(1, classes), fit_calibration(overconfident(0, classes)))
    assert mended["calibrated"].all()
    assert nll(mended) < nll(mended.assign(p=mended["uncalibrated"])) - 0.1
    sums = mended.groupby(["patient", "label"])["p"].sum()
    np.testing.assert_allclose(sums, 1)


def of_ten_classes(
    rng: np.random.Generator, n: int, bend: float = 0.0, bias: float = 0.0
) -> tuple[pd.DataFrame, np.ndarray]:
    """What a model says that is right but for a scale that follows its uncertainty and a bias of the classes; and the truth."""
    said = log_softmax(rng.normal(scale=2.5, size=(n, 1, 10)), axis=-1)
    truth = log_softmax(np.exp(bend * uncertainty(said[:, 0]))[:, None] * said + bias * np.linspace(-1, 1, 10), axis=-1)
    target = (rng.random((n, 1, 1)) > np.exp(truth).cumsum(axis=-1)).sum(axis=-1).clip(0, 9)
    return prediction_table(said, target, np.arange(n), np.full(n, "image")), np.exp(truth)


@pytest.mark.parametrize(("bend", "bias"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 0.8), (0.7, 0.5)])
def test_a_bent_scale_and_biased_classes_are_mended(bend, bias):
    table, truth = of_ten_classes(np.random.default_rng(0), 6000, bend, bias)
    mended = calibrate_table(table, fit_calibration(table))["p"].to_numpy().reshape(truth.shape)
    before = table["p"].to_numpy().reshape(truth.shape)
    assert np.abs(mended - truth).mean() < 0.2 * np.abs(before - truth).mean()


def test_two_classes_keep_their_order_and_have_no_bend(overconfident):
    for label in fit_calibration(overconfident(0))["patterns"]["image"]["labels"]:
        assert label["bend"] == 0
        assert label["shift"][0] == 0


def test_few_samples_do_not_spoil_what_is_calibrated():
    """Fifty samples of ten classes could fit twelve numbers to chance: the loss stays within a twentieth."""
    rng = np.random.default_rng(0)
    judged, _ = of_ten_classes(rng, 6000)
    losses = [
        nll(calibrate_table(judged, fit_calibration(of_ten_classes(np.random.default_rng(seed), 50)[0])))
        for seed in range(1, 21)
    ]
    assert np.mean(losses) < 1.05 * nll(judged)


def test_a_lacking_modality_ends_calibrated(overconfident):
    mended = calibrate_table(overconfident(1), fit_calibration(overconfident(0)))
    alone = mended[(mended["pattern"] == "image") & (mended["class"] == 1)]
    bins = (alone["p"] * 10).astype(int).clip(0, 9)
    gaps = (alone["p"] - (alone["target"] == 1)).groupby(bins).mean().abs()
    share = bins.value_counts(normalize=True)
    assert (gaps * share).sum() <= 0.03


def test_scaling_keeps_the_ranking_within_a_pattern(overconfident):
    mended = calibrate_table(overconfident(1), fit_calibration(overconfident(0)))
    for _, rows in mended[mended["class"] == 1].groupby(["pattern", "label"]):
        assert (rows.sort_values("uncalibrated")["p"].diff().dropna() >= 0).all()


def test_an_unknown_pattern_takes_the_nearest_and_says_so(overconfident):
    fitted = fit_calibration(overconfident(0))
    log_probs, _, _, _ = arrays_of(overconfident(1))
    made = calibrate(log_probs[:4], ["image", "image+text", "audio+image", "text"], fitted)
    assert made.calibrated.tolist() == [True, False, True, False]
    nearest = calibrate(log_probs[1:2], ["image"], fitted)
    np.testing.assert_allclose(made.p[1], nearest.p[0])


def test_a_pattern_of_few_patients_is_not_fitted(overconfident):
    few = overconfident(0).query(
        "pattern == 'audio+image' or patient in @ids", local_dict={"ids": [str(i) for i in range(14)]}
    )
    fitted = fit_calibration(few)
    assert fitted["patterns"]["image"]["labels"] == [None, None]
    assert not calibrate_table(few, fitted).query("pattern == 'image'")["calibrated"].any()


def test_it_survives_json_and_certainty(overconfident):
    fitted = json.loads(json.dumps(fit_calibration(overconfident(0)), allow_nan=False))
    certain = overconfident(1)
    certain["p"] = np.where(certain["class"] == 1, 1.0, 0.0)
    assert calibrate_table(certain, fitted)["p"].between(0, 1).all()


def test_separable_validation_gives_finite_numbers():
    p = np.stack([np.linspace(0.99, 0.01, 60), np.linspace(0.01, 0.99, 60)], axis=-1)[:, None]
    table = prediction_table(np.log(p), (p[..., 1] > 0.5).astype(int), np.arange(60), np.full(60, "image"))
    assert np.isfinite(fit_calibration(table)["patterns"]["image"]["labels"][0]["scale"])


def test_decisions_reach_the_sensitivity_on_what_they_were_chosen_on(overconfident):
    table = overconfident(0)
    mended = calibrate_table(table, fit_calibration(table, sensitivity=0.9))
    sick = mended[(mended["target"] == 1) & (mended["class"] == 1)]
    for _, rows in sick.groupby("label"):
        assert 0.9 <= (rows["decision"] == "1").mean() < 0.93


def test_no_validation_sample_is_said():
    with pytest.raises(SourceError, match="no validation sample"):
        fit_calibration(pd.DataFrame())


def test_prior_correction_finds_the_new_shares():
    rng = np.random.default_rng(0)
    was, will_be = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    target = (rng.random(40_000) < 0.5).astype(int)
    evidence = rng.normal(size=40_000) + 1.5 * target  # log-odds of unit Gaussians 1.5 apart: 1.5 x − 1.125
    posterior = log_softmax(
        np.stack([np.zeros(40_000), 1.5 * evidence - 1.125 + np.log(1 / 9)], axis=-1)[:, None], axis=-1
    )
    mended = np.exp(mend_prior(posterior, was, will_be))
    assert np.exp(posterior)[:, 0, 1].mean() < 0.3
    assert mended[:, 0, 1].mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(mend_prior(posterior, was, was), posterior)


def test_a_refused_sample_stays_refused(overconfident):
    table = overconfident(1)
    gone = table["patient"] == "7"
    table.loc[gone, "p"] = np.nan
    mended = calibrate_table(table, fit_calibration(table))
    assert mended.loc[gone, ["p", "set", "decision"]].isna().all(axis=None)
    assert not mended.loc[gone, "calibrated"].any()
    assert mended.loc[~gone, "p"].notna().all()


def test_a_prior_that_is_asked_for_moves_probabilities_alone(overconfident):
    """The shares of `label0` become one in ten; a population of that kind is calibrated, decisions and sets stay."""
    valid, table = overconfident(0), overconfident(1)
    plain = calibrate_table(table, fit_calibration(valid))
    fitted = json.loads(json.dumps(fit_calibration(valid, prior={"label0": (0.9, 0.1)}), allow_nan=False))
    mended = calibrate_table(table, fitted)
    pd.testing.assert_frame_equal(plain[["set", "set_split", "decision"]], mended[["set", "set_split", "decision"]])
    other = "label == 'label1'"
    np.testing.assert_allclose(plain.query(other)["p"], mended.query(other)["p"])
    sick = mended.query("label == 'label0' and `class` == 1")
    rare = sick.query("target == 1").head(150)
    population = pd.concat([rare, sick.query("target == 0").head(9 * len(rare))])
    assert population["p"].mean() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(mended.groupby(["patient", "label"])["p"].sum(), 1)


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ({"acll": (0.5, 0.5)}, "no label 'acll'; did you mean 'acl'"),
        ({"acl": (0.5, 0.3, 0.2)}, r"3 shares for 2 classes \(no, yes\)"),
        ({"acl": (0.5, 0.4)}, "adds up to 0.9"),
    ],
)
def test_a_prior_that_does_not_fit_is_one_line(prior, said):
    with pytest.raises(ConfigError, match=said):
        check_prior(prior, Labels(("acl",), ("no", "yes")))


def test_a_prior_needs_calibration():
    with pytest.raises(ValueError, match=r"needs evaluation\.calibrate"):
        Evaluation(prior={"acl": (0.9, 0.1)}, calibrate=False)


def of_few(rng: np.random.Generator, patients: int, surer: float, bias: float = 0.0) -> pd.DataFrame:
    """Two classes, one sample of each patient; the model's log-odds are `surer` times the true ones, and off by `bias`."""
    truth = rng.normal(-0.5, 1.5, patients)
    odds = surer * truth + bias
    log_probs = np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)[:, None]
    target = (rng.random(patients) < 1 / (1 + np.exp(-truth))).astype(int)[:, None]
    return prediction_table(log_probs, target, np.arange(patients), np.full(patients, "image"))


@pytest.mark.slow
@pytest.mark.parametrize("patients", [12, 20, 30])
def test_few_patients_do_not_spoil_a_calibrated_model(patients):
    """Kept whatever came out, it cost 0.10, 0.08 and 0.04 nats; and a model that is far too sure is mended all the same."""
    rng = np.random.default_rng(patients)
    right, sure = of_few(rng, 3000, 1.0), of_few(rng, 3000, 3.0, 1.0)
    cost, gain = [], []
    for _ in range(40):
        made = [fit_calibration(of_few(rng, patients, surer, bias)) for surer, bias in ((1.0, 0.0), (3.0, 1.0))]
        cost.append(nll(calibrate_table(right, made[0])) - nll(right))
        gain.append(nll(sure) - nll(calibrate_table(sure, made[1])))
    assert np.mean(cost) < 0.03
    assert np.mean(gain) > 0.06


def test_what_does_not_help_others_is_not_kept():
    rng = np.random.default_rng(0)
    fitted = [fit_calibration(of_few(rng, 14, 1.0))["patterns"]["image"]["labels"][0] for _ in range(12)]
    left = [one for one in fitted if one and not one["kept"]]
    assert left
    assert all((one["scale"], one["bend"], one["shift"]) == (1.0, 0.0, [0.0, 0.0]) for one in left)


def test_the_operating_point_needs_patients_to_promise_it():
    """Nine positive patients can promise 0.9, eight can't: None, and the likelier class is decided on."""
    rng = np.random.default_rng(1)
    for positives, there in ((8, False), (9, True)):
        table = of_few(rng, 60, 1.0)
        table["target"] = np.repeat(np.arange(60) < positives, 2).astype(int)
        fitted = fit_calibration(table)
        assert (fitted["thresholds"][0] is not None) == there
        made = calibrate_table(table, fitted)
        p = made["p"].to_numpy()[1::2]
        cut = fitted["thresholds"][0] if there else 0.5
        assert (made["decision"].to_numpy()[::2].astype(int) == (p >= cut)).all()


def test_what_calibration_did_is_said_for_every_pattern():
    numbers = {"scale": 1.0, "bend": 0.0, "shift": [0.0, 0.0]}
    patterns = {"a+b": {"samples": 30, "labels": [numbers, numbers]}, "a": {"samples": 9, "labels": [numbers, None]}}
    assert outcome_by_pattern({"patterns": patterns}, ["a+b", "a", "b"]) == {
        "a+b": "own numbers",
        "a": "of 2 labels 1 own numbers, 1 numbers of the nearest pattern",
        "b": "of 2 labels 2 numbers of the nearest pattern",
    }
    assert outcome_by_pattern({}, ["a"]) == {"a": "none"}
