import numpy as np
import pandas as pd
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.privacy import pseudonym
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.metrics import METRICS
from i2m2_med.report.statistics.operating import choose_threshold

FEW = {"replicates": 60}


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
    assert len(found.rows) == (3 * 2 + 3) * (3 + 1) * len(METRICS)
    assert set(found.rows[0]) == {"paradigm", "label", "metric", "value", "low", "high", "seed", "labels_used"}
    table = pd.DataFrame(found.rows)
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()


def test_the_mean_over_seeds_is_their_mean(tables):
    rows = compare_tables(tables, **FEW).rows
    seeds = [only(rows, paradigm="intra", label="label1", metric="nll", seed=seed)["value"].item() for seed in (0, 1)]
    mean = only(rows, paradigm="intra", label="label1", metric="nll", seed=None)["value"].item()
    assert mean == pytest.approx(np.mean(seeds))


def test_one_seed_has_no_second_row(tables):
    rows = compare_tables({key: table for key, table in tables.items() if key[1] == 0}, **FEW).rows
    assert len(rows) == 3 * 4 * len(METRICS)


def test_differences_are_the_reference_minus_the_other(tables):
    found = compare_tables(tables, **FEW)
    ours, theirs = (
        only(found.rows, paradigm=name, label="label0", metric="auroc", seed=None)["value"].item()
        for name in ("i2m2", "intra")
    )
    row = only(found.paired, paradigm="intra", label="label0", metric="auroc", test="bootstrap by patient").iloc[0]
    assert row["difference"] == pytest.approx(ours - theirs)
    tests = set(only(found.paired, paradigm="intra", label="label0", metric="auroc")["test"])
    assert tests == {"bootstrap by patient", "DeLong on patients' highest scores"}
    assert (found.paired["p_holm"] >= found.paired["p"] - 1e-12).all()


def test_a_stronger_model_wins_significantly(tables):
    found = compare_tables(tables, replicates=500)
    row = only(
        found.paired, paradigm="unimodal_magnitude", label="label0", metric="accuracy", test="McNemar by patient"
    )
    assert row["p_holm"].item() < 0.01


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
    assert all(row["low"] is None for row in found.rows)


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
def test_a_threshold_reaches_what_it_was_chosen_for(want: str):
    rng = np.random.default_rng(5)
    score, positive = rng.normal(size=101).round(1), rng.random(101) < 0.3
    called = score >= choose_threshold(score, positive, want, 0.9)
    reached = called[positive].mean() if want == "sensitivity" else (~called[~positive]).mean()
    assert reached >= 0.9
    stricter = [score >= each for each in np.unique(score)]
    other = [c[positive].mean() if want == "specificity" else (~c[~positive]).mean() for c in stricter]
    enough = [c[positive].mean() if want == "sensitivity" else (~c[~positive]).mean() for c in stricter]
    best = max(o for o, e in zip(other, enough, strict=True) if e >= 0.9)
    assert (called[positive].mean() if want == "specificity" else (~called[~positive]).mean()) == best


def test_more_classes_than_two(make_table):
    tables = {(name, 0): make_table(signal, 3, classes=6, labels=1) for name, signal in (("inter", 1.0), ("i2m2", 2.0))}
    found = compare_tables(tables, **FEW)
    assert {row["label"] for row in found.rows} == {"label0"}
    row = only(found.paired, metric="auroc", test="DeLong on patients' highest scores")
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
