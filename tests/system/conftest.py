"""What docker/compose.yaml starts, started as processes: PostgreSQL and the MLflow server with basic auth."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import yaml

from tests.services import running

PROJECT = Path(__file__).parents[2]
ADMIN = ("admin", "an admin's password")
DATABASE_PASSWORD = "p@ss%:/ of a database"
PAGE = "https://mlflow.hospital.example"
"""How a browser calls the page behind a proxy with TLS."""
BIN = Path(sys.executable).parent


@dataclass
class Server:
    """A running MLflow server, and everything that was stored on its way."""

    uri: str
    folder: Path
    """Logs of all services."""
    artifacts: Path
    """Where the server keeps artifacts."""
    passwords: dict[str, str] = field(default_factory=dict)
    database_port: str = ""
    query: Callable[[str], str] = str
    """Asks the database."""

    def environment(self, user: str, workspace: Path) -> dict[str, str]:
        """What a client of `user` has in its environment."""
        names = {"MLFLOW_TRACKING_URI": self.uri, "MLFLOW_TRACKING_USERNAME": user, "I2M2_WORK": str(workspace)}
        names |= {"MLFLOW_TRACKING_PASSWORD": self.passwords[user], "OMP_NUM_THREADS": "1", "PATH": path_with_us()}
        return os.environ | names


def path_with_us() -> str:
    return f"{BIN}:{os.environ['PATH']}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1].parent


def as_postgres(*command: object) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return [*(["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []), *map(str, command)]


def wait_until(there: Callable[[], bool], what: str, log: Path) -> None:
    for _ in range(360):
        if there():
            return
        time.sleep(0.5)
    raise AssertionError(f"{what} never answered:\n{log.read_text(encoding='utf-8')[-3000:]}")


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).status_code < 500
    except requests.RequestException:
        return False


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Callable[[str], str]]]:
    """A database server: its SQLAlchemy address without the password, and a function that asks it."""
    programs = postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="i2m2-postgres-"))
    word = folder / "word"
    word.write_text(DATABASE_PASSWORD, encoding="utf-8")
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        shutil.chown(word, "postgres")
    data, port = folder / "data", free_port()
    subprocess.run(
        as_postgres(programs / "initdb", "-D", data, "-U", "mlflow", "-A", "scram-sha-256", f"--pwfile={word}"),
        check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    log = tmp_path_factory.mktemp("postgres") / "log"
    options = f"-k {folder} -c fsync=off"
    command = as_postgres(programs / "postgres", "-D", data, "-p", port, *options.split())
    environment = os.environ | {"PGPASSWORD": DATABASE_PASSWORD}
    login = ["-h", "127.0.0.1", "-p", str(port), "-U", "mlflow"]

    def ask(query: str, database: str = "mlflow") -> str:
        asked = [programs / "psql", *login, "-d", database, "-At", "-c", query]
        return subprocess.run(asked, env=environment, check=True, capture_output=True, text=True).stdout

    def is_up() -> bool:
        return subprocess.run([programs / "pg_isready", *login], capture_output=True).returncode == 0

    try:
        with running(command, log):
            wait_until(is_up, "PostgreSQL", log)
            ask("CREATE DATABASE mlflow", "postgres")
            yield f"postgresql+psycopg://mlflow@127.0.0.1:{port}/mlflow", ask
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mlflow_server(folder: Path, port: int, settings: Mapping[str, str], secrets: Mapping[str, str]) -> Iterator[Path]:
    """The service `mlflow` of the compose file: its environment, with `settings` of this machine, and its entrypoint. Yields its log."""
    composed = yaml.safe_load((PROJECT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]["mlflow"][
        "environment"
    ]
    here = {
        "MLFLOW_ARTIFACTS_DESTINATION": f"file://{folder / 'artifacts'}",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "basic_auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0],
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port},{PAGE.removeprefix('https://')}",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": PAGE,
        "PORT": str(port),
        **settings,
    }
    for name, secret in secrets.items():
        (folder / name.lower()).write_text(secret, encoding="utf-8")
        here[f"{name}_FILE"] = str(folder / name.lower())
    assert {*here} <= {*composed}, "the compose file no longer sets what the server needs"
    environment = os.environ | composed | here | {"HOST": "127.0.0.1", "WORKERS": "1", "PATH": path_with_us()}
    log = folder / "log"
    scripts = [str(PROJECT / "docker" / name) for name in ("with-secrets.sh", "serve-mlflow.sh")]
    with running(["sh", scripts[0], "sh", scripts[1]], log, environment):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the MLflow server", log)
        yield log


SECRETS = {
    "DATABASE_PASSWORD": DATABASE_PASSWORD,
    "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "signs forms",
}


@pytest.fixture(scope="session")
def server(postgres: tuple[str, Callable[[str], str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service `mlflow` on a real PostgreSQL, and two users beside its administrator."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    with mlflow_server(folder, port, {"DATABASE": postgres[0]}, SECRETS):
        made = Server(
            f"http://127.0.0.1:{port}",
            folder,
            folder / "artifacts",
            {ADMIN[0]: ADMIN[1]},
            postgres[0].rpartition(":")[2].partition("/")[0],
            postgres[1],
        )
        for user in ("trainer", "visitor"):
            add_user(made, user)
        yield made


def add_user(server: Server, user: str) -> None:
    """As the README says: docker/add_user.py, by the administrator."""
    server.passwords[user] = f"the password of {user}"
    environment = server.environment(ADMIN[0], server.folder)
    command = [sys.executable, str(PROJECT / "docker" / "add_user.py"), user]
    subprocess.run(command, env=environment, check=True, input=server.passwords[user], text=True, capture_output=True)
