"""`i2m2 ui`: the MLflow page on the store of the runs."""

import os
import sys

from i2m2_med.console import say
from i2m2_med.errors import StoreError
from i2m2_med.workspace import workspace


def main(*, uri: str | None = None, port: int = 5000, host: str = "127.0.0.1") -> None:
    """Start the MLflow page on the run's own store; Ctrl-C ends it.

    Parameters
    ----------
    uri
        The store; the workspace's own where not said. A server has its page at its own address.
    port
        Where the page listens.
    host
        Only this machine can open it by default. Whoever can open it can read and change every run.
    """
    from i2m2_med.engine.tracking.store import artifacts_of, ensure_store

    uri = ensure_store(workspace(), uri)
    if uri.startswith("http"):
        raise StoreError(f"{uri} is a server and has its page there: open it in a browser")
    check_free(host, port)
    say(f"MLflow's page: http://{host}:{port}/{newest(uri)} (Ctrl-C ends it)")
    place = ["--backend-store-uri", uri, "--default-artifact-root", artifacts_of(uri) or "."]
    command = [sys.executable, "-m", "mlflow", "server", *place, "--host", host, "--port", str(port), "--workers", "1"]
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # background work for chat bots, which nobody here has
    os.execv(sys.executable, command)


def newest(uri: str) -> str:
    """Return, below the page's address, the table of runs of the newest run's experiment with a reviewer's columns; empty where none is."""
    from i2m2_med.engine.tracking.page import VIEW
    from i2m2_med.engine.tracking.read import list_runs
    from i2m2_med.engine.tracking.store import connect

    runs = list_runs(uri)
    experiment = connect(uri).get_experiment_by_name(runs[0].experiment) if runs else None
    return f"#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={VIEW}" if experiment else ""


def check_free(host: str, port: int) -> None:
    """Raise StoreError if something listens on `port` already: MLflow would say so on its third page of output."""
    import socket

    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as error:
            raise StoreError(f"port {port} of {host} is taken; name another with --port") from error
