"""`--model RUN|models:/name@alias|BUNDLE|FOLDER` → a model folder, its hash, and what it may run."""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from i2m2_med.config.trust import trust
from i2m2_med.engine.prediction.model_files import read_about, read_portable
from i2m2_med.errors import ModelError
from i2m2_med.object_store import SCHEME, ObjectPath, located
from i2m2_med.scoring.job import MODEL_FILES, model_hash
from i2m2_med.scoring.remote import fetch_model
from i2m2_med.workspace import workspace

IN_BUNDLE = "models/i2m2"
"""Where a bundle that `i2m2 export` wrote holds the model folder."""


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose files are there and whose config names only trusted code."""

    folder: Path
    name: str
    """The value of the column `model`: run id, registered name and version, or the first digits of the folder's hash."""
    sha: str
    fetched_from: ObjectPath | None = None
    """Where it lies, for a model of an object store; `folder` holds it until this process ends."""


def open_model(reference: str, uri: str | None = None, more: Sequence[str] = ()) -> ModelFolder:
    """Find a model. Raises ModelError or StoreError where there is none, it is damaged, or it asks for code that nobody trusts.

    more: prefixes of `_target_` and folders that the user trusts (a model's own `plugins` don't count).
    """
    place = located(reference)
    if isinstance(place, ObjectPath):
        room = TemporaryDirectory(prefix="i2m2-model-")
        atexit.register(room.cleanup)
        folder, name = fetch_model(place, Path(room.name)), ""
    else:
        folder, name, place = *locate(reference, uri), None
    for file in MODEL_FILES:
        if not (folder / file).is_file():
            raise ModelError(f"{reference}: {place or folder} is not a model folder: it lacks {file}")
    check_trust(folder, more)
    sha = model_hash(folder)
    return ModelFolder(folder, name or sha[:12], sha, place)


def locate(reference: str, uri: str | None) -> tuple[Path, str]:
    """Return the model folder and, where the store knows it, its name."""
    path = Path(reference)
    if path.is_dir():
        inside = path / IN_BUNDLE
        return (inside if inside.is_dir() else path), ""
    from i2m2_med.engine.tracking.read import find_run
    from i2m2_med.engine.tracking.registry import model_folder, registered
    from i2m2_med.engine.tracking.store import Missing, store_uri

    uri = store_uri(workspace(), uri)
    if reference.startswith("models:/"):
        version = registered(uri, reference.removeprefix("models:/"))
        return model_folder(uri, f"runs:/{version.run.run_id}/model"), f"{version.name}/{version.version}"
    if reference.startswith("runs:/"):
        reference = reference.removeprefix("runs:/").partition("/")[0]
    try:
        run = find_run(uri, reference)
    except Missing as error:
        raise ModelError(f"{reference} is no folder, and no run: {error}") from error
    return model_folder(uri, run.run_id), run.run_id


def check_trust(folder: Path, more: Sequence[str]) -> None:
    """Raise ModelError for a model whose config names code or places that are neither listed nor trusted by the user."""
    trust(more)
    read_about(folder, read_portable(folder / "config.yaml"))


def model_card(reference: str, uri: str | None) -> str | None:
    """Return the model card in a run's report; None where the reference is no run, or the run has none."""
    from i2m2_med.engine.tracking.read import download, find_run
    from i2m2_med.engine.tracking.store import Missing, store_uri

    if Path(reference).is_dir() or reference.startswith(("models:/", SCHEME)):
        return None
    run = find_run(store_uri(workspace(), uri), reference.removeprefix("runs:/").partition("/")[0])
    try:
        return (download(run, "report") / "model_card.md").read_text(encoding="utf-8")
    except (Missing, OSError):
        return None
