"""Record → sample. The transforms that configs name as `i2m2_med.samples.<Name>` are imported when they are first used."""

from importlib import import_module
from typing import Any

TRANSFORMS = {
    "LoadSliced": "i2m2_med.samples.knee.transforms",
    "Reconstructd": "i2m2_med.samples.knee.transforms",
    "Modalitiesd": "i2m2_med.samples.knee.transforms",
    "Undersampled": "i2m2_med.samples.undersampling",
}
"""By public name, the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in TRANSFORMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(TRANSFORMS[name]), name)
