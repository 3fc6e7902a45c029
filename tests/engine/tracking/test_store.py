"""The store is made once whoever asks, and every trouble with it is one line."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from i2m2_med.engine.tracking.read import list_runs
from i2m2_med.engine.tracking.store import Away, connect, ensure_store, explain, shown, sqlite_file, translated
from i2m2_med.errors import StoreError

OPEN = """
import sys
from pathlib import Path
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.engine.tracking.run import open_run
folder = Path(sys.argv[1])
uri = ensure_store(folder, None)
facts = dict(experiment="e", paradigm="i2m2", task="knee", config={}, manifest={"fingerprint": "f"})
with open_run(uri=uri, name=sys.argv[2], seed=int(sys.argv[2]), **facts) as run:
    run.epoch(1, {"loss": 0.5})
print(run.run_id)
"""


@pytest.mark.slow
def test_eight_processes_at_once_on_a_fresh_store(tmp_path: Path) -> None:
    environment = os.environ | {"I2M2_WORK": str(tmp_path / "work")}
    command = [sys.executable, "-c", OPEN, str(tmp_path / "work")]
    started = [subprocess.Popen([*command, str(n)], env=environment, stdout=-1, stderr=-1, text=True) for n in range(8)]
    ended = [(process.communicate(timeout=280), process.returncode) for process in started]
    assert [code for _, code in ended] == [0] * 8, [said[1][-500:] for said, code in ended if code]
    with sqlite3.connect(tmp_path / "work" / "mlflow.db") as store:
        rows = store.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall()
    assert rows == [("FINISHED", 8)]


def test_the_store_is_made_in_the_workspace_and_only_once(store: str) -> None:
    database = sqlite_file(store)
    assert database is not None
    before = database.read_bytes()
    assert ensure_store(database.parent, None) == store
    assert database.read_bytes() == before


def test_telemetry_is_off_even_where_the_user_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    ensure_store(tmp_path, "http://127.0.0.1:1")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_file_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a store"):
        ensure_store(tmp_path, f"file://{tmp_path}/mlruns")


def test_a_newer_schema_is_said(store: str) -> None:
    _write_revision(store, "ffffffffffff")
    with pytest.raises(StoreError, match=r"schema that MLflow .* does not know"):
        ensure_store(Path(), store)


def test_an_older_schema_is_said(store: str) -> None:
    _write_revision(store, "181f10493468")
    with pytest.raises(StoreError, match="mlflow db upgrade"), translated(store):
        connect(store).search_experiments()


def _write_revision(store: str, revision: str) -> None:
    database = sqlite_file(store)
    assert database is not None
    with sqlite3.connect(database) as open_store:
        open_store.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_a_database_of_something_else_is_said(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE experiments (experiment_id, name)")
    with pytest.raises(StoreError, match="has a schema that MLflow"):
        list_runs(f"sqlite:///{tmp_path / 'other.db'}")


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database at all, " * 99, encoding="utf-8")
    with pytest.raises(StoreError, match="is not an MLflow database"):
        ensure_store(tmp_path, None)


def test_a_full_disk_is_said(store: str) -> None:
    """sqlite says of a full disk what it says of a full page limit; a real full disk is in tests/system."""
    error = sqlite3.OperationalError("database or disk is full")
    assert "is full" in str(explain(error, store))


def test_a_server_that_is_not_there_is_away_and_said_without_the_password() -> None:
    uri = "http://someone:secret@127.0.0.1:9"
    with (
        pytest.raises(Away, match=r"http://127\.0\.0\.1:9 can't be reached.*Connection refused") as said,
        translated(uri),
    ):
        connect(uri).search_experiments()
    assert "secret" not in str(said.value)
    assert "secret" not in shown(uri)


def test_a_bug_stays_a_bug(store: str) -> None:
    with pytest.raises(KeyError), translated(store):
        raise KeyError("mine")
