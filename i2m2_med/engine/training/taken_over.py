"""What `train` finished, for a `compare` of the same config: its stages of training are taken over, not trained again."""

import json
import shutil
from pathlib import Path

from i2m2_med.engine.prediction.torchrun import started
from i2m2_med.engine.tracking import provenance
from i2m2_med.errors import UserError
from i2m2_med.files import digest, write_json
from i2m2_med.parts import hold_folder

ORIGIN = "origin.json"
"""Says by what a folder of checkpoints was made."""


def note_origin(folder: Path) -> None:
    """Write down what makes the checkpoints of `folder`; `several` where it is gone on with by other code, packages or machine."""
    now, path = made_by(), folder / ORIGIN
    known = json.loads(path.read_text(encoding="utf-8"))["made_by"] if path.exists() else now
    write_json(path, {"made_by": known if known == now else "several"})


def made_by() -> str:
    """Return one hash over all beside config, data and seed that moves a number: code, packages, machine, how many processes train."""
    machine = provenance.machine_digest(provenance.hardware())
    return digest([provenance.source_digest(), provenance.packages(), machine, started()])


def take_over(trained: Path, folder: Path) -> list[str]:
    """Copy the stages that `train` has in `trained` into the folder of a comparison; return the paradigms and seeds it finished.

    Nothing where it finished none, is at work there, or was of other code, packages or machine. A stage's folder is named by all
    else that it depends on (`paradigm.py`), so the comparison ends with the weights that it would have trained.
    """
    if not trained.exists():
        return []
    try:
        with hold_folder(trained):
            made = (
                json.loads((trained / ORIGIN).read_text(encoding="utf-8"))["made_by"]
                if (trained / ORIGIN).exists()
                else ""
            )
            notes = [
                path
                for path in sorted(trained.glob("*/note.json"))
                if json.loads(path.read_text(encoding="utf-8")).get("done")
            ]
            if made != made_by() or not notes:
                return []
            for stage in [*trained.glob("stages/*"), *trained.glob("fold-*/stages/*")]:
                copy_whole(stage, folder / stage.relative_to(trained))
            return [path.parent.name for path in notes]
    except UserError:
        return []


def copy_whole(stage: Path, place: Path) -> None:
    """Copy a stage's folder, whole or not at all; one that is there stays."""
    if not place.exists():
        beside = place.with_name(f"{place.name}.part")
        shutil.copytree(stage, beside, dirs_exist_ok=True)
        beside.rename(place)
