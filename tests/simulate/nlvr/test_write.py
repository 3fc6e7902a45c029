"""Simulated statements: truth lies between scene and sentence, and noise takes of it what it says."""

import json
import re

import numpy as np
import pytest

from i2m2_med.config.run import IDEAL
from i2m2_med.errors import ConfigError
from i2m2_med.simulate.nlvr.write import ideal, simulate

NOISE = 0.25
EXISTS = re.compile(r"There is a (yellow|black|blue) (square|circle|triangle)\.")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    out = tmp_path_factory.mktemp("nlvr") / "out"
    simulate(out, statements=2000, noise=NOISE, seed=1)
    return out


def statements(folder):
    lines = (folder / "nlvr" / "train" / "train.json").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_turned_presentation_still_shows_every_scene_and_sentence_with_each_label_once(noisy):
    labels: dict[tuple[str, str], list[str]] = {}
    for one in statements(noisy):
        presentation = one["identifier"].split("-")[0]
        for alone in (one["sentence"], json.dumps(one["structured_rep"])):
            labels.setdefault((presentation, alone), []).append(one["label"])
    assert all(sorted(both) == ["false", "true"] for both in labels.values())


def test_as_many_labels_are_wrong_as_the_noise_says(noisy):
    wrong = []
    for one in statements(noisy):
        if said := EXISTS.fullmatch(one["sentence"]):
            colour, shape = said[1].replace("blue", "#0099ff"), said[2]
            things = [(thing["color"].lower(), thing["type"]) for box in one["structured_rep"] for thing in box]
            wrong.append(((colour, shape) in things) != (one["label"] == "true"))
    assert len(wrong) > 100
    assert np.mean(wrong) == pytest.approx(NOISE, abs=0.1)


def test_the_ideal_observer_of_noisy_labels_loses_what_the_noise_takes(noisy):
    written = json.loads((noisy / IDEAL).read_text(encoding="utf-8"))
    assert written["auroc"]["statement"] == {
        "inter": 0.75,
        "i2m2": 0.75,
        "intra": 0.5,
        "unimodal_picture": 0.5,
        "unimodal_sentence": 0.5,
    }
    lost = -(NOISE * np.log(NOISE) + (1 - NOISE) * np.log(1 - NOISE))
    assert written["nats"]["statement"]["inter"] == pytest.approx(np.log(2) - lost)
    assert ideal(0.0)["nats"]["statement"]["inter"] == pytest.approx(np.log(2))


def test_half_of_the_labels_turned_is_no_data_set(tmp_path):
    with pytest.raises(ConfigError, match=r"--noise from 0 to below 0\.5"):
        simulate(tmp_path / "out", noise=0.5)
