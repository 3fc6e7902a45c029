"""`i2m2 export RUN DIR`: a run's model as a MONAI bundle."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from i2m2_med.console import say


def main(
    run: str, folder: Path, *, uri: str | None = None, trust: Annotated[tuple[str, ...], Parameter(negative=())] = ()
) -> dict[str, Any]:
    """Write a MONAI bundle that scores study folders with MONAI's own command.

    Parameters
    ----------
    run
        A run, `models:/name@alias`, or a model folder.
    folder
        The bundle's folder, to be made.
    uri
        The MLflow store; the workspace's by default.
    trust
        Prefixes of `_target_` that the model's config may name beside the usual ones.
    """
    from i2m2_med.scoring.bundle import write_bundle
    from i2m2_med.scoring.open_model import model_card, open_model

    model = open_model(run, uri, trust)
    write_bundle(model.folder, folder, model_card(run, uri))
    say(f"bundle in {folder}; {folder / 'docs' / 'README.md'} says how MONAI runs it")
    say(f"next: i2m2 score STUDIES OUT --model {folder}")
    return {"bundle": str(folder), "model": model.name}
