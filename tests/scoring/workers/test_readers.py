"""Readers that are killed or hang cost their study, and are said as such."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from i2m2_med.console import Progress
from i2m2_med.errors import UserError
from i2m2_med.parts import Part
from i2m2_med.scoring.examine import Outcome
from i2m2_med.scoring.output_lock import lock_output
from i2m2_med.scoring.run import score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.workers.engine import local_engine
from i2m2_med.scoring.workers.processes import score_in_processes
from i2m2_med.scoring.workers.readers import READER_MEMORY, Worker, WorkerPool
from tests.scoring.conftest import job_of


def ready(worker: Worker) -> Worker:
    """A reader that has started."""
    assert worker.pipe.poll(240)
    return worker


def run_with(killed: int, studies: Path, model: Path, out: Path) -> tuple[dict[str, Outcome], str]:
    """Score with one reader, the first `killed` ones of which are killed before they read; reports, and the first study's key."""
    with lock_output(out, Part()) as store:
        pool = WorkerPool(job_of(model, out), store, 1, 60.0)
        left = [killed - 1]
        os.kill(ready(pool.workers[0]).process.pid, signal.SIGKILL)
        start = pool.start_worker

        def start_and_kill() -> Worker:
            worker = start()
            if left[0] > 0:
                left[0] -= 1
                os.kill(worker.process.pid, signal.SIGKILL)
            return worker

        pool.start_worker = start_and_kill  # type: ignore[method-assign]
        try:
            reports = {outcome.name: outcome for outcome in pool.run(find_studies(str(studies)))}
        finally:
            pool.close()
        return reports, store.key("study00")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [1, 2])
def test_a_killed_reader_is_noticed(
    killed: int, digits_studies: Path, digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its study is tried once more; killed again, it is refused, and not held to be done."""
    reports, key = run_with(killed, digits_studies, digits_model, tmp_path)
    assert len(reports) == 12
    refused = sorted(name for name, report in reports.items() if report.status == "refused")
    assert refused == (["study11"] if killed == 1 else ["study00", "study11"])
    assert "study00: the process that read it was killed, most likely for want of memory" in capsys.readouterr().err
    assert bool(key) == (killed == 1)


@pytest.mark.slow
def test_a_hanging_reader_is_given_up(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    with lock_output(tmp_path, Part()) as store:
        pool = WorkerPool(job_of(digits_model, tmp_path), store, 2, 3.0)
        for worker in pool.workers:
            worker.pipe.poll(240)
            worker.pipe.recv()
            worker.ready = True
        os.kill(pool.workers[0].process.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            reports = {outcome.name: outcome for outcome in pool.run(find_studies(str(digits_studies)))}
        finally:
            pool.close()
    assert time.monotonic() - began < 120
    assert len(reports) == 12
    assert "more than 3 s" in reports["study00"].why


GIGABYTES = {10315: 217, 10316: 50, 10317: 38, 10318: 22}
"""Bytes of the phantom's chunk index with which HDF5 takes gigabytes, for a minute and more, deaf to everything but SIGKILL."""


@pytest.mark.slow
def test_a_file_that_asks_for_gigabytes_is_refused_at_once(
    shared_data: Path, knee_studies: Path, knee_model: Path, tmp_path: Path
) -> None:
    content = bytearray((shared_data / "kspace_phantom" / "ismrmrd_sl_64_4ch.h5").read_bytes())
    for at, value in GIGABYTES.items():
        content[at] = value
    shutil.copytree(knee_studies / "knee 01", tmp_path / "studies" / "sound")
    (tmp_path / "studies" / "damaged").mkdir()
    (tmp_path / "studies" / "damaged" / "phantom.h5").write_bytes(content)
    out = tmp_path / "out"
    engine = local_engine(1, 1, 60.0)
    summary = score(job_of(knee_model, out), find_studies(str(tmp_path / "studies")), engine, Part(), Progress())
    assert (summary.ok, summary.refused) == (1, 1)
    assert summary.reasons == [("phantom.h5: dataset/data is no table of ISMRMRD acquisitions.", 1)]


TAKE = """
import numpy as np
from i2m2_med.memory_limit import limit_memory
from i2m2_med.scoring.workers.readers import READER_MEMORY
limit_memory(READER_MEMORY)
print(len(np.ones(READER_MEMORY // 32, dtype=np.uint8)))
try:
    np.empty(2 * READER_MEMORY, dtype=np.uint8)
except MemoryError:
    print("refused")
"""


def test_a_reader_takes_only_so_much() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", TAKE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(READER_MEMORY // 32), "refused"]


@pytest.mark.slow
def test_a_killed_model_process_is_noticed_and_leaves_no_reader(
    digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    with lock_output(tmp_path, Part()) as store:
        places = find_studies(str(digits_studies)) * 50
        outcomes = score_in_processes(job_of(digits_model, tmp_path), store, places, 2, 1, 60.0)
        next(outcomes)
        models = [each for each in psutil.Process().children(recursive=True) if each.children()]
        [victim, *_] = [each for each in models if each.parent() in models]
        readers = victim.children()
        victim.kill()
        with pytest.raises(UserError, match="a model process was killed, most likely for want of memory"):
            list(outcomes)
    assert readers
    assert not psutil.wait_procs(readers, timeout=30)[1]
