"""A test session that is killed leaves no service behind."""

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.services import running

SESSION = """
import sys, time
from tests.services import running
with running(["sh", "-c", "sleep 300 & echo $! > $0; wait", sys.argv[1]]):
    print("started", flush=True)
    time.sleep(300)
"""


def written(path: Path) -> int:
    for _ in range(200):
        if path.exists() and path.read_text(encoding="utf-8").strip():
            return int(path.read_text(encoding="utf-8"))
        time.sleep(0.05)
    raise AssertionError(f"{path} was never written")


def gone(pid: int) -> bool:
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_service_and_its_child_end_with_the_session_that_was_killed(tmp_path: Path) -> None:
    call = [sys.executable, "-c", SESSION, str(tmp_path / "pid")]
    with subprocess.Popen(call, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE) as session:
        child = written(tmp_path / "pid")
        assert psutil.pid_exists(child)
        session.kill()
    assert gone(child)


def test_a_service_ends_with_its_block(tmp_path: Path) -> None:
    with running(["sh", "-c", "echo said; sleep 300 & echo $! > $0; wait", str(tmp_path / "pid")], tmp_path / "log"):
        child = written(tmp_path / "pid")
    assert gone(child)
    assert (tmp_path / "log").read_text(encoding="utf-8").startswith("said\n")
