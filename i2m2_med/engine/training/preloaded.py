"""What the server has imported that training processes are forked from. This module imports nothing heavy itself."""

from typing import Any

from i2m2_med.engine.tracking.store import quieten
from i2m2_med.forkserver import start_server

PRELOADED = (
    "i2m2_med.engine.training.side_by_side",
    "i2m2_med.report.run_report",
    "i2m2_med.report.comparison_report",
    "monai.engines.trainer",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "sklearn.linear_model",
)
"""Modules that each training needs: a second or more of every process's time, and only once of the server's."""


def start() -> Any:
    """Return the context in which training processes start; its server imports what they need from now on, while this one goes on."""
    quieten()
    return start_server(PRELOADED)
