import numpy as np
import pandas as pd
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.report.statistics.paired_predictions import pair_predictions
from i2m2_med.report.statistics.table import read_predictions


def test_rows_may_come_in_any_order(make_table):
    table = make_table(patients=11, classes=3)
    shuffled = table.sample(frac=1, random_state=0)
    one = read_predictions(table)
    other = read_predictions(shuffled).in_order_of(one.samples)
    again = [other.labels.index(label) for label in one.labels]
    assert np.array_equal(one.p, other.p[:, again])
    assert np.array_equal(one.target, other.target[:, again])
    assert one.samples.equals(other.samples)


def test_a_row_that_lacks_is_an_error(make_table):
    with pytest.raises(SourceError, match="one row per sample, label and class"):
        read_predictions(make_table().iloc[1:])
    with pytest.raises(SourceError, match="lacks the column"):
        read_predictions(make_table().drop(columns="p"))


def test_nan_is_an_error_and_a_refusal_is_not(make_table):
    table = make_table(patients=9)
    first = table["item"] == 0
    table.loc[first, "p"] = np.nan
    with pytest.raises(SourceError, match="NaN probabilities for 1 of 27"):
        read_predictions(table)
    table.loc[first, "status"] = "refused"
    assert (~read_predictions(table).answered).sum() == 1


def test_unknown_targets_may_be_missing_values(make_table):
    table = make_table(patients=5)
    table["target"] = table["target"].astype("Int8")
    table.loc[table["item"] == 2, "target"] = None
    assert (read_predictions(table).target == -1).any(axis=1).sum() == 1


def test_models_over_other_cohorts_are_not_paired(make_table):
    ours = make_table(patients=9)
    for theirs, why in [
        (make_table(patients=10), "their samples"),
        (ours.assign(target=1 - ours["target"]), "the true labels"),
        (ours.assign(label="x" + ours["label"]), "labels or classes"),
    ]:
        with pytest.raises(SourceError, match=f"differ in {why}.*can't be paired"):
            pair_predictions({("intra", 0): ours, ("i2m2", 1): theirs})
    with pytest.raises(SourceError, match="fingerprints intra"):
        pair_predictions({("intra", 0): ours, ("i2m2", 0): ours}, {("intra", 0): "aa", ("i2m2", 0): "bb"})


def test_a_model_whose_rows_come_in_another_order_is_paired(make_table):
    table = make_table(patients=11)
    by_sample = dict(iter(table.groupby("item")))
    turned = pd.concat([by_sample[item] for item in sorted(by_sample, reverse=True)])
    cohort = pair_predictions({("intra", 0): table, ("i2m2", 0): turned})
    one, other = cohort.models.values()
    assert np.array_equal(one.p, other.p)
    assert one.samples.equals(other.samples)
