import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from i2m2_med.report.dependence.conflict import conflict_summary, conflict_table, jensen_shannon
from i2m2_med.report.statistics.table import read_predictions


def test_two_experts_are_scipys_distance_squared():
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 9))
    assert jensen_shannon(p) == pytest.approx(jensenshannon(p[0], p[1], axis=1) ** 2)


def test_bounds():
    sure = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert jensen_shannon(sure) == pytest.approx([np.log(2)])
    assert jensen_shannon(sure[[0, 0]]) == pytest.approx([0.0])


def test_an_absent_expert_does_not_disagree():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 5))
    alone = p.copy()
    alone[2] = np.nan
    assert jensen_shannon(alone) == pytest.approx(jensen_shannon(p[:2]))
    alone[1] = np.nan
    assert np.isnan(jensen_shannon(alone)).all()


def test_the_list_opens_with_the_worst(make_table):
    table = make_table(patients=9, labels=2)
    rng = np.random.default_rng(0)
    one = rng.random(len(table) // 2).repeat(2)
    table["p_a"] = np.where(table["class"] == 1, one, 1 - one)
    table["p_b"] = table["p"]
    said = read_predictions(table)
    found = conflict_table(said, most=7)
    assert len(found) == 7
    assert found["divergence"].is_monotonic_decreasing
    assert found["divergence"][0] == pytest.approx(
        max(jensen_shannon(np.stack([p[:, at] for p in said.experts.values()])).max() for at in (0, 1))
    )
    assert set(conflict_summary(said)["label"]) == {"label0", "label1"}


def test_classes_are_shown_by_their_names(make_table):
    table = make_table(patients=9, labels=1)
    table["p_a"], table["p_b"] = table["p"], table["p"].to_numpy()[::-1]
    table.loc[table["study"] == table["study"][0], "target"] = -1
    said = read_predictions(table)
    numbers, names = (conflict_table(said, given, most=99) for given in ((), ("absent", "present")))
    named = {-1: "unknown", 0: "absent", 1: "present"}
    assert -1 in set(numbers["target"])
    for column in ("shown_class", "target"):
        assert names[column].tolist() == [named[at] for at in numbers[column]]
    assert names.drop(columns=["shown_class", "target"]).equals(numbers.drop(columns=["shown_class", "target"]))


def test_one_expert_has_no_conflict(make_table):
    table = make_table(patients=4)
    assert not len(conflict_table(read_predictions(table.assign(p_only=table["p"]))))
