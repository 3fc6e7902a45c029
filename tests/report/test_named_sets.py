"""Parts of the test split that the data name: values, plain mean, and intervals that know that sets overlap."""

import numpy as np
import pandas as pd
import pytest

from i2m2_med.report.pages.named_sets import AUDIT, MEAN, WHOLE, named_sets_section, named_sets_table
from i2m2_med.report.statistics.paired_predictions import pair_predictions

MANIFEST = {"audits": {AUDIT: {"QT": 40, "KO": 40, "few": 3}}}


def table(rng: np.random.Generator, right: float, sets: dict[str, np.ndarray]) -> pd.DataFrame:
    """120 samples of 60 patients that a model is right about with a chance of `right`, in sets and outside."""
    n = 120
    target = rng.integers(0, 2, n)
    p = np.where(rng.random(n) < right, 0.8, 0.2)
    p_of_one = np.where(target == 1, p, 1 - p)
    content = {
        "patient": np.repeat([f"p{at // 2}" for at in range(n)], 2),
        "study": np.repeat([f"s{at}" for at in range(n)], 2),
        "item": 0,
        "split": "test",
        "label": "answer",
        "class": np.tile([0, 1], n),
        "p": np.stack([1 - p_of_one, p_of_one], axis=1).ravel(),
        "target": np.repeat(target, 2),
    }
    groups = {f"group_{name}": np.repeat(np.where(inside, "tail", None), 2) for name, inside in sets.items()}
    return pd.DataFrame(content | groups)


def made(seed: int, right: float = 0.7, same: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    inside = np.arange(120) < 40
    sets = {"QT": inside, "KO": inside if same else np.roll(inside, 40), "few": np.arange(120) < 3}
    each = table(rng, right, sets)
    models = {("i2m2", 0): each, ("i2m2", 1): table(rng, right, sets).assign(target=each["target"]), ("inter", 0): each}
    return named_sets_table(pair_predictions(models), MANIFEST, "test", 200), each


def test_values_are_those_of_the_rows_of_the_set_and_the_mean_is_plain():
    found, each = made(0)
    accuracy = found[(found["paradigm"] == "inter") & (found["metric"] == "accuracy")].set_index("set")["value"]
    assert list(accuracy.index) == [WHOLE, "QT", "KO", MEAN]  # three samples are too few
    right = each[each["class"] == each["target"]].assign(right=lambda rows: rows["p"] > 0.5)
    assert accuracy[WHOLE] == pytest.approx(right["right"].mean())
    for name in ("QT", "KO"):
        assert accuracy[name] == pytest.approx(right[right[f"group_{name}"].notna()]["right"].mean())
    assert accuracy[MEAN] == pytest.approx((accuracy["QT"] + accuracy["KO"]) / 2)


def test_the_same_set_twice_tells_no_more_than_once():
    def width(same: bool) -> float:
        found = made(1, same=same)[0].set_index(["paradigm", "metric", "set"]).loc[("inter", "accuracy", MEAN)]
        return found["high"] - found["low"]

    assert width(same=True) > 1.2 * width(same=False)


@pytest.mark.slow
def test_intervals_of_the_mean_hold_the_truth():
    held = []
    for seed in range(60):
        mean = made(seed)[0].set_index(["paradigm", "metric", "set"]).loc[("inter", "accuracy", MEAN)]
        held.append(mean["low"] <= 0.7 <= mean["high"])
    assert np.mean(held) > 0.87


def test_a_table_for_each_metric_shows_sets_by_paradigm_and_no_sets_show_nothing():
    found, each = made(0)
    [section] = named_sets_section(found, MANIFEST)
    caption, shown = section.tables[0]
    assert caption == "accuracy"
    assert list(shown.columns) == ["set", "i2m2", "inter"]  # of one label the name would stand in each row
    assert list(shown["set"]) == [WHOLE, "QT", "KO", MEAN]
    nothing = named_sets_table(pair_predictions({("inter", 0): each}), {"audits": {}}, "test", 50)
    assert named_sets_section(nothing, MANIFEST) == []


def test_of_simulated_data_the_ideal_observers_stand_beside():
    accuracy = {"inter": {"IID": 0.8, "QT": 0.6, "KO": 0.4, "few": 0.1}, "i2m2": {"IID": 0.7, "QT": 0.2, "KO": 0.0}}
    [section] = named_sets_section(made(0)[0], {**MANIFEST, "ideal": {"accuracy": accuracy}})
    caption, best = section.tables[1]
    assert caption.startswith("accuracy of ideal observers")
    assert list(best["set"]) == [WHOLE, "QT", "KO", MEAN]  # a set that is too small to be judged is in no mean
    assert [float(value) for value in best["inter"]] == pytest.approx([0.8, 0.6, 0.4, 0.5])
    assert [float(value) for value in best["i2m2"]] == pytest.approx([0.7, 0.2, 0.0, 0.1])
