"""Phases of other units: right where something says them, refused where nothing does, never scaled by a guess."""

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.phase_units import phase_scale

TURN = np.pi
KNOWN = {
    "radians": (-TURN, TURN, None, 1.0, 0.0),
    "radians from 0": (0.0, 2 * TURN, None, 1.0, 0.0),
    "Siemens": (-4096, 4094, None, TURN / 4096, 0.0),
    "Siemens as stored, 0 is -pi": (0, 4095, None, TURN / 2048, -TURN),
    "arbitrary, as stored": (3, 4094, "arbitrary", TURN / 2048, -TURN),
    "few radians, said": (-0.2, 0.4, "rad", 1.0, 0.0),
    "unwrapped, said": (-40.0, 25.0, "rad", 1.0, 0.0),
    "milliradians, said": (-3142, 3141, "mrad", 1e-3, 0.0),
    "Philips, said": (-3142, 3141, "milliradials", 1e-3, 0.0),
    "degrees, said": (-180, 180, "deg", TURN / 180, 0.0),
}
REFUSED = {
    "milliradians": (-3142, 3141, None),
    "milliradians from 0": (0, 6283, None),
    "degrees": (-180, 180, None),
    "degrees from 0": (0, 359, None),
    "unwrapped": (-40.0, 25.0, None),
    "a narrow phase": (-0.2, 0.4, None),
    "half of a range": (0, 2047, None),
    "Philips": (-2048, 2047, None),
    "shares of a turn": (0, 1, None),
    "arbitrary radians": (-TURN, TURN, "arbitrary"),
    "arbitrary milliradians": (-3142, 3141, "arbitrary"),
    "stored numbers called radians": (-4096, 4094, "rad"),
    "hertz": (-200, 200, "Hz"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_right(name: str) -> None:
    low, high, units, slope, offset = KNOWN[name]
    scale = phase_scale(low, high, units, "phase.nii")
    assert (scale.slope, scale.offset) == pytest.approx((slope, offset))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(SourceError, match=r"phase\.nii.*Units") as raised:
        phase_scale(*REFUSED[name], "phase.nii")
    assert "\n" not in str(raised.value)
