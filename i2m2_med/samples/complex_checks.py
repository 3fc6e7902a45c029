"""Complex data must stay complex until magnitude and phase are split: several MONAI transforms drop the imaginary part silently."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from i2m2_med.errors import ConfigError

DROP_IMAGINARY = (
    "Resize",
    "NormalizeIntensity",
    "ScaleIntensity",
    "RandGaussianNoise",
    "GibbsNoise",
    "RandGibbsNoise",
    "RandRicianNoise",
    "RandRotate",
)
"""MONAI transforms seen to turn complex64 into float32 (MONAI 1.6.1); their dictionary forms end in d."""


def complex_or_refuse(record: Mapping[str, Any], key: str, reader: str) -> Tensor:
    """`record[key]` if it is there and complex. Raises ConfigError, because a transform of the config is to blame."""
    if key not in record:
        raise ConfigError(
            f"{reader} needs '{key}'. Put the transform that makes it before {reader} in modalities.transforms."
        )
    value = record[key]
    if not value.is_complex():
        raise ConfigError(
            f"'{key}' is {str(value.dtype).removeprefix('torch.')} where {reader} reads it: a transform before it dropped the imaginary "
            f"part. Put {', '.join(DROP_IMAGINARY[:3])} and their like after Modalitiesd."
        )
    return value


def lacks_kspace(record: Mapping[str, Any]) -> bool:
    """Whether a record's row has no k-space: a table's row may lack it, and has the columns all the same."""
    return record.get("_format", "") is None


def refuse_real_only(blocks: Sequence[Mapping[str, Any]], complex_keys: Sequence[str]) -> None:
    """Raise ConfigError for a transform that would drop the imaginary part of what `complex_keys` hold.

    blocks: `_target_` blocks of `modalities.transforms`; complex_keys: as the data set declares them (`Source.complex_keys`).
    """
    for block in blocks:
        name = str(block.get("_target_", "")).rsplit(".", 1)[-1]
        keys = block.get("keys", ())
        touched = [key for key in ([keys] if isinstance(keys, str) else keys) if key in complex_keys]
        if touched and name.removesuffix("ict").removesuffix("D").removesuffix("d") in DROP_IMAGINARY:
            raise ConfigError(
                f"{name} drops the imaginary part of '{touched[0]}'. Use it on what is made of it: magnitude and phase."
            )
