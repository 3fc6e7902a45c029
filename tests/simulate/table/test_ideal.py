"""The ideal observer of the simulated table against closed forms, and the written files against what they should show."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import polars as pl
import pytest
from scipy.special import entr
from scipy.stats import norm

from i2m2_med.simulate.table.cells import AGAINST, FOR, report
from i2m2_med.simulate.table.ideal import LABEL, ideal
from i2m2_med.simulate.table.model import AGREEMENT, MODALITIES, STRENGTH, Dials
from i2m2_med.simulate.table.write import simulate


def found(between: float, pair: tuple[str, str] = ("t1", "clinical"), **within: float) -> dict[str, Any]:
    dials = Dials({name: within.get(name, 0.0) for name in MODALITIES}, between, pair)
    return ideal(0.5, 0.0, dials, seed=0)


def test_no_evidence_is_chance_and_tells_nothing():
    nothing = found(0.0)
    assert set(nothing["auroc"][LABEL].values()) == {0.5}
    assert set(nothing["nats"][LABEL].values()) == {0.0}


def test_evidence_between_is_found_only_by_who_reads_the_pair():
    tied = found(1.0)
    q = 0.5 + AGREEMENT
    for name, nats in tied["nats"][LABEL].items():
        told = np.log(2) - entr(q) - entr(1 - q) if name in ("inter", "i2m2") else 0
        assert nats == pytest.approx(told, abs=0.01), name
    assert tied["auroc"][LABEL]["i2m2"] == pytest.approx(q, abs=0.01)
    for some, by_label in tied["nats_variants"].items():
        assert (by_label[LABEL]["inter"] > 0.5) == ({"t1", "clinical"} <= set(some[1:].split("+"))), some


def test_evidence_within_leaves_nothing_between():
    own = found(0.0, labs=0.7)
    assert own["auroc"][LABEL]["unimodal_labs"] == pytest.approx(norm.cdf(2 * STRENGTH * 0.7 / 2**0.5), abs=0.01)
    assert own["nats"][LABEL]["intra"] == own["nats"][LABEL]["inter"] == own["nats"][LABEL]["unimodal_labs"]


def test_words_of_a_report_say_how_high_the_evidence_is():
    rng = np.random.default_rng(0)
    texts = [report(evidence, 1, rng) for evidence in np.linspace(-3, 3, 13)]
    counts = [sum(text.count(word) for word in FOR) for text in texts]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 6)
    assert all("right-handed" in report(0.0, 1, rng) and "left-handed" in report(0.0, -1, rng) for _ in range(3))
    assert not set(FOR) & set(AGAINST)


def test_a_volume_shows_evidence_and_sign(tmp_path: Path):
    simulate(tmp_path / "cohort", patients=60, matrix="16x20x16", missing=0.0, seed=3)
    truth = pl.read_parquet(tmp_path / "cohort" / "truth.parquet")
    table = pl.read_csv(tmp_path / "cohort" / "cohort.csv")
    images = np.stack(
        [nibabel.load(tmp_path / "cohort" / path).get_fdata() for path in table["t1_path"]]  # pyright: ignore
    )
    scaled = images / np.percentile(images, 99, axis=(1, 2, 3), keepdims=True)
    deep = scaled[:, 4:12, 4:16, 12]  # above the ventricles
    dark = deep.mean(axis=(1, 2))
    assert (np.where(dark > np.median(dark), 1, -1) == truth["sign_t1"].to_numpy()).mean() > 0.9
    hollow = (scaled[:, 4:12, 6:14, 8] < 0.4).mean(axis=(1, 2))
    assert np.corrcoef(hollow, truth["evidence_t1"])[0, 1] > 0.6
