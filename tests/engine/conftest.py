"""A fresh tracking store per test, copied from one that is made once: MLflow's migrations take a second."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from i2m2_med.engine.tracking.store import ensure_store


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    ensure_store(folder, f"sqlite:///{folder / 'mlflow.db'}")
    return folder / "mlflow.db"


@pytest.fixture
def store(made_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a fresh store in a workspace of its own."""
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(made_store, work / "mlflow.db")
    monkeypatch.setenv("I2M2_WORK", str(work))
    return ensure_store(work, None)


@pytest.fixture
def opening(store: str) -> Callable[..., object]:
    """`open_run` with everything but what the test is about filled in."""
    from i2m2_med.engine.tracking.run import open_run

    def open_one(**changes: object) -> object:
        facts = {"uri": store, "experiment": "knee", "name": "i2m2-0", "paradigm": "i2m2", "task": "knee", "seed": 3}
        return open_run(**(facts | {"config": {"a": {"b": 1}}, "manifest": MANIFEST} | changes))

    return open_one


MANIFEST = {"fingerprint": "ab" * 32, "files": [{"name": "file1000417.h5"}], "refused": [{"file": "p1"}], "rows": 7}
MANIFEST |= {"splits": {"train": {"samples": 4}, "test": {"samples": 3}}}


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on at the moment."""
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
