"""The model registry: versions and aliases of runs that were verified, and how a model is named everywhere."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from i2m2_med.engine.tracking.read import FoundRun, download, find_run
from i2m2_med.engine.tracking.store import Denied, Missing, connect, shown, translated
from i2m2_med.errors import StoreError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Registered:
    """One version of a registered model."""

    name: str
    version: str
    run: FoundRun


def model_folder(uri: str, reference: str) -> Path:
    """The model folder that `reference` names, read only: a folder, a run (id, its beginning, or name), or a `models:/` or
    `runs:/` URI (`models:/NAME@champion`, `models:/NAME/3`, `runs:/RUN/model`).

    Raises StoreError if the store has no such run, model, version or alias.
    """
    if Path(reference).is_dir():
        return Path(reference)
    if reference.startswith("models:/"):
        return download(registered(uri, reference.removeprefix("models:/")).run, "model")
    if reference.startswith("runs:/"):
        return download(find_run(uri, reference.removeprefix("runs:/").partition("/")[0]), "model")
    return download(find_run(uri, reference), "model")


def registered(uri: str, name: str) -> Registered:
    """The version that `NAME@champion` or `NAME/3` names."""
    client = connect(uri)
    with translated(uri):
        model, at, alias = name.partition("@")
        version = _by_alias(client, uri, model, alias) if at else _by_version(client, uri, name)
    return Registered(version.name, str(version.version), find_run(uri, version.run_id or ""))


def champion(uri: str, name: str, alias: str) -> Registered | None:
    """The version that holds `alias`, or None: no model, or no version of it, does yet.

    A server with rights says of a model that is not there what it says of one that the user may not see. Of the latter he
    can't make a version either, so nothing is lost by asking no further.
    """
    try:
        return registered(uri, f"{name}@{alias}")
    except (Missing, Denied):
        return None


def give_name(run: FoundRun, name: str, alias: str, tags: dict[str, str]) -> Registered:
    """Make the run's served model the next version of `name`, and let `alias` point to it."""
    from mlflow.exceptions import MlflowException

    client = connect(run.uri)
    with translated(run.uri), _global_store(run.uri):
        model = _logged_model(client, run)
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        description = run.tags.get("mlflow.note.content", "")
        made = client.create_model_version(
            name, f"models:/{model}", run.run_id, tags=tags, description=description, model_id=model
        )
        client.set_registered_model_alias(name, alias, made.version)
        client.set_tag(run.run_id, "registered", f"{name} version {made.version} @{alias}")
    return Registered(name, str(made.version), run)


@contextmanager
def _global_store(uri: str) -> Generator[None, None, None]:
    """A database's registry looks its source up in MLflow's global store, whatever the client says."""
    from mlflow import set_tracking_uri

    before = os.environ.get("MLFLOW_TRACKING_URI")
    set_tracking_uri(uri)
    try:
        yield
    finally:
        set_tracking_uri(before)  # pyright: ignore[reportArgumentType]  None takes it back


def _logged_model(client: "MlflowClient", run: FoundRun) -> str:
    outputs = client.get_run(run.run_id).outputs
    models = outputs.model_outputs if outputs else []
    if not models:
        raise StoreError(f"run {run.run_id} holds no model to register; name a training run, not a comparison")
    return models[-1].model_id


def _by_alias(client: "MlflowClient", uri: str, model: str, alias: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        what = f"the alias '{alias}' of '{model}' points nowhere in {shown(uri)}"
        raise Missing(f"{what}; `i2m2 register RUN --name {model} --alias {alias}` sets it") from error


def _by_version(client: "MlflowClient", uri: str, name: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    model, _, version = name.partition("/")
    try:
        return client.get_model_version(model, version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise Missing(f"{shown(uri)} has no version '{version}' of a model '{model}'") from error
