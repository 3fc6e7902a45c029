"""Pictures of examples: every data set draws the same bytes twice, small, without a name; with pictures off there are none."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.build import build_model
from i2m2_med.engine.prediction.examples import draw_examples
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.examples import read_examples
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.preparing import prepare
from i2m2_med.simulate.knee.write import simulate as simulate_knee
from i2m2_med.simulate.mimic3.write import simulate as simulate_mimic3
from i2m2_med.simulate.nlvr.write import simulate as simulate_nlvr
from i2m2_med.simulate.table.write import simulate as simulate_table
from i2m2_med.simulate.vqa_vs.write import simulate as simulate_questions

LARGEST = 120_000
"""Bytes of a picture."""


def knee(root: Path) -> None:
    simulate_knee(root, volumes=12, slices=2, matrix="64x46", seed=3)


def mimic3(root: Path) -> None:
    simulate_mimic3(root, patients=60, seed=3)


def table(root: Path) -> None:
    simulate_table(root, patients=60, seed=3)


def nlvr(root: Path) -> None:
    simulate_nlvr(root, statements=60, seed=3)


def questions(root: Path) -> None:
    simulate_questions(root, questions=100, seed=3)


def untrained(config: str, root: Path, work: Path, *overrides: str) -> tuple[Predictor, Cohort]:
    run, _ = load_config(config, [f"source.root={root}", *overrides])
    cohort = open_cohort(run, prepare(run, config, work, Progress()))
    model = build_model(run, run.paradigms["i2m2"].experts, cohort.labels, 0)
    shares = [[1 / len(cohort.labels.classes)] * len(cohort.labels.classes)] * len(cohort.labels.names)
    predictor = Predictor(
        model=model.eval(), run=run, paradigm="i2m2", seed=0, labels=cohort.labels, state=cohort.state, shares=shares
    )
    return predictor, cohort


@pytest.mark.slow
@pytest.mark.parametrize(("config", "simulated"), [("knee_demo", knee), ("mimic3_demo", mimic3), ("table_demo", table)])
def test_every_data_set_draws_what_its_model_saw(
    config: str, simulated: Callable[[Path], None], tmp_path: Path
) -> None:
    simulated(tmp_path / "data")
    predictor, cohort = untrained(config, tmp_path / "data", tmp_path / "work")
    predictions = predictor.predict(cohort.samples("test"))
    for again in ("one", "two"):
        draw_examples(predictor, predictor.run, cohort, predictions, tmp_path / again)
    examples = read_examples(tmp_path / "one")
    assert examples[0].why == "conflict"
    names = {str(name) for name in cohort.records["study"]}
    for one in examples:
        picture = (tmp_path / "one" / one.picture).read_bytes()
        assert picture == (tmp_path / "two" / one.picture).read_bytes()
        assert len(picture) < LARGEST
        assert Image.open(io.BytesIO(picture)).width <= 800
        assert len(one.alt) > 15
        assert one.text == ""
        assert one.study in names
        assert {voice.who for voice in one.voices} <= {"model", *predictor.model.names}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "simulated", "override"),
    [("nlvr_demo", nlvr, "seeds=[0]"), ("vqa_vs_demo", questions, "source.least=1")],
)
def test_public_pictures_stand_with_their_text(
    config: str, simulated: Callable[[Path], None], override: str, tmp_path: Path
) -> None:
    simulated(tmp_path / "data")
    predictor, cohort = untrained(config, tmp_path / "data", tmp_path / "work", override)
    draw_examples(predictor, predictor.run, cohort, predictor.predict(cohort.samples("test")), tmp_path / "one")
    texts = {row.get("_sentence") or row["_question"] for row in cohort.records.to_dicts()}
    examples = read_examples(tmp_path / "one")
    assert examples[0].why == "conflict"
    for one in examples:
        assert one.text in texts
        assert Image.open(io.BytesIO((tmp_path / "one" / one.picture).read_bytes())).width > 100


def test_pictures_can_be_left_out(tmp_path: Path) -> None:
    knee(tmp_path / "data")
    predictor, cohort = untrained("knee_demo", tmp_path / "data", tmp_path / "work", "evaluation.pictures=false")
    draw_examples(predictor, predictor.run, cohort, predictor.predict(cohort.samples("test")), tmp_path / "one")
    assert read_examples(tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["examples.json"]
