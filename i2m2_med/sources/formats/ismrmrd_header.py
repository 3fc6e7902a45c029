"""The ISMRMRD XML header that a fastMRI file or an ISMRMRD raw file carries: matrix sizes, field of view, field strength."""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from i2m2_med.errors import SourceError

_NAMESPACE = "{http://www.ismrm.org/ISMRMRD}"
_MAX_BYTES = 2**22


@dataclass(frozen=True)
class Header:
    """What the reader needs of an ISMRMRD header; None where it is not said."""

    encoded: tuple[int, int] | None
    """Matrix as measured: readout (oversampled) and phase-encoding steps."""
    recon: tuple[int, int] | None
    """Matrix as reconstructed: readout and phase."""
    fov_mm: tuple[float, float, float] | None
    """Field of view of the reconstruction: readout, phase, slice thickness."""
    field_strength_t: float | None
    coils: int | None
    trajectory: str | None
    """`cartesian`, or what else was measured along."""
    phase_centre: int | None
    """Phase-encoding step that crosses the centre of k-space."""


def parse_header(xml: Any, name: str) -> Header:
    """Read the header of file `name`. Raises SourceError where it is no ISMRMRD XML."""
    if not isinstance(xml, bytes | str):
        raise SourceError(f"{name}: ismrmrd_header is not text.")
    if len(xml) > _MAX_BYTES:
        raise SourceError(f"{name}: ismrmrd_header is {len(xml)} bytes long; expected a few kilobytes of XML.")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise SourceError(f"{name}: ismrmrd_header is not XML ({error}).") from error
    encoded = _numbers(root, "encoding/encodedSpace/matrixSize", "xy", name)
    recon = _numbers(root, "encoding/reconSpace/matrixSize", "xy", name)
    fov = _numbers(root, "encoding/reconSpace/fieldOfView_mm", "xyz", name)
    coils = _number(root, "acquisitionSystemInformation/receiverChannels", name)
    centre = _number(root, "encoding/encodingLimits/kspace_encoding_step_1/center", name)
    return Header(
        (int(encoded[0]), int(encoded[1])) if encoded else None,
        (int(recon[0]), int(recon[1])) if recon else None,
        (fov[0], fov[1], fov[2]) if fov else None,
        _number(root, "acquisitionSystemInformation/systemFieldStrength_T", name),
        int(coils) if coils else None,
        root.findtext("/".join(_NAMESPACE + part for part in ("encoding", "trajectory"))),
        int(centre) if centre is not None else None,
    )


def voxel_mm(header: Header) -> tuple[float, float, float] | None:
    """Row, column and slice spacing of the reconstruction in mm."""
    if header.fov_mm is None or header.recon is None:
        return None
    return header.fov_mm[0] / header.recon[0], header.fov_mm[1] / header.recon[1], header.fov_mm[2]


def _numbers(root: ElementTree.Element, path: str, axes: str, name: str) -> tuple[float, ...] | None:
    found = [_number(root, f"{path}/{axis}", name) for axis in axes]
    return None if any(value is None for value in found) else tuple(value for value in found if value is not None)


def _number(root: ElementTree.Element, path: str, name: str) -> float | None:
    element = root.find("/".join(_NAMESPACE + part for part in path.split("/")))
    if element is None or element.text is None:
        return None
    try:
        return float(element.text)
    except ValueError as error:
        raise SourceError(f"{name}: ismrmrd_header says no number at {path}.") from error
