"""Bad input is one line."""

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.report.statistics.refusals import refuse_splits, refuse_tables


def manifest(**test) -> dict:
    fine = {"patients": 9, "classes": {"acl": {"no": 9, "yes": 3}, "cyst": {"no": 12, "yes": 0}}}
    return {"splits": {"train": fine, "valid": fine, "test": fine | test}}


def line(call, *arguments, **named) -> str:
    with pytest.raises(SourceError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_fit_is_not_refused(make_table):
    refuse_splits(manifest())
    refuse_tables({("i2m2", 0): make_table()}, "test", "i2m2")


def test_one_patient(make_table):
    assert "the test split holds one patient" in line(refuse_splits, manifest(patients=1))
    both = {("i2m2", 0): make_table(patients=2, per=9)}  # patient 0 validates, patient 1 tests
    assert "the valid split holds one patient" in line(refuse_tables, both, "test", "i2m2")


def test_no_validation(make_table):
    table = make_table()
    alone = {("i2m2", 0): table[table["split"] == "test"]}
    assert "no predictions on validation samples" in line(refuse_tables, alone, "test", "i2m2")


def test_a_split_that_is_not_there(make_table):
    said = line(refuse_tables, {("i2m2", 0): make_table()}, "tests", "i2m2")
    assert said == "there are no predictions on a split 'tests'; there are on valid, test"


def test_no_positives_of_any_label(make_table):
    none = {"acl": {"no": 9, "yes": 0}, "cyst": {"no": 9, "yes": 0}}
    assert "holds one class only of acl, cyst (no positives" in line(refuse_splits, manifest(classes=none))
    table = make_table()
    of_one = {("i2m2", 0): table.assign(target=table["target"].where(table["split"] == "valid", 0))}
    assert "the test split holds one class only of label0, label1, label2" in line(
        refuse_tables, of_one, "test", "i2m2"
    )


def test_the_same_score_for_all_of_the_reference(make_table):
    flat = make_table().assign(p=0.5)
    assert "i2m2 (seed 0) gives every sample the same scores" in line(
        refuse_tables, {("i2m2", 0): flat, ("intra", 0): make_table()}, "test", "i2m2"
    )
    refuse_tables({("i2m2", 0): flat, ("intra", 0): make_table()}, "test", "intra")  # of a rival it is a result


def test_nan_scores(make_table):
    bad = make_table()
    bad.loc[bad["item"] == 4, "p"] = np.nan
    assert "holds NaN probabilities for 1 of" in line(refuse_tables, {("i2m2", 0): bad}, "test", "i2m2")


def test_seeds_of_different_cohorts(make_table):
    tables = {("i2m2", 0): make_table(), ("i2m2", 1): make_table(seed=1)}
    marks = {("i2m2", 0): "aa", ("i2m2", 1): "bb"}
    said = line(refuse_tables, tables, "test", "i2m2", marks)
    assert "different cohorts (fingerprints i2m2 (seed 0): aa, i2m2 (seed 1): bb)" in said
