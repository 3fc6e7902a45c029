"""A study is right, or decided alike, only as a whole."""

import numpy as np
import pandas as pd
import pytest

from i2m2_med.report.statistics.consistency import ALIKE, RIGHT, consistency_table
from i2m2_med.report.statistics.paired_predictions import pair_predictions


def table_of(
    decided: dict[str, list[int]], targets: dict[str, list[int]], **groups: dict[str, list[str]]
) -> pd.DataFrame:
    rows = [
        {"patient": study, "study": study, "item": item, "split": "test", "label": "truth", "class": cls, "target": targets[study][item],
         "p": 0.9 if cls == hit else 0.1} | {f"group_{name}": values[study][item] for name, values in groups.items()}
        for study, hits in decided.items() for item, hit in enumerate(hits) for cls in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def by_metric(*tables: pd.DataFrame) -> pd.DataFrame:
    return consistency_table(pair_predictions({("inter", seed): table for seed, table in enumerate(tables)})).set_index(
        "metric"
    )


def test_a_study_with_one_wrong_item_is_wrong():
    decided = {"a": [1, 1], "b": [1, 0], "c": [1, 1, 1], "d": [0]}
    table = by_metric(table_of(decided, {name: [1] * len(each) for name, each in decided.items()}))
    assert table.loc[RIGHT, ["studies", "items"]].tolist() == [4, 8]
    assert table.loc[RIGHT, "value"] == pytest.approx(0.5)
    assert np.isfinite(table[["low", "high"]].to_numpy(dtype=float)).all()


def test_items_are_alike_though_wrong_and_only_where_their_answer_is_one():
    decided = {"alike": [0, 0], "apart": [0, 1], "alone": [1], "two answers": [1, 1]}
    targets = {"alike": [1, 1], "apart": [1, 1], "alone": [1], "two answers": [0, 1]}
    table = by_metric(table_of(decided, targets))
    assert table.loc[ALIKE, ["studies", "items"]].tolist() == [2, 4]
    assert table.loc[ALIKE, "value"] == pytest.approx(0.5)
    assert table.loc[RIGHT, "value"] == pytest.approx(0.25)


def test_the_order_of_studies_makes_no_difference():
    decided = {"z": [0, 0], "a": [0, 1], "m": [1, 1]}
    targets = {"z": [0, 0], "a": [1, 1], "m": [1, 1]}
    table = by_metric(table_of(decided, targets))
    assert table.loc[ALIKE, ["studies", "items"]].tolist() == [3, 6]
    assert table.loc[[ALIKE, RIGHT], "value"].tolist() == pytest.approx([2 / 3, 2 / 3])


def test_kinds_of_items_are_compared_within_studies_that_mix_them():
    decided = {"a": [1, 0], "b": [1, 1], "c": [0]}
    kinds = {"a": ["first", "again"], "b": ["first", "again"], "c": ["first"]}
    table = by_metric(table_of(decided, {name: [1] * len(each) for name, each in decided.items()}, phrasing=kinds))
    assert table.loc["accuracy, phrasing: first", "value"] == pytest.approx(1)
    assert table.loc["accuracy, phrasing: again", "value"] == pytest.approx(0.5)
    assert (table.loc[table.index.str.startswith("accuracy"), "studies"] == 2).all()


def test_values_are_means_over_seeds():
    targets = {"a": [1, 1], "b": [1, 1]}
    tables = [table_of(decided, targets) for decided in ({"a": [1, 1], "b": [1, 1]}, {"a": [1, 0], "b": [0, 0]})]
    table = by_metric(*tables)
    assert table.loc[RIGHT, "value"] == pytest.approx(0.5)
    assert table.loc[ALIKE, "value"] == pytest.approx(0.75)


def test_an_answer_outside_of_the_classes_is_wrong():
    table = by_metric(table_of({"a": [1, 1], "b": [1, 1]}, {"a": [1, -2], "b": [1, 1]}))
    assert table.loc[RIGHT, "value"] == pytest.approx(0.5)
    assert table.loc[ALIKE, "studies"] == 1


def test_of_many_classes_it_is_the_class_that_counts_and_not_its_place():
    rows = [
        {"patient": "a", "study": "a", "item": item, "split": "test", "label": "answer", "class": cls, "target": 9, "p": p,
         "log_rest": np.log(0.1), "classes": 60}
        for item, kept in enumerate((((3, 0.2), (9, 0.7)), ((9, 0.6), (40, 0.3)))) for cls, p in kept
    ]  # fmt: skip
    table = by_metric(pd.DataFrame(rows))
    assert table.loc[[RIGHT, ALIKE], "value"].tolist() == [1, 1]
