"""A study's rows where labels have many classes are those of the table that evaluation makes."""

import numpy as np
import pandas as pd
import torch

from i2m2_med.model import Opinions
from i2m2_med.scoring.many_classes import rows_of_many

CALIBRATION = {
    "classes": 70,
    "patterns": {"x+y": {"samples": 20, "labels": [{"scale": 0.5, "bend": 0.0, "shift": []}]}},
    "conformal": {"alpha": 0.1, "split": [0.9], "by_class": [[]]},
}


def test_each_item_has_the_likeliest_classes_and_the_rest_and_is_calibrated():
    log_probs = torch.randn(3, 1, 70, generator=torch.Generator().manual_seed(0)).mul(2).log_softmax(dim=-1)
    opinions = Opinions(log_probs, log_probs.expand(2, -1, -1, -1), torch.tensor([[True] * 3, [True, False, True]]))
    rows = pd.DataFrame(
        rows_of_many(opinions, [0, 1, 2], ["x+y"] * 3, labels=["answer"], experts=["a", "b"], calibration=CALIBRATION)
    )
    assert len(rows) == 60
    assert set(rows["item"]) == {0, 1, 2}
    total = rows.groupby("item")["p"].sum() + np.exp(rows.groupby("item")["log_rest"].first().astype(float))
    np.testing.assert_allclose(total.astype(float), 1)
    assert rows["p_b"].isna().groupby(rows["item"]).all().tolist() == [False, True, False]
    assert (rows["decision"].astype(int) == log_probs.argmax(dim=-1)[rows["item"].astype(int), 0].numpy()).all()
    assert rows.groupby("item")["p"].max().lt(rows.groupby("item")["uncalibrated"].max()).all()
