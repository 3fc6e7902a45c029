"""The server that workers are forked from has imported what they need."""

import multiprocessing
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

from i2m2_med.scoring.workers.forkserver import MONAI, PRELOADED

LOADED = """
import sys
from i2m2_med.scoring.workers.forkserver import PRELOADED, start_method

if __name__ == "__main__":
    worker = start_method().Process(target=exec, args=(f"import sys; sys.exit(not {{*{PRELOADED!r}}} <= {{*sys.modules}})",))
    worker.start()
    worker.join()
    print(worker.exitcode)
"""


def test_what_is_preloaded_exists() -> None:
    """`forkserver` skips a name that it can't import without a word; only the time that a start takes would show it."""
    assert all(find_spec(name) for name in (*PRELOADED, MONAI))
    assert "forkserver" in multiprocessing.get_all_start_methods()


def test_a_worker_starts_with_what_it_needs(tmp_path) -> None:
    script = tmp_path / "start.py"
    script.write_text(LOADED, encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "ignore", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


BLOCKED = """
from multiprocessing import forkserver
from i2m2_med.scoring.workers.forkserver import start_method
if __name__ == "__main__":
    start_method()
    server = forkserver._forkserver._forkserver_pid
    print(*(line.split()[1] for line in open(f"/proc/{server}/status") if line.startswith("SigBlk")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_hear_no_ctrl_c_from_their_first_moment_on(tmp_path) -> None:
    """Theirs would be a traceback behind the command's last line."""
    (tmp_path / "script.py").write_text(BLOCKED, encoding="utf-8")
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True)
    assert int(done.stdout, 16) & (1 << (signal.SIGINT - 1)), done.stderr
