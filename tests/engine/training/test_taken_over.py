"""`compare` takes over what `train` of the same config, data, code and machine has trained; the numbers are the same bytes."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.engine.tracking import provenance
from i2m2_med.engine.tracking.read import find_run
from i2m2_med.engine.tracking.results import epochs_of
from i2m2_med.engine.training.experiment import Trained
from i2m2_med.engine.training.opening import open_experiment
from i2m2_med.parts import hold_folder
from tests.engine.training.test_cross_validation import write_arrays


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    write_arrays(tmp_path / "arrays")
    return tmp_path / "arrays"


@dataclass(frozen=True)
class Made:
    """What an experiment made of one paradigm, its folder, its store, and what it said of taking over."""

    trained: Trained
    folder: Path
    uri: str
    said: list[str]

    @property
    def seconds(self) -> float:
        return self.trained.cost["seconds"]

    @property
    def weights(self) -> bytes:
        return (self.trained.model / "weights.safetensors").read_bytes()


def made(arrays: Path, what: str, *more: str, resume: bool = False) -> Made:
    settings = [f"source.root={arrays}", "training.epochs=2", "seeds=[0]", *more]
    run, values = load_config("avmnist_image", settings)

    def judge(*_):
        return [{"paradigm": "p", "label": "digit", "metric": "accuracy", "value": 0.5, "seed": 0}]

    said = Said()
    with open_experiment(run, values, judge, said, what=what, resume=resume) as one:
        trained = one.train("unimodal_image", 0)
    return Made(trained, one.folder, one.uri, [line for line in said.lines if "taken over" in line])


def test_the_same_config_is_taken_over_and_anything_else_is_not(arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, then = made(arrays, "train"), made(arrays, "compare")
    assert then.said == ["taken over from `i2m2 train`, of the same config, data and code: unimodal_image-0"]
    assert then.seconds == first.seconds
    assert then.trained.run_id != first.trained.run_id
    assert then.weights == first.weights
    tables = [one.trained.read().drop(columns="model") for one in (first, then)]
    assert tables[0].equals(tables[1])
    curves = [epochs_of(find_run(one.uri, one.trained.run_id)) for one in (first, then)]
    assert curves[0] == curves[1]
    assert "valid/nll" in curves[0]
    assert made(arrays, "compare", "training.batch=7").said == []
    monkeypatch.setattr(provenance, "source_digest", lambda: "other")
    anew = made(arrays, "compare")
    assert anew.said == []
    assert anew.weights == first.weights


def test_what_other_code_went_on_with_or_someone_writes_is_not_taken_over(
    arrays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(arrays, "train")
    with hold_folder(first.folder):
        assert made(arrays, "compare").said == []
    with monkeypatch.context() as other:
        other.setattr(provenance, "source_digest", lambda: "other")
        made(arrays, "train", resume=True)
    assert made(arrays, "compare").said == []
