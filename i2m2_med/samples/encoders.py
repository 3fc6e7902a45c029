"""Which frozen encoders a run's transforms hold (`FrozenFeaturesd`), and whether they are those that a model was trained with.

Apart from the transform itself, which imports MONAI.
"""

from collections.abc import Mapping
from typing import Any

from i2m2_med.errors import ModelError


def encoder_digests(transform: Any) -> dict[str, str]:
    """By the modality that each frozen encoder among the steps of MONAI's Compose makes, the sha256 of its weights and settings."""
    steps = (step for step in getattr(transform, "transforms", ()) if hasattr(step, "encoder"))
    return {str(step.keys[0]): step.encoder.digest() for step in steps}


def check_encoders(transform: Any, trained: Mapping[str, str], where: str) -> None:
    """Raise ModelError where an encoder is not the one that a model was trained with. trained: its `encoder_digests`, none of a
    model of an earlier version, which can't be asked."""
    found = encoder_digests(transform) if trained else {}
    for name, digest in trained.items():
        if found.get(name) != digest:
            here = f"has {found[name][:12]}" if name in found else "is not there"
            raise ModelError(
                f"{where}: '{name}' was trained on vectors of the backbone {digest[:12]} (sha256 of its weights and settings), the one that "
                f"its config names {here}; put back the one that it was trained with"
            )
