import numpy as np
import pytest

from i2m2_med.report.dependence.broja import bin_by_rank, broja, decompose, mutual_information
from i2m2_med.report.statistics.intervals import draw_weights


def gate(rule) -> np.ndarray:
    """P(x1, x2, y) of two fair bits and y = rule(x1, x2)."""
    joint = np.zeros((2, 2, 4))
    for a in (0, 1):
        for b in (0, 1):
            joint[a, b, rule(a, b)] += 0.25
    return joint


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (lambda a, b: a ^ b, (0, 0, 0, 1)),  # between only
        (lambda a, _: a, (0, 1, 0, 0)),  # the first only
        (lambda a, b: 2 * a + b, (0, 1, 1, 0)),  # either tells its own half
        (lambda a, b: a & b, (0.311278, 0, 0, 0.5)),  # Bertschinger et al. 2014
    ],
)
def test_gates_whose_decomposition_is_known(rule, expected):
    assert np.array(broja(gate(rule))) == pytest.approx(np.array(expected) * np.log(2), abs=2e-3)


def test_many_at_once_are_each_by_itself():
    joints = np.random.default_rng(3).dirichlet(np.full(24, 0.6), size=5).reshape(5, 3, 4, 2)
    joints[0, :, :, 1] = 0  # one class only: nothing to know
    joints[0] /= joints[0].sum()
    together = np.array(broja(joints))
    assert pytest.approx(np.array([broja(one) for one in joints]), abs=1e-5) == together.T
    assert together[:, 0] == pytest.approx(0, abs=1e-9)


def test_a_shared_bit_is_redundant():
    joint = np.zeros((2, 2, 2))
    joint[0, 0, 0] = joint[1, 1, 1] = 0.5
    assert np.array(broja(joint)) == pytest.approx((np.log(2), 0, 0, 0), abs=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # dit's own
@pytest.mark.parametrize("seed", [1, 2])
def test_random_distributions_agree_with_dit(seed: int):
    """Its optimizer starts at random and may stop early, at too little redundancy: the best of its runs is the oracle."""
    dit = pytest.importorskip("dit")
    joint = np.random.default_rng(seed).dirichlet(np.full(18, 0.5)).reshape(3, 3, 2)
    outcomes = [f"{a}{b}{y}" for a, b, y in np.ndindex(3, 3, 2)]
    bits = []
    for start in range(4):
        np.random.seed(start)  # noqa: NPY002, dit draws from numpy's global state
        oracle = dit.pid.PID_BROJA(dit.Distribution(outcomes, joint.ravel()), [[0], [1]], [2])
        bits.append([oracle.get_pi(node) for node in (((0,), (1,)), ((0,),), ((1,),), ((0, 1),))])
    assert np.array(broja(joint)) == pytest.approx(np.array(max(bits)) * np.log(2), abs=3e-3)


def test_parts_add_up_to_what_is_known():
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(24)).reshape(3, 4, 2)
    parts = broja(joint)
    assert parts.redundant + parts.unique_first == pytest.approx(mutual_information(joint.sum(axis=1)))
    assert sum(parts) == pytest.approx(mutual_information(joint.reshape(-1, 2)))


def test_probabilities_of_independent_evidence_are_unique():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 6000)
    sure = 1 / (1 + np.exp(-2 * (rng.normal(size=6000) + 2 * target - 1)))
    first = np.stack([1 - sure, sure], axis=1)
    weights = draw_weights(2000, 60)
    found = decompose(
        first, np.full((6000, 2), 0.5), target, gain=np.full(6000, 0.36), patient=np.arange(6000) // 3, weights=weights
    )
    assert {part.shape for part in found} == {(61,)}
    assert sum(found) == pytest.approx(np.full(61, 0.36))
    error = found.unique_first[1:].std()
    assert error == pytest.approx(0.0085, rel=0.4)  # of a mean of 6,000 gains that scatter by 0.66 nats
    found = decompose(
        first,
        np.full((6000, 2), 0.5),
        target,
        gain=np.full(6000, 0.36),
        patient=np.arange(6000),
        weights=np.ones((6000, 1)),
    )
    assert found.redundant == pytest.approx(0, abs=0.01)
    assert found.unique_first == pytest.approx(0.336, abs=0.03)  # I(Y; X) of Gaussians two deviations apart
    assert found.unique_second == pytest.approx(0, abs=0.01)


def test_bins_hold_as_many_samples_each():
    p = np.random.default_rng(0).random(800)
    counts = np.bincount(bin_by_rank(np.stack([1 - p, p], axis=1)))
    assert counts.tolist() == [100] * 8


@pytest.mark.parametrize("classes", [2, 6])
def test_few_samples_without_information_give_none(classes):
    """Counted as they are, 90 samples of six classes seem to hold half a nat."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(classes), size=(2, 90))
    target, patient = rng.integers(0, classes, 90), np.arange(90) // 2
    found = decompose(p[0], p[1], target, gain=np.zeros(90), patient=patient, weights=np.ones((45, 1)))
    assert np.abs(np.array(found)).max() < 0.08


def test_a_share_that_all_but_vanishes_is_worth_nothing():
    joint = np.array([[1 - 1e-200, 0.0], [0.0, 1e-200]])  # 1e-200 · 1e-200 is zero in floats
    assert mutual_information(joint) == pytest.approx(0, abs=1e-12)
