"""Runs of an MLflow server, asked over its REST interface: importing MLflow only to list runs takes longer than listing them."""

import os
from collections.abc import Iterator
from typing import Any

import requests

Answer = dict[str, Any]


def experiments(uri: str) -> dict[str, str]:
    """Names of the experiments that the user may see, by id; deleted ones too."""
    asked = {"max_results": 1000, "view_type": "ALL"}
    return {
        each["experiment_id"]: each["name"]
        for page in pages(uri, "experiments/search", asked)
        for each in page.get("experiments", [])
    }


def runs(uri: str, ids: list[str]) -> Iterator[Answer]:
    """Every run of these experiments, deleted ones too: `info` and `data`, the latter's lists turned into dicts."""
    if not ids:
        return
    asked = {"experiment_ids": ids, "run_view_type": "ALL", "max_results": 1000}
    for page in pages(uri, "runs/search", asked):
        yield from map(with_dicts, page.get("runs", []))


def one_run(uri: str, run_id: str) -> Iterator[Answer]:
    """The run with this id, where there is one."""
    with requests.Session() as session:
        prepare(session)
        response = session.get(f"{uri.rstrip('/')}/api/2.0/mlflow/runs/get", params={"run_id": run_id}, timeout=20)
        if response.status_code != 404:
            yield with_dicts(content(response, "runs/get")["run"])


def with_dicts(run: Answer) -> Answer:
    """The server's lists of keys and values as dicts."""
    kinds = ("tags", "params", "metrics")
    data = {kind: {each["key"]: each["value"] for each in run.get("data", {}).get(kind, [])} for kind in kinds}
    return {"info": run["info"], "data": data}


def pages(uri: str, what: str, asked: Answer) -> Iterator[Answer]:
    """The answers to one question, page by page. Raises requests' errors (engine/store.py says what they mean)."""
    with requests.Session() as session:
        prepare(session)
        token = ""
        while True:
            address = f"{uri.rstrip('/')}/api/2.0/mlflow/{what}"
            page = content(session.post(address, json=asked | {"page_token": token}, timeout=20), what)
            yield page
            token = page.get("next_page_token", "")
            if not token:
                return


def content(response: requests.Response, what: str) -> Answer:
    """The answer, or the error that the status means."""
    if response.status_code != 200:
        raise requests.HTTPError(f"status {response.status_code} of {what}")
    return response.json()


def prepare(session: requests.Session) -> None:
    """User, password and certificates as MLflow's own client takes them from the environment."""
    variable = os.environ.get
    if token := variable("MLFLOW_TRACKING_TOKEN"):
        session.headers["Authorization"] = f"Bearer {token}"
    elif user := variable("MLFLOW_TRACKING_USERNAME"):
        session.auth = (user, variable("MLFLOW_TRACKING_PASSWORD", ""))
    if variable("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true"):
        session.verify = False
    elif certificate := variable("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        session.verify = certificate
