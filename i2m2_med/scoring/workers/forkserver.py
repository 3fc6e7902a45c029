"""What the server has imported that worker processes are forked from."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2m2_med.engine.prediction.model_files import read_portable
from i2m2_med.forkserver import start_server

PRELOADED = ("i2m2_med.scoring.workers.readers",)
"""The modules that every worker needs."""
MONAI = "monai.transforms"
"""The module that the server imports as well where a model's config names transforms: MONAI takes longer than all the rest."""


def start_method(modules: Sequence[str] = ()) -> Any:
    """Return the context in which worker processes start."""
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # tables of one study: threads cost more than they bring
    return start_server([*PRELOADED, *modules])


def modules_of(model: Path) -> tuple[str, ...]:
    """Return the modules that reading studies for this model needs, beside those that every model needs."""
    return (MONAI,) if read_portable(model / "config.yaml").modalities.transforms else ()
