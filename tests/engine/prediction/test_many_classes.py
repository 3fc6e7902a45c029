"""Tables of many classes: the likeliest, the target's and the rest, and everything that is judged from them."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.calibration.calibrate import calibrate_table, fit_calibration
from i2m2_med.engine.calibration.many_classes import scaled
from i2m2_med.engine.prediction.many_classes import table_of_many
from i2m2_med.errors import SourceError
from i2m2_med.model import I2M2
from i2m2_med.predictions import KEPT, check_table, read_table, write_table
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.metrics import metrics_of
from i2m2_med.report.statistics.table import read_predictions
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels

N, C = 67, 61


class Given(nn.Module):
    """Logits that stand in the sample itself."""

    def forward(self, logits):
        return logits[:, None]


def world(seed: int = 0, sharp: float = 1.5):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(0, sharp, (N, C)).astype(np.float32) for name in ("a", "b")}
    p = torch.from_numpy(arrays["a"] + arrays["b"]).double().softmax(dim=-1).numpy()
    target = np.array([rng.choice(C, p=each) for each in p])
    target[:3] = [-1, -2, p[2].argmin()]
    scores = [[{"class": int(one), "score": 0.9}] if one >= 0 else [] for one in target]
    soft = pl.List(pl.Struct({"class": pl.Int16, "score": pl.Float32}))
    names = [f"s{row}" for row in range(N)]
    split = ["valid" if row % 2 else "test" for row in range(N)]
    records = pl.DataFrame({"patient": names, "study": names, "item": 0, "label_answer": target, "split": split})
    records = records.with_columns(pl.DataFrame({"soft_answer": scores}, schema={"soft_answer": soft}))
    samples = Samples(records, Labels(("answer",), tuple(map(str, range(C)))), ["a", "b"], arrays)
    model = I2M2({"one": Given(), "two": Given()}, {"one": ("a",), "two": ("b",)}, ProductOfExperts(), (1, C))
    return table_of_many(model, samples, 8, "cpu"), p, target


@pytest.fixture(scope="module")
def made():
    return world()


def test_each_sample_keeps_the_likeliest_its_target_and_the_mass_of_the_rest(made):
    table, p, target = made
    for row, (_, part) in enumerate(table.groupby("study", sort=False)):
        kept = part["class"].to_numpy()
        assert (np.diff(kept) > 0).all()
        assert set(np.argsort(-p[row])[:KEPT]) | ({target[row]} if target[row] >= 0 else set()) == set(kept)
        np.testing.assert_allclose(part["p"], p[row, kept], rtol=1e-4)
        np.testing.assert_allclose(np.exp(part["log_rest"]), 1 - p[row, kept].sum(), rtol=1e-3)


def test_it_survives_the_disk_and_a_strangers_check(made, tmp_path):
    write_table(made[0], tmp_path / "table.parquet")
    assert len(read_table(tmp_path / "table.parquet")) == len(made[0])
    broken = pl.from_pandas(made[0]).with_columns(log_rest=pl.lit(-0.1))
    with pytest.raises(Exception, match="add up to one"):
        check_table(broken)


def test_the_number_of_classes_is_that_of_the_label_whichever_are_seen(made):
    """The last classes are nobody's target and never among the likeliest: they share the rest all the same."""
    table = made[0]
    seen = table.groupby("study")["class"].transform("max") < C - 5
    valid = table[seen]
    assert valid["class"].max() < C - 5
    assert fit_calibration(valid)["classes"] == C
    places = read_predictions(valid).places
    assert places is not None
    assert (places.left[:, 0] == C - valid.groupby("study", sort=False).size().to_numpy()).all()
    for classes in (C - 5, None):
        with pytest.raises(SourceError, match="beyond the number of `classes`"):
            check_table(pl.from_pandas(table).with_columns(classes=pl.lit(classes, pl.Int32)))
    with pytest.raises(SourceError, match="without the other"):
        check_table(pl.from_pandas(table).drop("classes"))


def test_metrics_are_those_of_all_classes(made):
    table, p, target = made
    predictions = read_predictions(table)
    values = {name: draws[0] for name, draws in metrics_of(predictions, 0, np.ones((N, 1))).items()}
    known, judged = target >= 0, target != -1
    right = p.argmax(axis=1) == target
    assert values["accuracy"] == pytest.approx(right[judged].mean())
    assert values["soft_accuracy"] == pytest.approx(0.9 * right[judged].mean())
    assert values["nll"] == pytest.approx(-np.log(p[known, target[known]]).mean(), rel=1e-4)
    truth = np.eye(C)[target[known]]
    assert values["brier"] == pytest.approx(np.square(p[known] - truth).sum(axis=1).mean(), abs=0.01)
    assert np.isnan(values["auroc"])


def test_experts_hold_their_own_rest(made):
    predictions = read_predictions(made[0])
    for p in predictions.experts.values():
        np.testing.assert_allclose(p.sum(axis=2), 1)


def test_models_with_other_likeliest_classes_are_compared(made):
    other = world(sharp=0.7)[0].assign(
        target=made[0].groupby("study")["target"].first().reindex(world(sharp=0.7)[0]["study"]).to_numpy()
    )
    truths = {study: part["target"].iloc[0] for study, part in made[0].groupby("study")}
    complete = other.groupby("study").filter(
        lambda part: truths[part.name] < 0 or truths[part.name] in set(part["class"])
    )
    kept = set(complete["study"])
    tables = {("inter", 0): made[0][made[0]["study"].isin(kept)], ("i2m2", 0): complete}
    comparison = compare_tables(tables, replicates=50)
    assert {row["metric"] for row in comparison.rows} >= {"accuracy", "nll", "soft_accuracy"}
    assert any("classes, of which tables keep" in note for note in comparison.notes)


def test_a_scale_leaves_a_distribution_and_one_changes_nothing():
    logs = np.log(np.array([[0.4, 0.2, 0.1], [0.9, 0.02, 0.03]]))
    rest, left = np.log([0.3, 0.05]), np.array([30, 30])
    for scale in (0.3, 1.0, 2.5):
        p, others = scaled(logs, rest, left, scale)
        np.testing.assert_allclose(p.sum(axis=1) + others, 1)
    np.testing.assert_allclose(scaled(logs, rest, left, 1.0)[0], np.exp(logs))


def test_calibration_mends_what_is_too_sure_and_sets_cover(made):
    table, _, target = made
    sure = table.copy()
    cubed = table["p"] ** 3
    total = cubed.groupby(table["study"], sort=False).transform("sum") + np.exp(table["log_rest"]) ** 3 / 40**2
    sure["p"] = cubed / total
    sure["log_rest"] = np.log(np.maximum(1 - sure.groupby("study", sort=False)["p"].transform("sum"), 1e-12))
    calibration = fit_calibration(sure)
    assert 0.2 < calibration["patterns"]["a+b"]["labels"][0]["scale"] < 0.6
    mended = calibrate_table(sure, calibration)
    check_table(pl.from_pandas(mended))
    predictions = read_predictions(mended)
    inside = predictions.sets["set_split"][np.arange(N), 0, np.maximum(predictions.target[:, 0], 0)]
    assert inside[target >= 0].mean() >= 0.85
