"""Record → sample. The transforms that configs name as `i2m2_med.samples.<Name>` are imported when they are first used."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

ROOMS = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__) if module.ispkg]
"""Each data set's own transforms, shifts and pictures."""
SHARED = {
    "LoadPictured": f"{__name__}.attached",
    "LoadWaveformd": f"{__name__}.attached",
    "LoadPicturesd": f"{__name__}.photographs",
    "HashedWordsd": f"{__name__}.words",
    "FrozenFeaturesd": f"{__name__}.frozen",
}
TRANSFORMS = SHARED | {name: place for room in ROOMS for name, place in getattr(room, "TRANSFORMS", {}).items()}
"""By public name, the module that defines it; the rooms of the data sets list theirs."""


def __getattr__(name: str) -> Any:
    if name not in TRANSFORMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(TRANSFORMS[name]), name)
