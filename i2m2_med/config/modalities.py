"""Settings of modalities: from a record to tensors."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from i2m2_med.config.settings import Settings, Target

MOST_TRANSFORMS = 200
"""Transforms of a list: each may take seconds of every sample."""


class JoinedColumns(Settings):
    """Numbers and categories of a table beside the data set, a row per patient or study."""

    table: Path
    """CSV, TSV, Parquet or Excel."""
    by: Literal["patient", "study"] = "patient"
    """Whether a row is of a patient or of a study, named as the data set names them."""
    key: str | None = None
    """The table's column that names them; called `patient` or `study` where not given."""
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    """The input columns; numbers are put before categories."""
    categories: tuple[str, ...] = ()
    """Those of them that hold words."""
    levels: Annotated[int, Field(ge=2, le=1_000)] = 30
    """Words of a category that are told apart, the most frequent of training."""
    allow: tuple[str, ...] = ()
    """Columns that are read although they look like identifiers, or all but say a label."""

    @model_validator(mode="after")
    def _known(self) -> "JoinedColumns":
        if strangers := sorted(set(self.categories) - set(self.columns)):
            raise ValueError(f"categories names {', '.join(strangers)}, which columns does not")
        return self

    def fingerprinted(self) -> dict[str, Any]:
        """Without `table`, which counts by its content as every source file does."""
        return {name: value for name, value in super().fingerprinted().items() if name != "table"}


class Modalities(Settings):
    """From record to modality tensors."""

    came_later = ("device",)
    transforms: Annotated[tuple[Target, ...], Field(max_length=MOST_TRANSFORMS)] = ()
    """MONAI dictionary transforms, in order, for data sets that are read record by record."""
    train_transforms: Annotated[tuple[Target, ...], Field(max_length=MOST_TRANSFORMS)] = ()
    """Augmentations, after `transforms`, for the training split only."""
    cache: bool | Literal["disk"] = False
    """Keep samples after `transforms`: in memory (`true`: for data sets that fit, read once by the one process that trains), or on
    `disk`, in the workspace's `cache/samples`: read and decoded once for all paradigms, seeds, folds and worker processes."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where `transforms` compute in training and evaluation: `cuda`: on the GPU that trains, in its process; `training.workers` then
    only read files (k-space, say). Not with `cache`, which would keep what is computed there."""
    columns: dict[str, JoinedColumns] = {}
    """By modality, columns of a table beside any data set: `{clinical: {table: clinical.csv, columns: [age, sex], categories: [sex]}}`.
    A study to score brings them as `clinical.json`."""
    normalise: dict[str, Literal["standard", "none"]] = {}
    """By modality; `standard` subtracts the mean and divides by the standard deviation of the training split, per channel."""
