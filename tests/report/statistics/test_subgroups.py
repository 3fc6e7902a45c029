import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, true_negative_rate, true_positive_rate
from sklearn.metrics import roc_auc_score

from i2m2_med.report.statistics.operating import choose_threshold
from i2m2_med.report.statistics.subgroups import coverage_table, subgroup_table
from i2m2_med.report.statistics.table import log_odds, read_predictions


@pytest.fixture
def said(make_table):
    table = make_table(patients=120, labels=2)
    number = table["patient"].str[1:].astype(int)
    table["group_sex"] = np.where(number % 2 == 0, "F", "M")
    table["group_age"] = np.where(number < 6, "over 89", np.where(number % 4 == 0, "young", "old"))
    table.loc[number == 50, "group_age"] = None
    return read_predictions(table)


def test_groups_are_fairlearns(said):
    found = subgroup_table(said, draws=20)
    valid, test = said.of("valid"), said.of("test")
    for at, label in enumerate(said.labels):
        threshold = choose_threshold(
            log_odds(valid.p[:, at])[:, 1], valid.target[:, at] == 1, valid.patient, "sensitivity", 0.9
        )
        score = log_odds(test.p[:, at])[:, 1]
        metrics = {"sensitivity": true_positive_rate, "specificity": true_negative_rate}
        calls = (score >= threshold).astype(int)
        frame = MetricFrame(
            metrics=metrics, y_true=test.target[:, at], y_pred=calls, sensitive_features=test.samples["group_sex"]
        )
        rank = MetricFrame(
            metrics=roc_auc_score, y_true=test.target[:, at], y_pred=score, sensitive_features=test.samples["group_sex"]
        )
        for sex in ("F", "M"):
            here = (found["group"] == "sex") & (found["value_of_group"] == sex) & (found["label"] == label)
            mine = found[here].set_index("metric")["value"]
            assert mine["sensitivity"] == pytest.approx(frame.by_group["sensitivity"][sex])
            assert mine["specificity"] == pytest.approx(frame.by_group["specificity"][sex])
            assert mine["auroc"] == pytest.approx(rank.by_group[sex])


def test_small_groups_are_suppressed(said):
    old = subgroup_table(said, draws=20).query("value_of_group == 'over 89'")
    assert len(old) == 2
    assert (old["patients"] == 4).all()
    assert old["value"].isna().all()
    assert old["metric"].str.startswith("suppressed").all()


def test_who_has_no_value_is_in_no_group(said):
    found = (
        subgroup_table(said, draws=20).query("group == 'age' and label == 'label0'").drop_duplicates("value_of_group")
    )
    assert found["patients"].sum() == said.of("test").samples["patient"].nunique() - 1


def test_coverage_is_the_share_of_sets_that_hold_the_truth(make_table):
    table = make_table(patients=90, labels=1, classes=3)
    table["set"] = np.where(
        table["item"] % 4 == 0, "", np.where(table["item"] % 2 == 0, "0+1+2", table["target"].astype(str))
    )
    said = read_predictions(table)
    found = coverage_table(said)
    everyone = found[found["group"] == "everyone"].set_index("metric")["value"]
    assert everyone["coverage"] == pytest.approx((said.samples["item"] % 4 != 0).mean())
    assert everyone["set size"] == pytest.approx(said.sets["set"].sum(axis=2).mean())
    assert set(found[found["group"] == "true class"]["value_of_group"]) == {"0", "1", "2"}


def test_no_sets_no_table(make_table):
    assert not len(coverage_table(read_predictions(make_table(patients=12))))
