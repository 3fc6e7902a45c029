"""A study is right only as a whole."""

import numpy as np
import pandas as pd
import pytest

from i2m2_med.report.statistics.consistency import consistency_table
from i2m2_med.report.statistics.paired_predictions import pair_predictions


def test_a_study_with_one_wrong_item_is_wrong():
    right = {"a": [True, True], "b": [True, False], "c": [True, True, True], "d": [False]}
    rows = [
        {"patient": study, "study": study, "item": item, "split": "test", "label": "truth", "class": cls, "target": 1,
         "p": 0.9 if (cls == 1) == hit else 0.1}
        for study, hits in right.items() for item, hit in enumerate(hits) for cls in (0, 1)
    ]  # fmt: skip
    table = consistency_table(pair_predictions({("inter", 0): pd.DataFrame(rows)}))
    assert table.loc[0, ["studies", "items"]].tolist() == [4, 8]
    assert table["value"].tolist() == [pytest.approx(0.5)]
    assert np.isfinite(table[["low", "high"]].to_numpy()).all()
