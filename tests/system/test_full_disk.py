"""A disk that is full under the store: a real, small file system."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FILL = """
from pathlib import Path
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.engine.tracking.run import open_run
from i2m2_med.errors import StoreError
from i2m2_med.workspace import workspace
uri = ensure_store(workspace(), None)
facts = dict(experiment="knee", name="x", paradigm="i2m2", task="knee", seed=0, config={}, manifest={})
try:
    with open_run(uri=uri, **facts) as run:
        (Path.cwd() / "big").write_bytes(bytes(6_000_000))
        run.artifact(Path.cwd() / "big")
except StoreError as error:
    print(error)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs more rights than this user has")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_line(small_disk: Path, tmp_path: Path) -> None:
    environment = os.environ | {"I2M2_WORK": str(small_disk / "work")}
    done = subprocess.run(
        [sys.executable, "-c", FILL], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    [line] = done.stdout.splitlines()
    assert line.startswith(f"the disk under sqlite:///{small_disk}/work/mlflow.db is full; free some space")
