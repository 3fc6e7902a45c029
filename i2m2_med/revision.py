"""Which code this is: its commit, whether files differ from it, and a hash that is the same however it was installed.

The standard library only: `setup.py` loads this file by its path to bake `revision.json` into wheels and source archives.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parent
"""The package; its parent is the project in a checkout, site-packages in an installation."""
BAKED = "revision.json"
"""In a wheel or source archive, beside this file: what `git` said where it was built."""
UNKNOWN = "unknown"
BESIDE = ("pipelines", "configs")
"""Folders beside the package in a checkout, inside it in a wheel."""
CODE = (".py", ".csv", ".yaml", ".html", ".j2", ".json")
"""Endings of files that the wheel holds (`package-data` in pyproject.toml) and that may move a number."""


def revision() -> dict[str, str]:
    """Return `commit`, `dirty` (true, false) and `lock_sha256`, each `unknown` where nobody can tell."""
    return checkout_revision(HOME.parent) or baked_revision(HOME / BAKED)


def checkout_revision(project: Path) -> dict[str, str] | None:
    """Return the revision of a git checkout; None where `project` is none. What git refuses to say is unknown, never clean."""
    if not (project / ".git").exists():
        return None
    commit, changes = git(project, "rev-parse", "HEAD"), git(project, "status", "--porcelain", "-z", "-uall")
    dirty = UNKNOWN if changes is None else str(any(map(is_change, changes.split("\0")))).lower()
    return {"commit": (commit or UNKNOWN).strip(), "dirty": dirty, "lock_sha256": lock_digest(project)}


def baked_revision(path: Path) -> dict[str, str]:
    """Return what a wheel carries."""
    nothing: dict[str, str] = dict.fromkeys(("commit", "dirty", "lock_sha256"), UNKNOWN)
    try:
        return nothing | json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return nothing


def given_revision(project: Path, environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return the revision that a build names in I2M2_COMMIT (`git describe --always --abbrev=40 --dirty`); None where it names none."""
    commit, _, changed = environment.get("I2M2_COMMIT", "").partition("-dirty")
    if commit in {"", UNKNOWN}:
        return None
    dirty = "true" if "-dirty" in environment["I2M2_COMMIT"] else "false"
    return {"commit": commit + changed, "dirty": dirty, "lock_sha256": lock_digest(project)}


def is_change(entry: str) -> bool:
    """Return whether an entry of `git status` makes the code another than the commit's: untracked data and outputs do not."""
    if not entry.startswith("??"):
        return bool(entry)
    path = entry[3:]
    return path.endswith(CODE) and path.split("/")[0] in {HOME.name, *BESIDE}


def git(project: Path, *words: str) -> str | None:
    """Return what git answers about `project`; None where it fails (dubious ownership, a damaged repository) or is not installed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(project), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def lock_digest(project: Path) -> str:
    """Return the SHA-256 of a project's `requirements.lock`; unknown where it has none."""
    path = project / "requirements.lock"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else UNKNOWN


def source_digest() -> str:
    """Return one hash over the package's code and data, its pipelines and shipped configs, wherever they lie."""
    digest = hashlib.sha256()
    for name, path in sorted(source_files()):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def source_files() -> Iterator[tuple[str, Path]]:
    """Yield (name as in a wheel, path) of every file that `source_digest` covers."""
    rooms = {part: place_of_room for part in BESIDE if (place_of_room := room(part)) is not None}
    for folder, name in ((HOME, ""), *((place, f"{part}/") for part, place in rooms.items())):
        for path in folder.rglob("*"):
            inside = path.relative_to(folder)
            counted = path.suffix in CODE and path.is_file() and inside.parts[0] not in {BAKED, "__pycache__"}
            if counted and not (folder == HOME and inside.parts[0] in rooms):
                yield f"{name}{inside.as_posix()}", path


def room(part: str) -> Path | None:
    """Return where `i2m2_med.pipelines` or `i2m2_med.configs` lies; None where it is not installed."""
    spec = find_spec(f"{HOME.name}.{part}")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None
