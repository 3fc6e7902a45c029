"""What `i2m2 simulate avmnist --tie` puts between image and audio, `i2m2 diagnose` finds there; in untied arrays it finds nothing."""

from pathlib import Path
from typing import Any

import pytest
from i2m2_med.pipelines import diagnose, train

from i2m2_med.simulate.avmnist.write import simulate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
]


def diagnosed(shared_data: Path, place: Path, tie: float) -> tuple[dict[str, Any], str]:
    """The amount `inter`, and the verdict, of a joint expert after five epochs of 4,000 pairs (three are too few for some seeds).

    At -25 dB a spectrogram shows the noise and little of the digit: a good part of what a pair tells lies in its relation.
    """
    inputs = {"mnist": shared_data / "mnist", "spoken": shared_data / "fsdd"}
    simulate(place / "arrays", **inputs, train=4000, valid=1000, test=1000, snr_db=-25.0, tie=tie)
    few = ("training.epochs=5", "training.batch=20", "seeds=[0]", "evaluation.bootstrap=20")
    made = train.main("avmnist_inter_concat", set_=(f"source.root={place / 'arrays'}", *few))
    found = diagnose.main(made["run"], out=place / "diagnosis")
    assert "synthetic noise" in (place / "diagnosis" / "diagnosis.html").read_text(
        encoding="utf-8"
    )  # nobody takes it for the published set
    (inter,) = [row for row in found["rows"] if (row["shuffled"], row["kind"]) == ("all", "inter")]
    return inter, found["verdict"]


def test_tied_arrays_hold_something_between_image_and_audio(shared_data, tmp_path):
    inter, verdict = diagnosed(shared_data, tmp_path, 1.0)
    assert inter["low"] > 0.2
    assert "in single modalities and in their relation" in verdict


def test_untied_arrays_hold_nothing_between_image_and_audio(shared_data, tmp_path):
    inter, verdict = diagnosed(shared_data, tmp_path, 0.0)
    assert inter["low"] < 0.05
    assert inter["high"] < 0.2
    assert "found the signal in single modalities" in verdict
    assert "relation" not in verdict
