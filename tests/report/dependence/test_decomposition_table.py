import numpy as np
import pytest
from scipy.special import expit

from i2m2_med.report.dependence.conditions import ALL, PAIRED, within
from i2m2_med.report.dependence.decomposition_table import COLUMNS, decomposition_table
from i2m2_med.report.pages.diagnosis_page import parts_shown
from i2m2_med.report.statistics.table import read_predictions

DIALS = {"a": 1.0, "b": 0.8, "c": 0.0}
READS = {"a": ("a",), "b": ("b",), "c": ("c",), "all": ("a", "b", "c")}


def seed_of(long_table, seed: int, patients: int = 1200):
    """`a` and `b` have evidence of their own, `c` none; what they say is right, and the joint expert adds nothing."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, patients)
    side = 2 * target - 1
    odds = {name: 2 * strength * (strength * side + rng.normal(size=patients)) for name, strength in DIALS.items()}
    odds["a"] = odds["a"] + 0.1 * np.random.default_rng(seed).normal(size=patients)  # a seed's own mistake
    said = {f"p_{name}": two(each) for name, each in (odds | {"all": np.zeros(patients)}).items()}
    split = np.where(np.arange(patients) % 2 == 0, "valid", "test")
    paired = read_predictions(long_table(two(sum(odds.values())), target[:, None], np.arange(patients), split, **said))
    return {PAIRED: paired, within("label0", ALL): traded(long_table, odds, target, split)}


def traded(long_table, odds, target, split):
    """The same evidence, each modality's from another patient of the same label and split."""
    rng, given = np.random.default_rng(5), {}
    for name, each in odds.items():
        given[name] = each.copy()
        for group in np.unique(2 * target + (split == "test")):
            rows = np.flatnonzero(2 * target + (split == "test") == group)
            given[name][rows] = each[rng.permutation(rows)]
    said = {f"p_{name}": two(each) for name, each in (given | {"all": np.zeros(len(target))}).items()}
    return read_predictions(
        long_table(two(sum(given.values())), target[:, None], np.arange(len(target)), split, **said)
    )


def two(odds: np.ndarray) -> np.ndarray:
    return expit(np.stack([-odds, odds], axis=-1))[:, None]


@pytest.fixture
def seeds(long_table):
    return [seed_of(long_table, seed) for seed in (0, 1)]


def test_of_three_modalities_every_pair_is_decomposed(seeds):
    table = decomposition_table(seeds, READS, {}, draws=40)
    assert list(table.columns) == COLUMNS
    assert list(zip(table["first"], table["second"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    for part in ("redundant", "unique_first", "unique_second", "excess_synergy"):
        assert (table[f"{part}_low"] < table[part]).all()
        assert (table[part] < table[f"{part}_high"]).all()
    with_c = table[table["second"] == "c"]
    assert (with_c["unique_first_low"] > 0.1).all()  # I(Y; X) is 0.34 and 0.24 nats
    assert (with_c["unique_second_high"] < 0.05).all()


def test_evidence_that_is_independent_given_the_label_has_no_synergy_in_excess(seeds):
    """Bertschinger's own synergy of `a` and `b` is above 0.1 nats here."""
    table = decomposition_table(seeds, READS, {}, draws=10)
    assert (table["excess_synergy"].abs() < 0.04).all()
    assert (table["excess_synergy_low"] < 0).all()


def test_the_excess_is_not_shown_from_one_seed_or_few_samples(seeds, long_table):
    assert decomposition_table(seeds[:1], READS, {}, draws=10)["excess_synergy"].isna().all()
    few = [seed_of(long_table, seed, 400) for seed in (0, 1)]  # 200 of them test
    table = decomposition_table(few, READS, {}, draws=10)
    assert table["excess_synergy"].isna().all()
    assert parts_shown(table)["synergistic (excess)"].eq("–").all()


def test_the_page_names_pairs_with_their_intervals(seeds):
    shown = parts_shown(decomposition_table(seeds, READS, {}, draws=20))
    assert shown["pair"].tolist() == ["a and b", "a and c", "b and c"]
    assert shown["unique to the first"].str.match(r"-?\d\.\d+ \[-?\d\.\d+, \d\.\d+\]").all()


def test_a_modality_that_nobody_reads_alone_has_no_pair(seeds):
    assert not len(decomposition_table(seeds, {"a": ("a",), "all": ("a", "b")}, {}))
    with_model = decomposition_table(seeds, {"a": ("a",), "all": ("a", "b")}, {"b": seeds[0][PAIRED]}, draws=5)
    assert with_model["second"].tolist() == ["b"]
