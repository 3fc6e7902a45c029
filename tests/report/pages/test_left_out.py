import numpy as np
import pandas as pd
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.report.comparison_report import Evidence, write_report
from i2m2_med.report.pages.ceiling import ideal_observer
from i2m2_med.report.pages.left_out import held_apart, left_out_table
from i2m2_med.report.statistics.paired_predictions import pair_predictions
from i2m2_med.report.statistics.shifts import group_table
from i2m2_med.report.statistics.table import read_predictions

MANIFEST = {"settings": {"split": {"test_group": {"acquisition": "CORPDFS_FBK"}}}}


@pytest.fixture
def tables(make_table):
    """On the test split every second patient is `rest`; on the others the model guesses."""

    def moved(table: pd.DataFrame) -> pd.DataFrame:
        number = table["patient"].str.removeprefix("P").astype(int)
        away = (table["split"] == "test") & (number % 2 == 0)
        guess = np.where(table["class"] == 0, 0.5 + 0.001 * (table["item"] % 7), 0.5 - 0.001 * (table["item"] % 7))
        return table.assign(
            p=np.where(away, guess, table["p"]), split=table["split"].mask((table["split"] == "test") & ~away, "rest")
        )

    return {("i2m2", seed): moved(make_table(2.0, seed, patients=240)) for seed in (0, 1)}


def test_what_was_left_out_stands_beside_the_rest(tables):
    table = left_out_table(pair_predictions(tables), replicates=200)
    auroc = table[(table["metric"] == "auroc") & (table["label"] == "macro")].set_index("who")
    assert auroc.loc["rest", "low"] > 0.75
    assert auroc.loc["left out", "high"] < 0.6
    gap = auroc.loc["left out − rest"]
    assert gap["value"] == pytest.approx(auroc.loc["left out", "value"] - auroc.loc["rest", "value"])
    assert gap["low"] < gap["value"] < gap["high"] < 0


def test_the_report_shows_it(tables, tmp_path):
    found = write_report(tmp_path, Evidence(tables=tables, manifest=MANIFEST, title="Knee", replicates=20))
    page = found.paths["report.html"].read_text(encoding="utf-8")
    assert "Left out: acquisition = CORPDFS_FBK" in page
    assert len(pd.read_csv(found.paths["left_out"]))


def test_the_shift_report_has_it_apart(tables):
    apart = held_apart(tables.values(), MANIFEST)
    assert list(apart) == [
        "left out of training: acquisition = CORPDFS_FBK",
        "the rest beside acquisition = CORPDFS_FBK",
    ]
    assert all(set(table["split"]) == {"test"} for table in next(iter(apart.values())))
    assert held_apart(tables.values(), {}) == {}


def test_a_group_of_few_is_suppressed(make_table):
    seeds = {name: [read_predictions(make_table(patients=count))] for name, count in (("few", 9), ("many", 10))}
    table = group_table(seeds, draws=10)
    assert table[table["samples of"] == "few"]["metric"].tolist() == ["suppressed: fewer than 10 patients"]
    assert table[table["samples of"] == "many"]["value"].notna().all()


def test_nothing_left_out_is_no_section(make_table, tmp_path):
    found = write_report(
        tmp_path, Evidence(tables={("i2m2", 0): make_table()}, manifest={}, title="Knee", replicates=20)
    )
    assert "Left out" not in found.paths["report.html"].read_text(encoding="utf-8")


def test_the_ceiling_is_that_of_what_the_run_reads():
    run, _ = load_config("mimic3_demo", ["source.root=."])
    best = {"auroc": {"died": {"i2m2": 0.9, "inter": 0.9, "intra": 0.8, "other": 1.0}}}
    assert ideal_observer(run, {"ideal": best})["intra"] == {"died": 0.8}
    variant = {"variants": {"clean:static+series": {"died": {"i2m2": 0.7}}}}
    assert ideal_observer(run, {"ideal": best | variant})["i2m2"] == {"died": 0.7}
    assert not any(ideal_observer(run, {}).values())


def test_a_control_has_the_ceiling_of_what_it_reads():
    run, _ = load_config("mimic3_controls", ["source.root=."])
    best = {"auroc": {"died": {"unimodal_series": 0.6, "intra": 0.7, "inter": 0.8, "i2m2": 0.8}}}
    found = {name: one.get("died") for name, one in ideal_observer(run, {"ideal": best}).items()}
    assert found["unimodal_static"] is None
    assert found["ensemble_series"] == found["unimodal_series"] == 0.6
    assert found["intra"] == 0.7
    assert {found[name] for name in ("inter_long", "inter_wide", "ensemble_joint", "i2m2_gated", "i2m2")} == {0.8}
