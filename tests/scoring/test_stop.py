"""Ctrl-C and SIGTERM end scoring within two seconds, and it goes on where it was."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from i2m2_med.signals import EXIT, STOPPED

from .test_run import contents, score_all

pytestmark = pytest.mark.slow
AT_MOST = 2.0
"""Seconds from the signal to the end of the process, on a machine that does nothing else (`make test-nightly`)."""


@pytest.fixture(scope="module")
def many(digits_studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough studies that scoring is at work when the signal comes."""
    studies = tmp_path_factory.mktemp("many") / "studies"
    for number in range(400):
        shutil.copytree(digits_studies / f"study{number % 12:02d}", studies / f"{number:03d}")
    return studies


def start(studies: Path, model: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """A scorer in a process group of its own, as a terminal gives it."""
    command = [sys.executable, "-m", "i2m2_med", "score", str(studies), str(out), "--model", str(model), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_studies(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until some studies are done."""
    until = time.monotonic() + 240
    while len(list(out.glob("studies/*.json"))) < count and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[1]


def ended(process: subprocess.Popen[str], *, number: int, whole_group: bool) -> tuple[float, str]:
    """Send the signal; seconds until the end, and standard error. Nobody of the group is left."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    (os.killpg if whole_group else os.kill)(process.pid, number)
    began = time.monotonic()
    process.wait(60)
    seconds = time.monotonic() - began
    error = process.communicate(timeout=10)[1]
    time.sleep(0.2)
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    return seconds, error


@pytest.mark.parametrize(
    ("more", "number", "whole_group"),
    [
        (("--readers", "0"), signal.SIGINT, True),
        (("--readers", "0"), signal.SIGTERM, False),
        (("--readers", "2"), signal.SIGINT, True),
        (("--readers", "2"), signal.SIGTERM, True),
        (("--readers", "1"), signal.SIGTERM, False),
        (("--processes", "2", "--readers", "1"), signal.SIGINT, True),
        (("--processes", "2", "--readers", "1"), signal.SIGTERM, False),
    ],
)
def test_a_signal_ends_scoring_and_the_next_start_goes_on(
    more: tuple[str, ...], number: int, whole_group: bool, many: Path, digits_model: Path, tmp_path: Path
) -> None:
    process = start(many, digits_model, tmp_path / "out", *more)
    wait_for_studies(tmp_path / "out", 5, process)
    seconds, error = ended(process, number=number, whole_group=whole_group)
    assert process.returncode == EXIT
    assert error.splitlines()[-1] == STOPPED
    assert "Traceback" not in error
    assert seconds < AT_MOST
    done = len(list((tmp_path / "out" / "studies").iterdir()))
    assert score_all(many, digits_model, tmp_path / "out").studies == 400
    assert 5 <= done < 400
    assert not list((tmp_path / "out" / ".score").rglob("*.part"))


@pytest.mark.parametrize("after", [0.7, 2.0, 4.0, 7.0])
def test_a_signal_ends_it_while_it_starts(after: float, many: Path, digits_model: Path, tmp_path: Path) -> None:
    process = start(many, digits_model, tmp_path / "out", "--readers", "2")
    time.sleep(after)
    assert process.poll() is None
    seconds, error = ended(process, number=signal.SIGINT, whole_group=True)
    assert process.returncode == EXIT
    assert error.splitlines()[-1] == STOPPED
    assert seconds < AT_MOST


def test_watching_ends_with_tables(many: Path, digits_model: Path, tmp_path: Path) -> None:
    """A signal is how watching ends: what was scored is in the tables, and it is no failure."""
    process = start(many, digits_model, tmp_path / "out", "--readers", "1", "--watch", "--settle", "0", "--poll", "0.5")
    wait_for_studies(tmp_path / "out", 20, process)
    _, error = ended(process, number=signal.SIGTERM, whole_group=False)
    assert process.returncode == 2, error  # some of the studies are refused
    assert "Traceback" not in error
    assert 20 <= len(contents(tmp_path / "out")) - 2 < 400
