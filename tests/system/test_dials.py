"""The paper's claim on data whose truth is known: what each paradigm finds when the evidence lies within, between, or both.

The dials are those of `i2m2 simulate knee`; every paradigm gets the same budget; intervals resample patients.
"""

from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.cli import main
from i2m2_med.simulate.knee import write as knee

pytestmark = pytest.mark.slow


def compared(place: Path, magnitude: float, phase: float, between: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """AUROC rows of the macro mean, and I2M2's paired differences, on simulated knees."""
    knee.simulate(
        place / "knees",
        volumes=150,
        slices=4,
        matrix="128x92",
        seed=11,
        magnitude=magnitude,
        phase=phase,
        between=between,
    )
    settings = (f"source.root={place / 'knees'}", "evaluation.bootstrap=500")
    assert (
        main(
            [
                "compare",
                "knee_demo",
                *(word for setting in settings for word in ("-s", setting)),
                "--out",
                str(place / "out"),
            ]
        )
        == 0
    )
    rows = pd.read_parquet(place / "out" / "comparison.parquet")
    paired = pd.read_csv(place / "out" / "paired.csv")
    return (
        rows[(rows["metric"] == "auroc") & (rows["label"] == "macro")].set_index("paradigm"),
        paired[(paired["metric"] == "auroc") & (paired["label"] == "macro")].set_index("paradigm"),
    )


def test_between_only_is_found_by_joint_experts_alone(tmp_path):
    auroc, _ = compared(tmp_path, 0.0, 0.0, 1.0)
    for paradigm in ("unimodal_magnitude", "unimodal_phase", "intra"):
        assert auroc.loc[paradigm, "low"] < 0.55, paradigm  # at chance, within its interval
        assert auroc.loc[paradigm, "value"] < 0.6, paradigm
    for paradigm in ("inter", "i2m2"):
        assert auroc.loc[paradigm, "low"] > 0.6, paradigm


def test_within_only_i2m2_is_not_below_intra_or_the_best_modality(tmp_path):
    auroc, paired = compared(tmp_path, 1.0, 1.0, 0.0)
    assert auroc.loc["i2m2", "low"] > 0.6
    for paradigm in ("unimodal_magnitude", "unimodal_phase", "intra"):
        assert paired.loc[paradigm, "high"] >= 0, paradigm


def test_both_i2m2_is_not_below_any_other(tmp_path):
    auroc, paired = compared(tmp_path, 0.8, 0.8, 0.8)
    assert auroc.loc["i2m2", "low"] > 0.6
    for paradigm in ("unimodal_magnitude", "unimodal_phase", "intra", "inter"):
        assert paired.loc[paradigm, "high"] >= 0, paradigm
