"""`i2m2 export RUN DIR`: a run's model as a MONAI bundle, and as graphs of other run times."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from i2m2_med.console import TerminalProgress, say


def main(
    run: str,
    folder: Path,
    *,
    graph: Annotated[tuple[Literal["onnx", "torch"], ...], Parameter(negative=())] = (),
    studies: str | None = None,
    root: Path | None = None,
    uri: str | None = None,
    trust: Annotated[tuple[str, ...], Parameter(negative=())] = (),
) -> dict[str, Any]:
    """Write a MONAI bundle that scores study folders with MONAI's own command.

    Parameters
    ----------
    run
        A run, `models:/name@alias`, or a model folder, on a disk or at `s3://BUCKET/FOLDER`.
    folder
        The bundle's folder, to be made.
    graph
        Write the whole model as a graph too: `onnx` (`models/model.onnx`) or `torch` (torch.export, `models/model.pt2`). Each is held
        against torch on real samples, modalities withheld in turn; where a probability differs by more than 1e-4, nothing is written.
    studies
        The real samples: studies as of `i2m2 score`. By default those of the run's validation split.
    root
        Where the run's data are now, if they moved, or `run` is a model folder.
    uri
        The MLflow store; the workspace's by default.
    trust
        Prefixes of `_target_` that the model's config may name beside the usual ones.
    """
    from i2m2_med.scoring.bundle import write_bundle
    from i2m2_med.scoring.open_model import model_card, open_model

    model = open_model(run, uri, trust)
    samples: Any = ((), "")
    if graph:
        from i2m2_med.scoring.export_samples import samples_at_hand

        samples = samples_at_hand(model, run, uri, studies, root, TerminalProgress())
    compared = write_bundle(model.folder, folder, model_card(run, uri), graph, *samples)
    say(f"bundle in {folder}; {folder / 'docs' / 'README.md'} says how MONAI runs it")
    for one in compared:
        say(one.sentence())
    say(f"next: i2m2 score STUDIES OUT --model {folder}")
    differences = {one.format: one.difference for one in compared}
    return {"bundle": str(folder), "model": model.name, **({"differences": differences} if compared else {})}
