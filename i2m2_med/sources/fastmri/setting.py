"""In what setting a volume was measured, as far as it can be told: what of the body, in which plane, and whether lines were left out."""

import re

import numpy as np

from i2m2_med.sources.formats.volume import Volume

BODY = {
    "brain": "brain", "head": "brain", "knee": "knee", "prostate": "prostate", "breast": "breast", "spine": "spine",
    "heart": "heart", "cardiac": "heart", "liver": "liver", "abdomen": "abdomen", "pelvis": "pelvis", "hip": "hip",
    "shoulder": "shoulder", "ankle": "ankle", "foot": "foot", "wrist": "wrist", "hand": "hand", "elbow": "elbow",
}  # fmt: skip
"""Words of headers and file names, and what they stand for."""
PROTOCOLS = {"CORPD": "knee", "AXFLAIR": "brain", "AXT1": "brain", "AXT2": "brain"}
"""How acquisitions of fastMRI begin, and what they show."""
PLANES = {"SAG": "sagittal", "COR": "coronal", "AX": "axial", "TRA": "axial"}
ALL_LINES = "every line measured"
LEFT_OUT = "lines left out and filled with zeros, so its images are aliased"


def anatomy_of(volume: Volume, name: str) -> str | None:
    """Return the part of the body that the header, the file's name or the acquisition says; None where they say nothing, or several.

    >>> from i2m2_med.sources.formats.volume import Volume
    >>> one = Volume(format="npy", n_slices=1, n_coils=1, readout=8, phase=8, recon=(8, 8), energies=(1.0,))
    >>> anatomy_of(one, "file_brain_AXT2_200"), anatomy_of(one, "file1000001")
    ('brain', None)
    """
    for text in (volume.body_part or "", name):
        named = {BODY[word] for word in re.findall(r"[a-z]+", text.lower()) if word in BODY}
        if named:
            return named.pop() if len(named) == 1 else None
    return _beginning(volume.acquisition, PROTOCOLS)


def plane_of(volume: Volume) -> str | None:
    """The plane that slices lie nearest to, by the affine or else as the acquisition's name begins; None where neither is known."""
    if volume.affine is None:
        return _beginning(volume.acquisition, PLANES)
    across = np.abs(np.asarray(volume.affine).reshape(4, 4)[:3, 2])
    return ("sagittal", "coronal", "axial")[int(across.argmax())]


def leaves_lines_out(kspace: np.ndarray) -> bool:
    """Whether phase-encoding lines of (coil, readout, phase) are empty between measured ones.

    Empty lines at either end are partial Fourier or zero-filling to a finer grid: they blur, but alias nothing.
    """
    measured = np.flatnonzero(kspace.any(axis=(0, 1)))
    return len(measured) > 0 and int(measured[-1] - measured[0]) + 1 > len(measured)


def lines_of(volume: Volume) -> str | None:
    """Which lines of k-space were measured, in words; None for images."""
    return None if volume.reconstructed else LEFT_OUT if volume.masked or volume.gaps else ALL_LINES


def phase_source_of(volume: Volume) -> str | None:
    """Where the phase comes from: k-space, or an image, whose unit and reference are its scanner's."""
    return ("an image" if volume.reconstructed else "k-space") if volume.has_phase else None


def _beginning(acquisition: str | None, known: dict[str, str]) -> str | None:
    return next((what for start, what in known.items() if (acquisition or "").upper().startswith(start)), None)
