"""A model folder that an older version of the project wrote still answers, and answers the same."""

from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.cli import main

THEN = Path(__file__).parents[1] / "fixtures" / "model_before_rooms"


def test_a_model_from_before_the_rooms_answers_the_same(tmp_path: Path) -> None:
    call = ["score", str(THEN / "studies"), str(tmp_path / "scores"), "--model", str(THEN / "model"), "--readers", "0"]
    assert main(call) == 0
    now = pd.read_parquet(tmp_path / "scores" / "scores.parquet")
    then = pd.read_csv(THEN / "scores_then.csv")
    keys = ["study", "label", "class"]
    both = now[[*keys, "p"]].astype({"class": int}).merge(then, on=keys, suffixes=("", "_then"), validate="1:1")
    assert len(both) == len(then) == 10
    assert both["p"].to_numpy() == pytest.approx(both["p_then"].to_numpy(), abs=1e-6)
