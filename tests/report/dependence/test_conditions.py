"""Data whose dependencies are set by three dials, seen by an observer that knows them: the verdict must find the dials."""

import numpy as np
import pytest
from scipy.special import expit

from i2m2_med.report.dependence.conditions import (
    ALL,
    PAIRED,
    among,
    dependence,
    dependence_table,
    four_conditions,
    only,
    within,
)
from i2m2_med.report.dependence.interaction import interactions
from i2m2_med.report.dependence.subsets import shapley, subset_losses, subset_tables
from i2m2_med.report.dependence.verdict import carried_by, verdicts
from i2m2_med.report.statistics.table import Predictions, read_predictions

MODALITIES = ("magnitude", "phase")


class World:
    """x₁ = (own evidence, a sign), x₂ = (own evidence, that sign or its opposite by the label), with noise."""

    def __init__(self, magnitude: float, phase: float, between: float, patients: int = 1500) -> None:
        rng = np.random.default_rng(3)
        self.dials = (2 * magnitude, 2 * phase, 2.5 * between)
        self.target = rng.integers(0, 2, patients)
        side, sign = 2 * self.target - 1, rng.choice([-1, 1], patients)
        noise = rng.normal(size=(4, patients))
        m, p, b = self.dials
        self.x1 = np.stack([m / 2 * side + noise[0], b * sign + noise[1]])
        self.x2 = np.stack([p / 2 * side + noise[2], b * sign * side + noise[3]])
        self.rng = np.random.default_rng(4)

    def donors(self, label: bool) -> np.ndarray:
        rows = np.arange(len(self.target))
        groups = [rows[self.target == value] for value in (0, 1)] if label else [rows]
        given = rows.copy()
        for group in groups:
            given[group] = self.rng.permutation(group)
        return given

    def predictions(self, make_long, one: np.ndarray, other: np.ndarray, error: float = 0.0) -> Predictions:
        """What the ideal product says of x₁ of the rows `one` with x₂ of the rows `other`; error: a seed's own mistake."""
        m, p, b = self.dials
        x1, x2 = self.x1[:, one], self.x2[:, other]
        alone = [m * x1[0], p * x2[0]]
        same, opposite = np.cosh(b * (x1[1] + x2[1])), np.cosh(b * (x1[1] - x2[1]))
        odds = np.stack([*alone, (1 + error) * (np.log(same) - np.log(opposite))])
        said = expit(np.stack([-odds, odds], axis=-1))[:, :, None]
        whole = expit(np.stack([-odds.sum(axis=0), odds.sum(axis=0)], axis=-1))[:, None]
        rows = np.arange(len(self.target))
        split = np.where(rows % 2 == 0, "valid", "test")
        table = make_long(
            whole, self.target[:, None], rows, split, p_magnitude=said[0], p_phase=said[1], p_joint=said[2]
        )
        return read_predictions(table)

    def shuffled(self, make_long, error: float = 0.0) -> dict[str, Predictions]:
        """Every condition."""
        rows = np.arange(len(self.target))
        found = {PAIRED: (rows, rows)}
        for name, place in (("magnitude", 0), ("phase", 1)):
            for condition, label in ((among(name), False), (within("label0", name), True)):
                found[condition] = (self.donors(label), rows) if place == 0 else (rows, self.donors(label))
            found[only(name)] = (rows, self.donors(False)) if place == 0 else (self.donors(False), rows)
        found[among(ALL)] = (self.donors(False), self.donors(False))
        found[within("label0", ALL)] = (self.donors(True), self.donors(True))
        return {name: self.predictions(make_long, *pair, error) for name, pair in found.items()}


@pytest.mark.parametrize(
    ("dials", "expected"),
    [
        ((0.0, 0.0, 0.0), "none"),
        ((1.0, 0.0, 0.0), "single"),
        ((0.0, 1.0, 0.0), "single"),
        ((1.0, 1.0, 0.0), "single"),
        ((0.0, 0.0, 1.0), "between"),
        ((1.0, 0.0, 1.0), "both"),
        ((0.5, 0.5, 0.7), "both"),
        ((1.0, 1.0, 1.0), "both"),
    ],
)
def test_the_verdict_recovers_the_dials(long_table, dials, expected):
    world = World(*dials)
    found = interactions([world.shuffled(long_table, error) for error in (0.0, 0.1, 0.05)], MODALITIES, draws=200)
    assert carried_by(found["label0"]) == expected, verdicts(found)


def test_amounts_grow_with_their_dial(long_table):
    low, high = (dependence([World(0.3, 0.3, between).shuffled(long_table)], MODALITIES, 50) for between in (0.3, 1.0))
    assert low["label0", ALL]["inter"].high < high["label0", ALL]["inter"].low
    assert low["label0", ALL]["intra"].value == pytest.approx(high["label0", ALL]["intra"].value, abs=0.03)


def test_what_single_modalities_say_is_what_gaussians_hold(long_table):
    amounts = dependence([World(1.0, 0.0, 0.0, 6000).shuffled(long_table)], MODALITIES, 100)["label0", "magnitude"]
    assert amounts["intra"].value == pytest.approx(0.336, abs=0.03)  # I(Y; X) of Gaussians two deviations apart
    assert abs(amounts["inter"].value) < 0.01


def test_either_modality_breaks_the_relation(long_table):
    found = dependence([World(0.0, 0.0, 1.0).shuffled(long_table)], MODALITIES, 50)
    table = dependence_table(found).query("kind == 'inter'").set_index("shuffled")["value"]
    assert table["magnitude"] == pytest.approx(table["phase"], abs=0.03)


def test_four_conditions_of_a_relation(long_table):
    table = four_conditions([World(0.0, 0.0, 1.0).shuffled(long_table)], MODALITIES, 50)
    auroc = table[table["metric"] == "auroc"].set_index("condition")["value"]
    assert auroc["paired"] > 0.9
    assert all(abs(auroc[name] - 0.5) < 0.05 for name in ("magnitude only", "phase only", "all shuffled"))


def test_subsets_know_no_more_than_all_and_shares_add_up(long_table):
    world = World(1.0, 0.5, 0.7)
    rows = np.arange(len(world.target))
    said = world.predictions(long_table, rows, rows)
    losses = subset_losses(said, 0)
    test = (said.samples["split"] == "test").to_numpy(dtype=bool)
    means = {names: found[test].mean() for names, found in losses.items()}
    whole = ("magnitude", "phase", "joint")
    assert len(losses) == 8
    assert min(means, key=means.get) == whole
    shares = {name: shapley(losses, name)[test].mean() for name in whole}
    assert sum(shares.values()) == pytest.approx(means[()] - means[whole])
    subsets, table = subset_tables([said, said], draws=50)
    assert table.set_index("expert")["value"].to_dict() == pytest.approx(shares)
    assert (table["seed_sd"] == 0).all()
    assert subsets.set_index("experts")["nll"]["none"] == pytest.approx(np.log(2), abs=0.01)


def test_shares_do_not_follow_the_size_of_logits(long_table):
    world = World(1.0, 0.0, 0.7)
    rows = np.arange(len(world.target))
    said = world.predictions(long_table, rows, rows)
    loud = np.log(said.experts["phase"]) * 40  # says nothing, very loudly
    noise = np.exp(loud - loud.max(axis=-1, keepdims=True))
    said.experts["phase"] = noise / noise.sum(axis=-1, keepdims=True)
    _, table = subset_tables([said], draws=50)
    assert abs(table.set_index("expert")["value"]["phase"]) < 0.005
