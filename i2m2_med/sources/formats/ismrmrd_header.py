"""The ISMRMRD XML header that a fastMRI file or an ISMRMRD raw file carries: matrices, fields of view, field strength.

Read with the schema classes of the ismrmrd package, whatever namespace the file's writer gave its elements.
"""

import warnings
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from i2m2_med.errors import SourceError

_NAMESPACE = "http://www.ismrm.org/ISMRMRD"
_MAX_BYTES = 2**22
MAX_TESLA = 100
SIMULATED = "simulated"
MAX_MATRIX = 2**14
"""Samples along one axis; no scanner measures or reconstructs more."""


@dataclass(frozen=True)
class Space:
    """A grid: readout, phase-encoding steps, partitions (1 in two-dimensional scans)."""

    matrix: tuple[int, int, int]
    fov_mm: tuple[float, float, float]
    """Field of view; along the third axis of two-dimensional scans the slice thickness."""

    def pixel_mm(self, axis: int) -> float:
        """Spacing of the grid along an axis."""
        return self.fov_mm[axis] / self.matrix[axis]


@dataclass(frozen=True)
class Encoding:
    """How one k-space was measured, and onto which grid it is to be reconstructed."""

    encoded: Space
    recon: Space
    trajectory: str
    """`cartesian`, or what else was measured along."""
    centres: tuple[int | None, int | None]
    """Phase-encoding step and partition that cross the centre of k-space; None where the header does not say."""
    steps: tuple[int | None, int | None]
    """Phase-encoding steps and partitions counted from 0 to the last one; None where the header does not say."""


@dataclass(frozen=True)
class Header:
    """Fields of an ISMRMRD header that the readers need; None where it does not say."""

    encodings: tuple[Encoding, ...]
    """The image's first; reference scans may have others. At least one."""
    field_strength_t: float | None = None
    coils: int | None = None
    body_part: str | None = None
    simulated: bool = False
    """The scanner's vendor is "simulated": what simulators write there."""


def parse_header(xml: Any, name: str) -> Header:
    """Read the header of file `name`. Raises SourceError where it is no ISMRMRD XML, or lacks an encoding's sizes."""
    root = _root(xml, name)
    from ismrmrd import xsd

    system = root.find(f"{{{_NAMESPACE}}}acquisitionSystemInformation")
    about = None if system is None else _typed(system, xsd.acquisitionSystemInformationType, name)
    try:  # an empty element passes the schema as an empty text
        encodings = [_encoding(_typed(element, xsd.encodingType, name), name) for element in _named(root, "encoding")]
        header = Header(
            tuple(encodings),
            None if about is None else _field_strength(about.systemFieldStrength_T, name),
            None if about is None or about.receiverChannels is None else int(about.receiverChannels),
            root.findtext(f"{{{_NAMESPACE}}}studyInformation/{{{_NAMESPACE}}}bodyPartExamined"),
            about is not None and str(about.systemVendor).strip().lower() == SIMULATED,
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"{name}: ismrmrd_header holds no number where one is needed.") from error
    if not encodings:
        raise SourceError(f"{name}: ismrmrd_header describes no encoding.")
    return header


def _field_strength(value: Any, name: str) -> float | None:
    """In tesla; None where the header does not say, or says 0. Raises SourceError for what is no field strength."""
    if value is None:
        return None
    tesla = float(value)
    if not 0 <= tesla < MAX_TESLA:
        raise SourceError(f"{name}: ismrmrd_header declares a field strength that is none (0 to {MAX_TESLA} T).")
    return tesla or None


def _root(xml: Any, name: str) -> ElementTree.Element:
    """The parsed text, every element in ISMRMRD's namespace."""
    if not isinstance(xml, bytes | str):
        raise SourceError(f"{name}: ismrmrd_header is not text.")
    if len(xml) > _MAX_BYTES:
        raise SourceError(f"{name}: ismrmrd_header is {len(xml)} bytes long; expected a few kilobytes of XML.")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise SourceError(f"{name}: ismrmrd_header is not XML ({error}).") from error
    for element in root.iter():
        element.tag = f"{{{_NAMESPACE}}}{str(element.tag).rpartition('}')[2]}"
    return root


def _named(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return root.findall(f"{{{_NAMESPACE}}}{name}")


def _typed(element: ElementTree.Element, kind: Any, name: str) -> Any:
    """One element as the schema's class; what the schema does not know is left alone, what it misses is refused."""
    from xsdata.exceptions import ConverterWarning, ParserError
    from xsdata.formats.dataclass.parsers import XmlParser
    from xsdata.formats.dataclass.parsers.config import ParserConfig

    parser = XmlParser(config=ParserConfig(fail_on_unknown_properties=False, fail_on_unknown_attributes=False))
    part = str(element.tag).rpartition("}")[2]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConverterWarning)
            return parser.from_bytes(ElementTree.tostring(element), kind)
    except ConverterWarning as error:
        raise SourceError(f"{name}: ismrmrd_header holds no number where {part} needs one.") from error
    except (ParserError, TypeError, ValueError) as error:
        missing = str(error).rpartition(": ")[2] if "missing" in str(error) else type(error).__name__
        raise SourceError(
            f"{name}: ismrmrd_header does not follow the ISMRMRD schema at {part} ({missing})."
        ) from error


def _encoding(typed: Any, name: str) -> Encoding:
    limits = typed.encodingLimits
    along = (limits.kspace_encoding_step_1, limits.kspace_encoding_step_2) if limits else (None, None)
    return Encoding(
        _space(typed.encodedSpace, name),
        _space(typed.reconSpace, name),
        str(getattr(typed.trajectory, "value", typed.trajectory)),
        (_centre(along[0]), _centre(along[1])),
        (along[0] and int(along[0].maximum) + 1, along[1] and int(along[1].maximum) + 1),
    )


def _centre(limit: Any) -> int | None:
    """The step that crosses the centre of k-space; 0 is the schema's default, and of several steps it is never the central one."""
    return None if limit is None or (limit.center == 0 < limit.maximum) else int(limit.center)


def _space(typed: Any, name: str) -> Space:
    matrix, fov = typed.matrixSize, typed.fieldOfView_mm
    sizes, lengths = (matrix.x, matrix.y, matrix.z), (fov.x, fov.y, fov.z)
    if not all(0 < size <= MAX_MATRIX for size in sizes):
        raise SourceError(f"{name}: ismrmrd_header declares a matrix of {' × '.join(map(str, sizes))}.")
    if not all(0 < length < 10_000 for length in lengths[:2]) or not 0 <= lengths[2] < 10_000:
        raise SourceError(
            f"{name}: ismrmrd_header declares a field of view of {' × '.join(map(str, lengths))} mm; pixels have no size."
        )
    return Space((int(sizes[0]), int(sizes[1]), int(sizes[2])), (float(fov.x), float(fov.y), float(fov.z)))
