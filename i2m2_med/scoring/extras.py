"""What is written beside a study's rows when it is asked for."""

from typing import TYPE_CHECKING, Any

from i2m2_med.scoring.results import Shelf
from i2m2_med.scoring.studies import Place

if TYPE_CHECKING:
    from i2m2_med.scoring.answer import Answerer


def write_extras(answerer: "Answerer", shelf: Shelf, place: Place, result: dict[str, Any]) -> None:
    """Pictures, saliency and DICOM reports, as the job says."""
