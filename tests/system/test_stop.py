"""SIGTERM (Slurm, `docker stop`) and Ctrl-C end a training in order: KILLED in the store, and `--resume` goes on to the same bits."""

import signal
import subprocess
import time

import pytest

from i2m2_med.engine.tracking.store import connect
from i2m2_med.signals import EXIT, STOPPED

from .test_kill import command, environment, undisturbed, wait_for, weights

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
__all__ = ["undisturbed"]


def test_a_stopped_training_is_killed_in_the_store_and_goes_on(tmp_path, undisturbed) -> None:
    tables, expected = undisturbed
    work = tmp_path / "stopped"
    process = subprocess.Popen(command(tables), env=environment(work), stderr=subprocess.PIPE, text=True)
    wait_for(work, "runs/*/stages/*/last.pt", 0.5, process)  # type: ignore[arg-type]
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    error = process.communicate(timeout=60)[1]
    assert process.returncode == EXIT, error[-2000:]
    assert error.splitlines()[-1] == STOPPED
    assert "Traceback" not in error
    assert time.monotonic() - began < 20
    client = connect(f"sqlite:///{work}/mlflow.db")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert any(run.data.metrics for run in runs)
    subprocess.run(command(tables, "--resume"), env=environment(work), check=True, capture_output=True)
    assert weights(work) == expected
    assert {client.get_run(run.info.run_id).info.status for run in runs} == {"FINISHED"}
