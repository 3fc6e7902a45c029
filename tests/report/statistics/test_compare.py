import numpy as np
import pandas as pd
import pytest

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.errors import SourceError
from i2m2_med.privacy import pseudonym
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.metrics import METRICS
from i2m2_med.report.statistics.operating import choose_threshold

FEW = {"replicates": 60}
SHOWN = [*METRICS, "prevalence", "ece_of_chance"]


@pytest.fixture
def tables(make_table):
    strengths = {"unimodal_magnitude": 0.4, "intra": 1.0, "i2m2": 1.6}
    return {
        (name, seed): make_table(signal, seed + 10 * at)
        for at, (name, signal) in enumerate(strengths.items())
        for seed in (0, 1)
    }


def only(rows, **wanted):
    table = pd.DataFrame(rows)
    for column, value in wanted.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    return table


def test_every_model_label_and_metric_has_a_row_with_its_interval(tables):
    found = compare_tables(tables, **FEW)
    assert len(found.rows) == (3 * 2 + 3) * (3 + 1) * len(SHOWN)
    assert set(found.rows[0]) == {"paradigm", "label", "metric", "value", "low", "high", "seed", "labels_used"}
    table = pd.DataFrame(found.rows)
    ends = table[~table["metric"].isin(["ece", "ece_of_chance", "prevalence"])]
    assert (ends["low"] < ends["value"]).all()
    assert (ends["value"] < ends["high"]).all()


def test_every_calibration_error_has_chance_beside_it_and_no_interval(tables):
    table = pd.DataFrame(compare_tables(tables, **FEW).rows)
    keys = ["paradigm", "label", "seed"]
    ece = table[table["metric"] == "ece"]
    assert ece[["low", "high"]].isna().all(axis=None)
    chance = table[table["metric"] == "ece_of_chance"]
    assert (chance[keys].to_numpy(dtype=str) == ece[keys].to_numpy(dtype=str)).all()
    assert ((chance["low"] < chance["value"]) & (chance["value"] < chance["high"])).all()


def test_average_precision_stands_beside_the_prevalence(tables):
    rows = compare_tables(tables, **FEW).rows
    test = tables["i2m2", 0].query("split == 'test' and label == 'label1' and `class` == 1")
    shown = only(rows, paradigm="i2m2", label="label1", metric="prevalence", seed=0)["value"].item()
    assert shown == pytest.approx(test["target"].mean())


def test_the_mean_over_seeds_is_their_mean(tables):
    rows = compare_tables(tables, **FEW).rows
    seeds = [only(rows, paradigm="intra", label="label1", metric="nll", seed=seed)["value"].item() for seed in (0, 1)]
    mean = only(rows, paradigm="intra", label="label1", metric="nll", seed=None)["value"].item()
    assert mean == pytest.approx(np.mean(seeds))


def test_one_seed_has_no_second_row(tables):
    rows = compare_tables({key: table for key, table in tables.items() if key[1] == 0}, **FEW).rows
    assert len(rows) == 3 * 4 * len(SHOWN)


def test_differences_are_the_reference_minus_the_other(tables):
    found = compare_tables(tables, **FEW)
    ours, theirs = (
        only(found.rows, paradigm=name, label="label0", metric="auroc", seed=None)["value"].item()
        for name in ("i2m2", "intra")
    )
    row = only(found.paired, paradigm="intra", label="label0", metric="auroc").iloc[0]
    assert row["difference"] == pytest.approx(ours - theirs)
    other = only(found.paired, paradigm="intra", label="label0", metric="patient_max_auroc").iloc[0]
    assert (row["test"], other["test"]) == ("t by patient", "DeLong")


def test_without_a_named_comparison_all_is_exploratory(tables):
    found = compare_tables(tables, **FEW).paired
    assert set(found["role"]) == {"exploratory"}
    assert found["p_holm"].isna().all()


def test_the_named_comparison_alone_is_adjusted(tables):
    named = Evaluation.model_validate(
        {"primary": {"metric": "nll", "rivals": ["intra", "unimodal_magnitude", "inter"]}}
    )
    found = compare_tables(tables, **FEW, evaluation=named).paired
    primary = found[found["role"] == "primary"]
    assert set(primary["paradigm"]) == {"intra", "unimodal_magnitude"}
    assert set(primary["metric"]) == {"nll"}
    assert set(primary["label"]) == {"macro"}
    smallest = primary["p"].min()
    assert primary["p_holm"].min() == pytest.approx(3 * smallest)  # a rival that is not there was named too
    assert found.loc[found["role"] != "primary", "p_holm"].isna().all()


def test_one_seed_speaks_of_these_models(tables):
    both = compare_tables(tables, **FEW).paired
    one = compare_tables({key: table for key, table in tables.items() if key != ("intra", 1)}, **FEW).paired
    scope = both[both["test"] != "McNemar by patient"].groupby("paradigm")["scope"].unique()
    assert [list(each) for each in scope] == [["the paradigms"]] * 2
    assert set(one[one["paradigm"] == "intra"]["scope"]) == {"these trained models"}
    assert set(one[(one["paradigm"] != "intra") & (one["metric"] == "auroc")]["scope"]) == {"the paradigms"}


def test_few_patients_support_no_tiny_p(make_table):
    tables = {
        (name, 0): make_table(signal, 1, patients=12, per=30, labels=1)
        for name, signal in (("intra", 0.0), ("i2m2", 6.0))
    }
    paired = compare_tables(tables, replicates=300).paired
    assert paired["p"].min() >= 2.0**-7


def test_other_class_shares_reweight_the_test_samples(tables):
    """Of a population where one in a hundred is ill, accuracy is nearly specificity and the average precision low."""
    named = Evaluation.model_validate({"prior": {"label0": [0.99, 0.01]}})
    rows = compare_tables(tables, **FEW, evaluation=named).rows
    shown = {
        row["metric"]: row["value"] for row in only(rows, paradigm="i2m2", label="label0", seed=0).to_dict("records")
    }
    test = tables["i2m2", 0].query("split == 'test' and label == 'label0' and `class` == 1")
    right = (test["p"] > 0.5) == (test["target"] == 1)
    rates = right.groupby(test["target"]).mean()
    assert shown["accuracy"] == pytest.approx(0.99 * rates[0] + 0.01 * rates[1])
    loss = -np.log(np.where(test["target"] == 1, test["p"], 1 - test["p"]))
    assert shown["nll"] == pytest.approx(
        0.99 * loss[test["target"] == 0].mean() + 0.01 * loss[test["target"] == 1].mean()
    )
    assert shown["prevalence"] == pytest.approx(0.01)
    plain = only(compare_tables(tables, **FEW).rows, paradigm="i2m2", label="label0", seed=0).set_index("metric")[
        "value"
    ]
    assert shown["auroc"] == pytest.approx(plain["auroc"])
    assert shown["balanced_accuracy"] == pytest.approx(plain["balanced_accuracy"])
    assert shown["average_precision"] < plain["average_precision"] - 0.1


def test_a_stronger_model_wins_significantly(tables):
    found = compare_tables(tables, replicates=500)
    rows = only(found.paired, paradigm="unimodal_magnitude", label="label0", metric="accuracy")
    assert set(rows["test"]) == {"t by patient", "McNemar by patient"}
    assert rows.set_index("test")["p"]["McNemar by patient"] < 0.01


def test_seed_spread_stands_apart_from_sampling_error(tables):
    seeds = compare_tables(tables, **FEW).seeds
    row = seeds[(seeds["paradigm"] == "intra") & (seeds["label"] == "label0") & (seeds["metric"] == "auroc")].iloc[0]
    assert row["seeds"] == 2
    assert row["seed_sd"] > 0
    assert row["sampling_error"] > 0


def test_a_label_without_positives_is_said_and_left_out_of_the_mean(tables):
    mended = {
        key: table.assign(target=table["target"].mask(table["label"] == "label2", 0)) for key, table in tables.items()
    }
    found = compare_tables(mended, **FEW)
    macro = only(found.rows, paradigm="i2m2", label="macro", metric="auroc", seed=None)
    assert macro["labels_used"].item() == 2
    assert all(row["value"] is None for row in found.rows if row["label"] == "label2" and row["metric"] == "auroc")
    assert any(
        "AUROC is undefined for label2 (only the class '0')" in note and "2 of 3 labels" in note for note in found.notes
    )


def test_constant_scores_are_said(tables):
    flat = dict(tables)
    flat["intra", 0] = flat["intra", 0].assign(p=0.5)
    found = compare_tables(flat, **FEW)
    assert any("intra (seed 0) gives every sample the same score for label0" in note for note in found.notes)
    assert only(found.rows, paradigm="intra", seed=0, label="label0", metric="auroc")["value"].item() == 0.5


def test_paradigms_are_compared_on_what_all_answered(tables):
    table = tables["unimodal_magnitude", 0].copy()
    gone = table["item"] % 5 == 0
    table.loc[gone, ["p", "status"]] = [np.nan, "refused"]
    table.loc[gone, "pattern"] = "phase"
    others = {
        key: each.assign(pattern=each["pattern"].mask(each["item"] % 5 == 0, "phase")) for key, each in tables.items()
    }
    found = compare_tables({**others, ("unimodal_magnitude", 0): table}, **FEW)
    assert any("could not answer" in note for note in found.notes)
    patterns = found.patterns[found.patterns["pattern"] == "phase"]
    assert set(patterns["paradigm"]) == {"intra", "i2m2"}


def test_a_rare_pattern_is_suppressed(tables):
    rare = {
        key: table.assign(pattern=table["pattern"].mask(table["item"] < 6, "phase")) for key, table in tables.items()
    }
    rows = compare_tables(rare, **FEW).patterns.query("pattern == 'phase'")
    assert rows["value"].isna().all()
    assert rows["metric"].str.startswith("suppressed").all()


def test_one_patient_gives_values_without_intervals(make_table):
    table = make_table(patients=2, per=9, labels=1)  # patient 0 validates, patient 1 tests
    found = compare_tables({("i2m2", 0): table}, **FEW)
    assert any("one patient" in note for note in found.notes)
    assert all(row["low"] is None for row in found.rows if row["metric"] != "ece_of_chance")


def test_an_empty_split_is_an_error(tables):
    with pytest.raises(SourceError, match="no sample of the split 'nowhere'"):
        compare_tables(tables, split="nowhere", **FEW)


def test_operating_points_come_from_validation_alone(tables):
    found = compare_tables(tables, **FEW)
    flipped = {
        key: table.assign(target=table["target"].mask(table["split"] == "test", 1 - table["target"]))
        for key, table in tables.items()
    }
    again = compare_tables(flipped, **FEW)
    assert found.operating["threshold"].tolist() == again.operating["threshold"].tolist()
    assert found.operating["value"].tolist() != again.operating["value"].tolist()


def test_no_validation_is_said(tables):
    found = compare_tables({key: table[table["split"] == "test"] for key, table in tables.items()}, **FEW)
    assert not len(found.operating)
    assert any("no validation samples" in note for note in found.notes)


@pytest.mark.parametrize("want", ["sensitivity", "specificity"])
@pytest.mark.parametrize("n", [9, 10, 19, 34])
def test_a_threshold_leaves_out_as_few_as_the_finite_rule_says(want: str, n: int):
    rng = np.random.default_rng(n)
    score, positive = rng.normal(size=3 * n), np.arange(3 * n) < n
    positive = positive if want == "sensitivity" else ~positive
    chosen = choose_threshold(score, positive, np.arange(3 * n), want, 0.9)
    own = score[positive] if want == "sensitivity" else -score[~positive]
    inside = (own >= chosen).sum() if want == "sensitivity" else (own > -chosen).sum()
    assert inside == np.ceil(0.9 * (n + 1) - 1e-9)
    assert np.isnan(
        choose_threshold(score[~positive], positive[~positive], np.arange(len(score) - positive.sum()), want, 0.9)
    )


def test_too_few_positives_have_no_operating_point(tables):
    """Eight patients can't promise 0.9, nine can; a patient's samples count once."""
    score, positive = np.arange(30.0), np.arange(30) % 2 == 0
    assert np.isnan(choose_threshold(score, positive, np.arange(30) // 4, "sensitivity", 0.9))
    assert np.isfinite(choose_threshold(score, positive, np.arange(30), "sensitivity", 0.9))
    few = {key: table.assign(target=table["target"].mask(table["patient"] > "P2", 0)) for key, table in tables.items()}
    notes = compare_tables(few, **FEW).notes
    assert any("it takes 9 positive patients of validation, which has" in note for note in notes)


def test_the_configured_sensitivity_is_the_one_that_is_judged(tables):
    for wanted in (0.8, 0.9):
        chosen = compare_tables(tables, **FEW, evaluation=Evaluation(sensitivity=wanted)).operating["chosen for"]
        assert set(chosen) == {f"sensitivity ≥ {wanted:g}", "specificity ≥ 0.9"}


def test_more_classes_than_two(make_table):
    tables = {(name, 0): make_table(signal, 3, classes=6, labels=1) for name, signal in (("inter", 1.0), ("i2m2", 2.0))}
    found = compare_tables(tables, **FEW)
    assert {row["label"] for row in found.rows} == {"label0"}
    row = only(found.paired, metric="patient_max_auroc", test="DeLong")
    assert row["difference"].item() > 0


def test_the_workspaces_key_moves_no_number(tables):
    """Patients are named by hashes under a key that each workspace draws."""
    found = []
    for key in (b"one", b"another"):
        names = {name: pseudonym(key, "patient", name) for name in tables["i2m2", 0]["patient"].unique()}
        renamed = {model: table.assign(patient=table["patient"].map(names)) for model, table in tables.items()}
        found.append(compare_tables(renamed, **FEW))
    one, other = found
    assert one.rows == other.rows
    for name in ("paired", "seeds", "patterns", "operating", "patients"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
