"""An oracle of others: the synthetic sets by which partial information decomposition was tried on modalities."""

import pytest

from i2m2_med.report.dependence.interaction import Interaction, interactions
from i2m2_med.report.dependence.verdict import carried_by, repeat, verdict

from .liang import SETS, LiangSample

pytestmark = pytest.mark.slow
EXPECTED = {
    "redundancy": ("single", "wholly"),
    "uniqueness0": ("single", "no"),
    "uniqueness1": ("single", "no"),
    "synergy": ("both", "no"),
}
"""`synergy` is a sum of both sides: each tells something alone, and what they tell is more than independent evidence would."""


@pytest.fixture(scope="module")
def diagnosed(long_table) -> dict[str, Interaction]:
    found: dict[str, Interaction] = {}
    for kind in SETS:
        sample = LiangSample(kind, 1600, seed=1)
        seeds = [sample.shuffled(long_table, error) for error in (0.0, 0.05, 0.02)]
        found[kind] = interactions(seeds, sample.modalities, draws=200)["label0"]
    return found


@pytest.mark.parametrize("kind", SETS)
def test_total_and_own_information_are_the_sets(kind, diagnosed):
    found, known = diagnosed[kind], LiangSample(kind, 2).truth()
    pairs = [(found.total, known["total"]), (found.own["a"], known["own_a"]), (found.own["b"], known["own_b"])]
    pairs.append((found.net, known["total"] - known["own_a"] - known["own_b"]))
    for amount, value in pairs:
        assert abs(amount.value - value) < max(1.7 * amount.margin, 0.0125), (kind, amount, value)


@pytest.mark.parametrize("kind", SETS)
def test_the_verdict_is_what_the_set_is_called(kind, diagnosed):
    assert (carried_by(diagnosed[kind]), repeat(diagnosed[kind])) == EXPECTED[kind], verdict(diagnosed[kind])


def test_synergy_is_more_than_what_independent_evidence_gives(diagnosed):
    assert diagnosed["synergy"].net.low > 0
    assert diagnosed["synergy"].between.low > 0
    assert diagnosed["redundancy"].net.high < 0
