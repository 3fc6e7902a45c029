"""Signs of life: by lock in one workspace, by heartbeat from anywhere else; never by host name or process id."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from i2m2_med.engine.tracking import ownership
from i2m2_med.engine.tracking.read import find_run
from i2m2_med.engine.tracking.store import connect
from i2m2_med.errors import StoreError

Opening = Callable[..., Any]


def silent_for(store: str, run: str, seconds: float) -> None:
    last = int((time.time() - seconds) * 1000)
    connect(store).set_tag(run, "i2m2.heartbeat", last)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Go on as another container would: the same host name and process ids, and a workspace of its own on the same store."""
    return lambda: monkeypatch.setenv("I2M2_WORK", str(tmp_path / "another container"))


def test_a_live_run_is_left_alone_by_another_container_with_the_same_host_name(
    store: str, opening: Opening, elsewhere: Callable[[], None]
) -> None:
    with opening() as run:
        elsewhere()
        with opening():
            pass
        assert find_run(store, run.run_id).status == "RUNNING"
        with pytest.raises(StoreError, match=r"whose last sign of life is \d+ s old; wait .* silent for 300 s, resume"):
            opening(resume=run.run_id).__enter__()


def test_a_run_that_was_silent_for_too_long_is_killed_and_resumed_from_anywhere(
    store: str, opening: Opening, elsewhere: Callable[[], None]
) -> None:
    run = opening()
    tracker = run.__enter__()
    tracker.heartbeat.stop()
    silent_for(store, tracker.run_id, ownership.SILENT + 1)
    elsewhere()
    with opening():
        pass
    assert find_run(store, tracker.run_id).status == "KILLED"
    with opening(resume=tracker.run_id):
        assert find_run(store, tracker.run_id).status == "RUNNING"
    with pytest.raises(StoreError, match="was resumed by another process"):
        tracker.heartbeat.beat()


def test_a_writer_that_was_only_cut_off_says_that_it_lives(store: str, opening: Opening) -> None:
    with opening() as run:
        connect(store).set_terminated(run.run_id, "KILLED")
        run.heartbeat.beat()
        assert find_run(store, run.run_id).status == "RUNNING"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # MLflow's connections outlive threads
def test_the_heart_beats_by_itself(store: str, opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "BEAT", 0.1)
    with opening() as run:
        silent_for(store, run.run_id, 100)
        for _ in range(100):
            if ownership.silence(connect(store).get_run(run.run_id)) < 50:
                break
            time.sleep(0.1)
        assert ownership.silence(connect(store).get_run(run.run_id)) < 50
