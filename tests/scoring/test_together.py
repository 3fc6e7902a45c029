"""Small studies that share a forward pass get the answers that each gets alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from i2m2_med.console import Progress
from i2m2_med.model import Opinions
from i2m2_med.scoring.answer import StudyPredictor
from i2m2_med.scoring.output_lock import Part, lock_output
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.scoring.workers.readers import score_in_process

from .conftest import job_of


def table_of(model: Path, studies: Path, out: Path, together: int, readers: int) -> pd.DataFrame:
    """The table of a run."""
    job = replace(job_of(model, out), together=together)
    score(job, find_studies(str(studies)), local_engine(readers, 1, 60.0), Part(), Progress())
    return pd.read_parquet(out / "scores.parquet")


@pytest.mark.parametrize(("kind", "readers"), [("digits", 0), ("digits", 2), ("knee", 0)])
def test_studies_predicted_together_are_as_if_alone(
    kind: str, readers: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Digits lack modalities, one is damaged; knees have more slices than a pass holds."""
    model, studies = (request.getfixturevalue(f"{kind}_{what}") for what in ("model", "studies"))
    alone = table_of(model, studies, tmp_path / "alone", 1, 0)
    together = table_of(model, studies, tmp_path / "together", 5, readers)
    pd.testing.assert_frame_equal(together, alone, rtol=0, atol=1e-6)


def test_they_share_a_pass(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    """Twelve studies, one of them damaged, in batches of eleven: one pass, whatever they lack."""
    job = replace(job_of(digits_model, tmp_path / "out"), together=11)
    predictor, passes = StudyPredictor(job), list[int]()
    inner = predictor.backend

    def counted(chunk: Chunk) -> Opinions:
        passes.append(len(chunk.items))
        return inner(chunk)

    predictor.backend = counted
    with lock_output(job.out, Part()) as store:
        outcomes = list(score_in_process(predictor, Reader(digits_model), store, find_studies(str(digits_studies))))
    assert sum(outcome.status == "ok" for outcome in outcomes) == 11
    assert passes == [sum(1 + index % 3 for index in range(11))]
    assert len({outcome.name for outcome in outcomes}) == 12


def test_a_large_study_waits_for_nobody(knee_studies: Path, knee_model: Path, tmp_path: Path) -> None:
    """Its first chunk fills a pass."""
    job = replace(job_of(knee_model, tmp_path / "out"), together=100)
    with lock_output(job.out, Part()) as store:
        outcomes: Iterator = score_in_process(
            StudyPredictor(job), Reader(knee_model), store, find_studies(str(knee_studies))
        )
        first = next(outcomes)
        assert first.status == "ok"
        assert np.isfinite(first.seconds)
        assert len(list((job.out / "studies").iterdir())) == 1
