"""The model folder as an MLflow model: a pyfunc from code, signed, with pinned requirements, weights as safetensors."""

import shutil
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from i2m2_med.engine.tracking.provenance import packages
from i2m2_med.engine.tracking.store import local_artifacts
from i2m2_med.files import digest, sha256_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

REFUSED = str.maketrans(dict.fromkeys("/:.%\"'", "_"))
"""Signs that MLflow refuses in a logged model's name."""
NEEDED = (
    "i2m2-med",
    "mlflow",
    "torch",
    "monai",
    "pytorch-ignite",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "safetensors",
    "pydantic",
)
"""Packages that the served model imports; pinned to what is installed (inferring them took MLflow 15 s, and failed)."""


def pinned() -> list[str]:
    """Requirements of the served model, `name==version`."""
    installed = packages()
    return [f"{name}=={installed[name]}" for name in NEEDED if name in installed]


def folder_digest(folder: Path) -> str:
    """One hash over a folder's files, by relative path: what `i2m2 verify` holds a downloaded model against."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest([(path.relative_to(folder).as_posix(), sha256_of(path)) for path in files])


def save_model(folder: Path, target: Path, columns: Sequence[str] = ()) -> Path:
    """Write the MLflow model of a model folder into `target`; the folder goes in as the artifact `model`.

    columns: those by which a request may carry a study itself, with values of any kind.
    """
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own annotations and parts, on import and on saving
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema
        from mlflow.types.schema import AnyType

        optional = partial(ColSpec, required=False)
        carried = [optional(DataType.string, name) for name in ("study", "archive")]
        mlflow.pyfunc.save_model(
            target,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"model": str(folder)},
            signature=ModelSignature(inputs=Schema([*carried, *(optional(AnyType(), name) for name in columns)])),
            pip_requirements=pinned(),
            input_example=pd.DataFrame({"study": ["/studies/one"], "archive": [""]}),
        )
    return target


def send_model(client: "MlflowClient", uri: str, run_id: str, saved: Path) -> None:
    """Put a saved MLflow model into the store as an output of `run_id`, under that run's name. A model that an earlier try made is gone on with."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    run = client.get_run(run_id)
    named = (run.info.run_name or run_id).translate(REFUSED)
    made = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    logged = made[0] if made else client.create_logged_model(run.info.experiment_id, named, run_id)
    described = Model.load(str(saved))
    described.run_id, described.model_id = run_id, logged.model_id
    described.save(str(saved / "MLmodel"))
    place = local_artifacts(uri, logged.artifact_location)
    if place:
        shutil.copytree(saved, place, dirs_exist_ok=True)
    else:
        client.log_model_artifacts(logged.model_id, str(saved))
    client.finalize_logged_model(logged.model_id, "READY")
    if not (run.outputs and run.outputs.model_outputs):
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
