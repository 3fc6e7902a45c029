"""Monte Carlo: what intervals and tests promise, on worlds in which the truth is known. Nominal ± the Monte Carlo error."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom, norm

from i2m2_med.report.dependence.information import amount
from i2m2_med.report.statistics.calibration import calibration_line, in_the_large
from i2m2_med.report.statistics.calibration_floor import calibration_floor
from i2m2_med.report.statistics.intervals import (
    auroc_interval,
    clopper_pearson,
    difference_interval,
    draw_weights,
    metric_interval,
    smallest_p,
)
from i2m2_med.report.statistics.metrics import expected_calibration_error
from i2m2_med.report.statistics.operating import choose_threshold
from i2m2_med.report.statistics.paired import delong, holm
from i2m2_med.report.statistics.planning import Assumptions, expected_widths
from i2m2_med.report.statistics.ranking import rank_replicates
from i2m2_med.report.statistics.refits import Estimate, contrast, of_draws, quantile
from i2m2_med.report.statistics.shares import share_by_patient
from i2m2_med.report.statistics.subgroups import subgroup_table
from i2m2_med.report.statistics.support import Support, support
from i2m2_med.report.statistics.table import read_predictions

pytestmark = pytest.mark.slow
SKILL, SKILL_SD = 1.5, 0.137
"""How far classes lie apart, and how much that differs between seeds: an AUROC of 0.856 with a standard deviation of 0.022."""
SKILLS = np.random.default_rng(0).normal(SKILL, SKILL_SD, 200_000)
TRUTH = float(norm.cdf(SKILLS / np.sqrt(2)).mean())
ALIKE = 0.6
"""Share of a patient's noise that every model meets."""


def within(share: float, nominal: float, worlds: int, slack: float = 0.0) -> bool:
    """Whether a share of simulated worlds is the nominal one, as far as three Monte Carlo errors tell."""
    error = 3 * np.sqrt(nominal * (1 - nominal) / worlds)
    return bool(nominal - error - slack <= share <= nominal + error + slack)


def aurocs(
    rng: np.random.Generator, skills: np.ndarray, patients: int, weights: np.ndarray
) -> tuple[np.ndarray, Support]:
    """(model, draw): AUROCs of models of some skill on the same patients; 40 % have the finding."""
    ill = rng.permutation(patients) < 0.4 * patients
    common = rng.normal(size=patients)
    drawn: list[np.ndarray] = []
    for skill in skills:
        score = skill * ill + np.sqrt(ALIKE) * common + np.sqrt(1 - ALIKE) * rng.normal(size=patients)
        drawn.append(rank_replicates(score, ill, np.arange(patients), weights).auroc)
    return np.stack(drawn), support("auroc", ill.astype(np.int64), np.arange(patients))


def holds(share: float, worlds: int, most: float) -> bool:
    """Whether an interval of 95 % holds at least that, as far as three Monte Carlo errors tell, and no more than `most`."""
    return bool(0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds) <= share <= most)


@pytest.mark.parametrize(("seeds", "patients", "worlds"), [(2, 120, 400), (3, 120, 500), (3, 600, 250)])
def test_paradigms_of_equal_skill_differ_as_rarely_as_promised(seeds, patients, worlds):
    """49 % were called different at 0.05 before training's randomness was counted; means over three seeds covered 79 %."""
    rng = np.random.default_rng(seeds)
    weights = draw_weights(patients, 150)
    true, held = [], []
    for _ in range(worlds):
        draws, own = aurocs(rng, rng.normal(SKILL, SKILL_SD, 2 * seeds), patients, weights)
        ours, theirs = of_draws(draws).parted(seeds)
        true.append(contrast([(1.0, ours), (-1.0, theirs)], own.freedom).p_zero() >= 0.05)
        found = metric_interval("auroc", draws[:seeds], own)
        held.append(found.low <= TRUTH <= found.high)
    assert holds(float(np.mean(true)), worlds, most=0.995)
    assert holds(float(np.mean(held)), worlds, most=0.998)


def test_one_seed_is_right_about_the_models_it_has():
    """With one seed the interval holds the difference of these two models, which need not be that of their paradigms."""
    rng, worlds, patients = np.random.default_rng(2), 500, 120
    weights = draw_weights(patients, 150)
    held, of_paradigms = [], []
    for _ in range(worlds):
        skills = rng.normal(SKILL, SKILL_SD, 2)
        draws, own = aurocs(rng, skills, patients, weights)
        ours, theirs = of_draws(draws).parted(1)
        found = difference_interval("auroc", contrast([(1.0, ours), (-1.0, theirs)], own.freedom), own)
        gap = float(np.subtract(*norm.cdf(skills / np.sqrt(2))))
        held.append(found.low <= gap <= found.high)
        of_paradigms.append(found.low <= 0 <= found.high)
    assert within(float(np.mean(held)), 0.95, worlds, slack=0.01)
    assert np.mean(of_paradigms) < np.mean(held)


@pytest.mark.parametrize(("seeds", "training"), [(2, 0.03), (3, 0.0), (3, 0.03)])
def test_an_amount_of_information_is_where_it_says(seeds, training):
    rng, worlds, patients = np.random.default_rng(3), 1500, 80
    weights = draw_weights(patients, 100)
    held = []
    for _ in range(worlds):
        common = rng.normal(0.2, 0.2, patients)
        each = [common + rng.normal(0, 0.2, patients) + rng.normal(0, training) for _ in range(seeds)]
        found = amount(each, np.arange(patients), weights)
        held.append(found.low <= 0.2 <= found.high)
    assert holds(float(np.mean(held)), worlds, most=0.99)


@pytest.mark.parametrize("truth", [0.6, 0.8, 0.9, 0.95, 0.98])
@pytest.mark.parametrize("patients", [5, 8, 20, 50])
def test_shares_of_few_patients_hold_at_least_what_they_promise(patients, truth):
    """Counted, not simulated: every outcome with its chance. The bootstrap's interval held 0.9 of five patients in 39 % or 41 %."""
    ends = [
        share_by_patient((np.arange(patients) < hits).astype(float), np.arange(patients))[0]
        for hits in range(patients + 1)
    ]
    chance = binom.pmf(np.arange(patients + 1), patients, truth)
    held = sum(p for p, one in zip(chance, ends, strict=True) if one.low <= truth <= one.high)
    assert held >= 0.95 - 1e-9
    assert all(one.high - one.low < 1 for one in ends[1:-1])


@pytest.mark.parametrize(("patients", "truth"), [(8, 0.8), (12, 0.9), (40, 0.9)])
def test_shares_of_clustered_samples_hold(patients, truth):
    """Four samples of each patient, mostly alike."""
    rng, worlds = np.random.default_rng(4), 1500
    patient = np.repeat(np.arange(patients), 4)
    cut = norm.ppf(truth)
    held = []
    for _ in range(worlds):
        lean = np.sqrt(0.7) * rng.normal(size=patients)[patient] + np.sqrt(0.3) * rng.normal(size=len(patient))
        found = share_by_patient((lean < cut).astype(float), patient)[0]
        held.append(found.low <= truth <= found.high)
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds) - 0.02 <= np.mean(held)
    assert np.mean(held) < 0.999


@pytest.mark.parametrize(("positives", "others"), [(5, 50), (8, 8), (20, 100), (60, 240)])
@pytest.mark.parametrize("truth", [0.75, 0.9, 0.97, 0.995])
def test_an_auroc_near_one_is_held(positives, others, truth):
    rng, worlds = np.random.default_rng(5), 1000
    ill = np.arange(positives + others) < positives
    own = support("auroc", ill.astype(np.int64), np.arange(len(ill)))
    apart = norm.ppf(truth) * np.sqrt(2)
    held = []
    for _ in range(worlds):
        influence = delong(apart * ill + rng.normal(size=len(ill)), ill)
        found = auroc_interval(Estimate(influence.value, influence.deviation, own.freedom, False), own)
        held.append(found.low <= truth <= found.high)
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / worlds) <= np.mean(held) <= 0.997


@pytest.mark.parametrize("patients", [8, 20])
def test_p_of_few_patients_is_no_smaller_than_they_can_support(patients):
    """Two models without a difference: NLL by patient with a heavy tail; and with one that nobody could miss."""
    rng, worlds = np.random.default_rng(6), 2000
    weights = draw_weights(patients, 200)
    floor = smallest_p(float(patients))
    lean = rng.standard_t(4, size=(worlds, patients))
    draws = lean @ weights / weights.sum(axis=0)
    p = np.array([contrast([(1.0, of_draws(each[None]))], patients - 1.0).p_zero(floor) for each in draws])
    assert np.mean(p < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)
    sure = (1 + 1e-3 * lean[0]) @ weights / weights.sum(axis=0)
    assert contrast([(1.0, of_draws(sure[None]))], patients - 1.0).p_zero(floor) == 2.0 ** (1 - patients)


def test_holm_over_the_named_comparison_keeps_the_familys_error():
    """Three rivals of the same skill as the reference, whose scores the differences share."""
    rng, worlds, patients = np.random.default_rng(7), 2000, 30
    weights = draw_weights(patients, 200)
    wrong = []
    for _ in range(worlds):
        ours, rivals = rng.normal(size=patients), rng.normal(size=(3, patients))
        draws = (ours - rivals) @ weights / weights.sum(axis=0)
        p = [contrast([(1.0, of_draws(each[None]))], patients - 1.0).p_zero() for each in draws]
        wrong.append(holm(np.array(p)).min() < 0.05)
    share = float(np.mean(wrong))
    assert 0.03 <= share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / worlds)


@pytest.mark.parametrize(("patients", "per"), [(300, 1), (60, 5)])
def test_a_calibrated_model_is_inside_chance(patients, per):
    """ECE's bootstrap interval held the truth (0) in 0.2 to 9.5 % of worlds; its range by chance holds the ECE of a calibrated model."""
    rng, worlds = np.random.default_rng(8), 400
    patient = np.repeat(np.arange(patients), per)
    inside, above = [], []
    for _ in range(worlds):
        p = expit(rng.normal(-1, 1.5, patients)[patient] + 0.3 * rng.normal(size=len(patient)))
        luck = norm.cdf(
            np.sqrt(0.5) * rng.normal(size=patients)[patient] + np.sqrt(0.5) * rng.normal(size=len(patient))
        )
        hit = (luck if per > 1 else rng.random(len(p))) < p
        both, one = np.stack([1 - p, p], axis=1), np.ones((patients, 1))
        ece = float(expected_calibration_error(both, hit.astype(np.int64), patient, one)[0])
        low, high = calibration_floor(both)[1], calibration_floor(both, patient)[2]
        inside.append(low <= ece <= high)
        above.append(ece > high)
    if per == 1:
        assert within(float(np.mean(inside)), 0.95, worlds)
    assert np.mean(above) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / worlds)


@pytest.mark.parametrize("positives", [9, 10, 20, 35, 50])
def test_an_operating_point_reaches_what_it_was_chosen_for(positives):
    """Mean sensitivity among new patients; choosing the ⌈0.9 n⌉-th reached 0.82 to 0.88 with 5 to 50 positives."""
    rng, worlds = np.random.default_rng(9), 4000
    scores = rng.normal(size=(worlds, positives))
    patient = np.arange(positives + 1)
    ill = patient < positives
    cuts = [choose_threshold(np.append(each, -9.0), ill, patient, "sensitivity", 0.9) for each in scores]
    reached = norm.sf(np.array(cuts))
    assert reached.mean() >= 0.9 - 3 * reached.std() / np.sqrt(worlds)
    assert reached.mean() == pytest.approx(np.ceil(0.9 * (positives + 1)) / (positives + 1), abs=0.01)


def test_an_operating_point_by_patient_reaches_it_for_patients_of_many_samples():
    rng, worlds, patients, per = np.random.default_rng(10), 1500, 12, 5
    patient = np.append(np.repeat(np.arange(patients), per), patients)
    ill = patient < patients
    reached = []
    for _ in range(worlds):
        own = np.sqrt(0.8) * rng.normal(size=patients)[patient[:-1]] + np.sqrt(0.2) * rng.normal(size=patients * per)
        reached.append(norm.sf(choose_threshold(np.append(own, -9.0), ill, patient, "sensitivity", 0.9)))
    assert np.mean(reached) >= 0.9 - 3 * np.std(reached) / np.sqrt(worlds)


@pytest.mark.parametrize(("patients", "per"), [(20, 4), (60, 3), (200, 1)])
def test_calibration_of_few_patients_is_held(patients, per):
    """Slope, calibration-in-the-large and observed/expected of a model that is right, with patients that are alike."""
    rng, worlds = np.random.default_rng(11), 700
    patient = np.repeat(np.arange(patients), per)
    held = {"slope": [], "offset": [], "ratio": []}
    for _ in range(worlds):
        score = rng.normal(-0.3, 1.2, patients)[patient] + 0.4 * rng.normal(size=len(patient))
        luck = norm.cdf(
            np.sqrt(0.4) * rng.normal(size=patients)[patient] + np.sqrt(0.6) * rng.normal(size=len(patient))
        )
        hit = luck < expit(score)
        line, large = calibration_line(score, hit, patient), in_the_large(score, hit, patient)
        reach = quantile(support("auroc", hit.astype(np.int64), patient).freedom)
        if np.isfinite(line.slope):
            held["slope"].append(abs(line.slope - 1) <= reach * line.slope_error)
        if np.isfinite(large.offset):
            held["offset"].append(abs(large.offset) <= reach * large.offset_error)
            held["ratio"].append(abs(np.log(large.observed / large.expected)) <= reach * large.ratio_error)
    for name, each in held.items():
        assert 0.92 <= np.mean(each) <= 0.985, name


def test_groups_without_a_difference_differ_as_rarely_as_promised():
    rng, worlds, patients = np.random.default_rng(12), 300, 80
    held: dict[str, list[bool]] = {}
    names = np.array([f"P{number}" for number in range(patients)])
    for _ in range(worlds):
        ill = rng.random(patients) < 0.4
        p = expit(1.5 * ill - 0.7 + rng.normal(size=patients))
        first = {"patient": names, "study": names, "item": 0, "split": "test", "label": "a", "target": ill.astype(int)}
        first |= {"pattern": "x", "status": "ok", "group_sex": np.where(np.arange(patients) % 2 == 0, "F", "M")}
        table = pd.concat([pd.DataFrame(first | {"class": cls, "p": p if cls else 1 - p}) for cls in (0, 1)])
        found = subgroup_table(read_predictions(table), draws=150)
        gaps = found[found["metric"].str.endswith("minus the rest") & (found["value_of_group"] == "F")]
        for metric, low, high in gaps[["metric", "low", "high"]].itertuples(index=False):
            held.setdefault(metric, []).append(low <= 0 <= high)
    assert set(held) == {f"{name}, minus the rest" for name in ("auroc", "sensitivity", "specificity")}
    for each in held.values():
        assert within(float(np.mean(each)), 0.95, worlds, slack=0.015)


@pytest.mark.parametrize(("patients", "prevalence"), [(100, 0.2), (400, 0.1)])
def test_planned_widths_are_those_that_come_out(patients, prevalence):
    rng, worlds = np.random.default_rng(13), 300
    plan = Assumptions(prevalence=prevalence, auroc=0.85, sensitivity=0.9)
    expected = expected_widths(plan, patients)
    ill = np.arange(patients) < prevalence * patients
    own = support("auroc", ill.astype(np.int64), np.arange(patients))
    apart = norm.ppf(0.85) * np.sqrt(2)
    widths = []
    for _ in range(worlds):
        influence = delong(apart * ill + rng.normal(size=patients), ill)
        found = auroc_interval(Estimate(influence.value, influence.deviation, own.freedom, False), own)
        widths.append(found.high - found.low)
    assert np.mean(widths) == pytest.approx(expected["auroc"], rel=0.12)
    hits = rng.binomial(int(ill.sum()), 0.9, worlds)
    shares = [np.subtract(*clopper_pearson(float(each), float(ill.sum()))[::-1]) for each in hits]
    assert np.mean(shares) == pytest.approx(expected["sensitivity"], rel=0.1)
