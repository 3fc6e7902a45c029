"""The MLflow store: made once, reached quickly, and every trouble with it said in one line.

MLflow ≥ 3.13 refuses file stores, and six processes that open a fresh sqlite store together all fail in its schema migration
(measured), so the store is made under a file lock before anyone uses it.
"""

import logging
import os
import sqlite3
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from i2m2_med.disk_errors import plain_disk_error
from i2m2_med.engine.tracking.page import FOR_TRAINING, review_view
from i2m2_med.errors import StoreError
from i2m2_med.files import exclusive

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default (7, backing off, 120 s each) would hold a training up for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Set before MLflow is imported; what the user set stays, except that telemetry is always off."""


class Away(StoreError):
    """The store can't be reached at the moment; what was to be written is kept and sent later."""


class Missing(StoreError):
    """The store answers, and does not hold what was asked for."""


class Denied(StoreError):
    """The store knows the user and gives him no right to this, or does not want to say whether it exists."""


def quieten() -> None:
    """Telemetry off and short waits, for this process and those it starts."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for chatty in ("alembic", "mlflow.store.db.utils", "mlflow.pyfunc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def ensure_store(workspace: Path, uri: str | None) -> str:
    """Make the workspace's sqlite store if it is not there yet, and return the URI of the store to use.

    Any number of processes may call this at once on a fresh workspace. A `uri` of another store (a server, another database)
    is returned as it is; whether it answers is seen when a run is opened. Raises StoreError if the store is of a newer schema.
    """
    quieten()
    uri = store_uri(workspace, uri)
    database = sqlite_file(uri)
    if database is None:
        return uri
    _make_once(database, uri)
    _newer_schema_refused(database)
    return uri


def store_uri(workspace: Path, uri: str | None = None) -> str:
    """The store to use: `uri`, or $MLFLOW_TRACKING_URI, or the workspace's `mlflow.db`. Nothing is made or asked.

    Raises StoreError for a place that can't be a store.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.absolute() / 'mlflow.db'}"
    return uri if sqlite_file(uri) else _known_scheme(uri)


def sqlite_file(uri: str) -> Path | None:
    """The database file of a sqlite URI, else None."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def artifacts_of(uri: str) -> str | None:
    """Where a sqlite store's artifacts go: `artifacts/` beside the database. A server decides for itself (None)."""
    database = sqlite_file(uri)
    return (database.parent / "artifacts").as_uri() if database else None


def local_artifacts(uri: str, recorded: str) -> Path | None:
    """The folder of artifacts that a sqlite store recorded as `recorded`; None where they are not files of this machine.

    What the store put beside its database is looked for there, wherever the two are now: a store that was moved or restored
    works, and a copy does not write into the original.
    """
    if not recorded.startswith(("file:", "/")):
        return None
    path, database = Path(unquote(urlsplit(recorded).path)), sqlite_file(uri)
    for depth in (4, 5):  # artifacts/EXPERIMENT/RUN/artifacts, artifacts/EXPERIMENT/models/MODEL/artifacts
        if database and len(path.parts) > depth and path.parts[-depth] == path.parts[-1] == "artifacts":
            return database.absolute().parent / Path(*path.parts[-depth:])
    return path


def connect(uri: str) -> "MlflowClient":
    """A client of `uri`: it names every run explicitly and is safe to share between threads."""
    quieten()
    with translated(uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own use of its database library
        from mlflow import MlflowClient

        return MlflowClient(uri, registry_uri=uri)


def experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """The experiment called `name`, made if there is none; a sqlite store keeps its artifacts beside itself."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, _artifact_folder(uri, name), tags=FOR_TRAINING | review_view())
        except MlflowException as error:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:  # not the race with another process that made it in between
                raise error
    if experiment.lifecycle_stage != "active":
        raise StoreError(f"the experiment {name!r} was deleted in {shown(uri)}; restore it there, or name another")
    if not review_view().keys() <= experiment.tags.keys():  # an older release's, or made by hand
        for key, value in review_view().items():
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return experiment.experiment_id


def _artifact_folder(uri: str, name: str) -> str | None:
    root = artifacts_of(uri)
    return f"{root}/{''.join(sign if sign.isalnum() or sign in '-_.' else '_' for sign in name)}" if root else None


def shown(uri: str) -> str:
    """`uri` without user and password, as it may be printed."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else uri


@contextmanager
def translated(uri: str) -> Generator[None]:
    """Turn what MLflow, its database and its server throw into a StoreError of one line; a bug stays what it is."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        trouble = explain(error, uri)
        if trouble is None:
            raise
        raise trouble from error


def explain(error: Exception, uri: str) -> StoreError | None:
    """Return what `error` means for the user of the store at `uri`; None if it is none of the store's troubles."""
    if isinstance(error, Warning):
        return None
    words, code = str(error), getattr(error, "error_code", "")
    where = shown(uri)
    if code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED") or " 401 " in words:
        return StoreError(
            f"{where} refuses the user or password; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if code == "PERMISSION_DENIED" or " 403 " in words:
        return Denied(f"{where} knows you but gives you no right to this; ask its administrator")
    if _any(words, "disk is full", "No space left", "disk quota", "disk I/O error"):
        return StoreError(f"the disk under {where} is full; free some space, then start again with --resume")
    if _any(words, "readonly database", "Permission denied", "unable to open database file"):
        return StoreError(f"no right to write to {where}; check who owns its folder")
    if _any(words, "file is not a database", "disk image is malformed"):
        return _no_database(where, words)
    if _any(words, "out-of-date database schema", "Can't locate revision", "no such table", "no such column"):
        return schema_trouble(where)
    return _missing_or_away(error, words, code, where)


def _missing_or_away(error: Exception, words: str, code: str, where: str) -> StoreError | None:
    if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"):
        return Missing(f"{where} has no such thing: {_first_line(words)}")
    if "must be in the 'active' state" in words:
        return Missing(f"{where}: the run was deleted; restore it there, or train again")
    if code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"):
        return None
    if (
        code
        or isinstance(error, (ConnectionError, TimeoutError))
        or _from(error, "requests", "sqlalchemy", "urllib3", "boto")
    ):
        return Away(f"{where} can't be reached or is broken; check the address and that it runs ({_reason(words)})")
    plain = plain_disk_error(error, Path(where)) if isinstance(error, OSError) else None
    return StoreError(str(plain)) if plain else None


def _reason(words: str) -> str:
    known = ("Connection refused", "timed out", "Name or service not known", "Failed to resolve", "database is locked")
    return next((reason for reason in known if reason in words), _first_line(words)[:200])


def _any(words: str, *signs: str) -> bool:
    return any(sign in words for sign in signs)


def _from(error: Exception, *packages: str) -> bool:
    return type(error).__module__.startswith(packages)


def _first_line(words: str) -> str:
    return next(iter(words.strip().splitlines()), "")


def _known_scheme(uri: str) -> str:
    if uri.startswith(("http://", "https://", "postgresql", "mysql", "mssql")):
        return uri
    raise StoreError(
        f"{shown(uri)!r} is not a store: name sqlite:///…/mlflow.db or the http(s) address of an MLflow server"
        " (MLflow has no file stores any more)"
    )


def schema_of(database: Path) -> str | None:
    """The revision of MLflow's tables, None before its migrations have all run; asked without importing MLflow: every start asks."""
    if not database.exists():
        return None
    try:
        with sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True) as store:
            row = store.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return None
    except sqlite3.DatabaseError as error:
        raise _no_database(str(database), str(error)) from error
    return row[0] if row else None


def _make_once(database: Path, uri: str) -> None:
    """Under the lock even if the file is there: another process may be in the middle of making it."""
    with translated(uri), exclusive(database.with_name(database.name + ".lock")):
        if schema_of(database) is None:
            _make(uri)


def _make(uri: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(uri, artifacts_of(uri)).engine.dispose()


def _newer_schema_refused(database: Path) -> None:
    """Compare with the migrations that the installed MLflow ships, by file name: no import needed."""
    from importlib.util import find_spec

    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    known = (Path(spec.origin).parent / "store/db_migrations/versions").glob("*.py")
    revision = schema_of(database)
    if revision is None or not any(file.name.startswith(revision) for file in known):
        raise schema_trouble(str(database))


def _no_database(where: str, words: str) -> StoreError:
    return StoreError(
        f"{where} is not an MLflow database, or a damaged one ({_first_line(words)}); move it away or name another"
    )


def schema_trouble(where: str) -> StoreError:
    """A store that another release of MLflow wrote, or that is none."""
    from importlib.metadata import version

    return StoreError(
        f"{where} has a schema that MLflow {version('mlflow')} does not know: it was written by another release. Install that"
        " release, or (for an older store) make a copy of it and run `mlflow db upgrade URI`"
    )
