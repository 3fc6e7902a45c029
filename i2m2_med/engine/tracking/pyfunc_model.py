"""The model that MLflow serves (`mlflow models serve`, `predict`): a model from code, so no pickle is in it.

A request has one row per study: `study`, a folder below the one that $I2M2_STUDIES named when the server started, or `archive`,
the study folder as a base64 zip. The answer is what `i2m2 score` writes for it.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd  # not only for typing: MLflow evaluates the annotations of `predict`
from mlflow.pyfunc import PythonModel, PythonModelContext  # pyright: ignore[reportPrivateImportUsage]  (MLflow lists no exports)

SCORER = "i2m2_med.scoring.served"
"""Turns study folders into rows. It lies above this layer and is found by name when the model is served, never before."""


class ServedModel(PythonModel):
    """Loads the model folder once and scores every posted study with it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights into memory."""
        self.scorer = import_module(SCORER).Scorer(Path(context.artifacts["model"]))

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]  (the base class is annotated as returning None)
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The prediction table of the posted studies, one row per study, item, label and class."""
        del context, params
        return self.scorer(model_input)


mlflow.models.set_model(ServedModel())  # pyright: ignore[reportPrivateImportUsage]  (the same)
