"""The meaning of each counter and flag of an ISMRMRD readout here, and which readouts make up one image.

| counter | meaning here |
|---|---|
| kspace_encode_step_1 | phase-encoding line: a column of k-space |
| kspace_encode_step_2 | partition of a three-dimensional scan: transformed, its images are slices |
| slice | slice of a two-dimensional scan, ordered by where it lies |
| average | the same line measured again: averaged |
| segment | part of one k-space measured in one shot: merged |
| contrast, set, phase, repetition | images of their own: one is chosen, or the file is refused |
| encoding_space_ref | which of the header's encodings; others than the image's (0) are left out |
"""

from dataclasses import dataclass

import numpy as np
from ismrmrd import constants

from i2m2_med.config.settings import Settings
from i2m2_med.errors import SourceError

LEFT_OUT = {
    "noise": constants.ACQ_IS_NOISE_MEASUREMENT,
    "navigator": constants.ACQ_IS_NAVIGATION_DATA,
    "phase-correction": constants.ACQ_IS_PHASECORR_DATA,
    "feedback (high priority)": constants.ACQ_IS_HPFEEDBACK_DATA,
    "dummy": constants.ACQ_IS_DUMMYSCAN_DATA,
    "feedback (real time)": constants.ACQ_IS_RTFEEDBACK_DATA,
    "surface-coil": constants.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA,
    "phase-stabilisation reference": constants.ACQ_IS_PHASE_STABILIZATION_REFERENCE,
    "phase-stabilisation": constants.ACQ_IS_PHASE_STABILIZATION,
}
"""Readouts that are no image data, and their flags."""
IMAGES = ("contrast", "set", "phase", "repetition")
"""Counters of which every value is an image of its own."""
LINE = ("slice", "kspace_encode_step_1", "kspace_encode_step_2", "average")
"""Counters that together name one readout of one image."""


class Choice(Settings):
    """`source.ismrmrd`: which image of a raw file that holds several; what is not said must be the only one."""

    contrast: int | None = None
    """Number of the contrast (echo)."""
    set: int | None = None
    """Number of the set (such as a velocity encoding)."""
    phase: int | None = None
    """Number of the cardiac or other phase."""
    repetition: int | None = None
    """Number of the repetition (time point)."""
    encoding: int = 0
    """Which of the header's encodings holds the image (`encoding_space_ref`)."""


ONLY_IMAGE = Choice()
"""Nothing is chosen: a file that holds several images is refused."""


@dataclass(frozen=True)
class Chosen:
    """The readouts of one image, and what was done to get them."""

    rows: np.ndarray
    """Numbers of the readouts, in the order of the file."""
    remarks: tuple[str, ...]
    """Readouts left out, averaged or merged, in words without numbers."""


def choose(heads: np.ndarray, choice: Choice, name: str) -> Chosen:
    """The readouts of the image that `choice` names. heads: ISMRMRD's acquisition headers.

    Raises SourceError where several images are left, or where a line was measured twice and nothing says why.
    """
    flags, remarks = heads["flags"], [""] * 0
    kept = np.ones(len(heads), bool)
    for kind, flag in LEFT_OUT.items():
        kept = _without(kept, flagged(flags, flag), f"{kind} readouts left out", remarks)
    calibration = flagged(flags, constants.ACQ_IS_PARALLEL_CALIBRATION)
    also_image = flagged(flags, constants.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING)
    kept = _without(kept, calibration & ~also_image, "separate calibration readouts left out", remarks)
    kept = _without(
        kept, heads["encoding_space_ref"] != choice.encoding, "readouts of other encodings left out", remarks
    )
    if not kept.any():
        raise SourceError(f"{name} holds no image readouts of encoding {choice.encoding}.")
    for counter in IMAGES:
        kept &= _is_image(heads["idx"][counter], kept, counter, getattr(choice, counter), name)
    kept = _forwards(heads, kept, name, remarks)
    rows = np.flatnonzero(kept)
    _refuse_twice(heads["idx"][rows], name)
    for counter, done in (("average", "averages averaged"), ("segment", "segments merged")):
        if len(np.unique(heads["idx"][counter][rows])) > 1:
            remarks.append(done)
    return Chosen(rows, tuple(remarks))


def flagged(flags: np.ndarray, flag: int) -> np.ndarray:
    """Which readouts carry a flag; the package counts its bits from 1."""
    return (flags & np.uint64(1 << (flag - 1))) != 0


def _without(kept: np.ndarray, unwanted: np.ndarray, remark: str, remarks: list[str]) -> np.ndarray:
    if (kept & unwanted).any():
        remarks.append(remark)
    return kept & ~unwanted


def _is_image(values: np.ndarray, kept: np.ndarray, counter: str, wanted: int | None, name: str) -> np.ndarray:
    """Which readouts belong to the image that is asked for by `counter`."""
    there = np.unique(values[kept])
    shown = ", ".join(map(str, there[:8])) + (", …" if len(there) > 8 else "")
    if wanted is None and len(there) > 1:
        raise SourceError(
            f"{name} holds {len(there)} images by their {counter} ({shown}); say which one counts: source.ismrmrd.{counter}."
        )
    if wanted is not None and wanted not in there:
        raise SourceError(f"{name} holds no {counter} {wanted} (source.ismrmrd.{counter}); it has {shown}.")
    return values == there[0] if wanted is None else values == wanted


def _forwards(heads: np.ndarray, kept: np.ndarray, name: str, remarks: list[str]) -> np.ndarray:
    """Leave out readouts measured backwards whose lines were measured forwards too. Raises SourceError for EPI."""
    backwards = kept & flagged(heads["flags"], constants.ACQ_IS_REVERSE)
    if not backwards.any():
        return kept
    forwards = kept & ~backwards
    if not np.isin(_lines(heads[backwards]), _lines(heads[forwards])).all():
        raise SourceError(f"{name} holds lines that were only measured backwards (EPI), which can't be read.")
    remarks.append("reversed readouts left out")
    return forwards


def _lines(heads: np.ndarray) -> np.ndarray:
    """One number per slice, line and partition: counters have 16 bits."""
    slices, lines, partitions = (heads["idx"][counter].astype(np.int64) for counter in LINE[:3])
    return (slices << 32) + (lines << 16) + partitions


def _refuse_twice(idx: np.ndarray, name: str) -> None:
    """Raise SourceError where a line was measured again without a counter that says so."""
    counters = np.stack([idx[counter].astype(np.int64) for counter in LINE], axis=1)
    lines, times = np.unique(counters, axis=0, return_counts=True)
    if (times > 1).any():
        at = dict(zip(LINE, lines[np.argmax(times > 1)].tolist(), strict=True))
        raise SourceError(
            f"{name} holds line {at['kspace_encode_step_1']} of slice {at['slice']} (partition "
            f"{at['kspace_encode_step_2']}) {times.max()} times under the same counters; nothing says how they belong together."
        )
