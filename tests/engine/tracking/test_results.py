"""What a run's and a comparison's rows of metrics are called in MLflow."""

from typing import Any

from i2m2_med.engine.tracking.results import comparison_values, metric_values


def row(label: str, value: float, paradigm: str = "i2m2", **more: Any) -> dict[str, Any]:
    return {"paradigm": paradigm, "metric": "auroc", "label": label, "value": value, **more}


def test_the_mean_over_one_label_is_that_labels() -> None:
    said = metric_values([row("icd9_7", 0.8, low=0.7, high=float("nan"))])
    assert said == {
        "test_auroc_icd9_7": 0.8,
        "test_auroc_icd9_7_low": 0.7,
        "test_auroc_macro": 0.8,
        "test_auroc_macro_low": 0.7,
    }


def test_the_mean_over_several_labels_is_the_tables() -> None:
    rows = [row("acl", 0.6), row("meniscus", 0.8), row("macro", 0.7)]
    assert metric_values(rows)["test_auroc_macro"] == 0.7
    assert "test_auroc_macro" not in metric_values(rows[:2])


def test_a_comparison_has_the_columns_of_every_paradigm() -> None:
    rows = [row("dead", 0.5, seed=0), row("dead", 0.6, "intra"), row("dead", 0.7, seed="mean")]
    assert comparison_values(rows) == {
        "i2m2_test_auroc_dead": 0.7,
        "i2m2_test_auroc_macro": 0.7,
        "intra_test_auroc_dead": 0.6,
        "intra_test_auroc_macro": 0.6,
    }
