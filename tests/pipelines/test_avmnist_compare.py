"""`i2m2 compare avmnist` on a few rows: every paradigm, experts trained alone once per seed, calibrated without a modality too."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from i2m2_med.pipelines.compare import main
from i2m2_med.pipelines.evaluate import main as evaluate


def write_arrays(folder: Path) -> Path:
    """40 + 10 rows whose brightness tells the digit."""
    rng = np.random.default_rng(0)
    for modality, side in (("image", 28), ("audio", 112)):
        (folder / modality).mkdir(parents=True)
        for part, count in (("train", 60), ("test", 30)):
            bright = 20 * (np.arange(count) % 10)[:, None, None]
            pixels = (bright + rng.integers(0, 20, (count, side, side))).astype(np.uint8)
            np.save(folder / modality / f"{part}_data.npy", pixels)
    for part, count in (("train", 60), ("test", 30)):
        np.save(folder / f"{part}_labels.npy", (np.arange(count) % 10).astype(np.uint8))
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_every_paradigm_and_no_stage_twice(tmp_path, work):
    root = write_arrays(tmp_path / "avmnist_data")
    few = ["source.valid=20", "training.epochs=1", "training.separate.epochs=1", "seeds=[0]", "evaluation.bootstrap=20"]
    result = main("avmnist", set_=(f"source.root={root}", *few))
    assert {row["paradigm"] for row in result["rows"]} >= {"inter", "inter_longer", "i2m2", "i2m2_aux"}
    (folder,) = (work / "runs").glob("compare-avmnist-*[!k]")
    alone, together = 4, 4  # image, audio, joint, low-rank; then I2M2 with and without own losses, intra, the control
    assert len(list((folder / "stages").iterdir())) == alone + together
    calibration = json.loads((folder / "i2m2-0" / "model" / "calibration.json").read_text(encoding="utf-8"))
    assert set(calibration["patterns"]) == {"audio+image", "audio", "image"}
    alone = evaluate(result["run"], paradigm="i2m2_aux", without="audio", out=tmp_path / "alone")
    told = pd.read_csv(tmp_path / "alone" / "patterns.csv").set_index("metric")
    assert set(told["pattern"]) == {"image"}
    assert {row["metric"]: row["value"] for row in alone["rows"]}["ece"] == pytest.approx(told["value"]["ece"])
    assert 0 < told["low"]["ece of chance"] <= told["value"]["ece of chance"] <= told["high"]["ece of chance"] < 1
