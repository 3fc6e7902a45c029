"""The origins of a run: code, lock, packages, machine. Written into every run, and compared by `i2m2 verify`."""

import getpass
import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

from i2m2_med import revision
from i2m2_med.cores import usable_cores
from i2m2_med.files import digest, sha256_of


@cache
def code() -> dict[str, str]:
    """Return the git commit, whether files differ from it (`true`, `false`), and a hash over the code itself.

    A wheel carries the first two; where nobody can tell they are `unknown`. The hash is the same for a checkout and a wheel.
    """
    known = revision.revision()
    return {"commit": known["commit"], "dirty": known["dirty"], "code_sha256": source_digest()}


def source_digest() -> str:
    """Return one hash over the package, its pipelines and its shipped configs."""
    return revision.source_digest()


def lock_file() -> Path | None:
    """Return `requirements.lock` of the checkout, or the one that a wheel carries; None where there is neither."""
    places = (revision.HOME.parent / "requirements.lock", revision.HOME / "requirements.lock")
    return next((path for path in places if path.is_file()), None)


def lock_digest() -> str:
    """Return the lock's hash; `none` where there is no lock."""
    lock = lock_file()
    return sha256_of(lock) if lock else "none"


@cache
def packages() -> dict[str, str]:
    """Every installed distribution and its version, sorted by name."""
    versions = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in distributions()}
    return dict(sorted(versions.items()))


def hardware() -> dict[str, Any]:
    """The machine as far as it can move a number: processor, threads, accelerators, memory (bytes), operating system."""
    torch = sys.modules.get("torch")  # asked only where it is loaded already
    gpus = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())] if torch else []
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads() if torch else usable_cores(),
        "gpus": gpus,
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def machine_digest(machine: dict[str, Any]) -> str:
    """Equal where results must be equal to the last bit: same processor, threads, accelerators, Python."""
    return digest({key: machine[key] for key in ("processor", "threads", "gpus", "python")})[:16]


VERSIONS = (
    "i2m2-med",
    "torch",
    "monai",
    "pytorch-ignite",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "polars",
    "mlflow",
)
"""Packages that a report names; all of them are in the run's `environment.json`."""


PLACE = re.compile(r"^((?:source|tracking|split)\b[^=]*=).*")
"""A setting of where things are; what else such settings say stands in the run's config."""
PATH = re.compile(r"[^=\s]*[/\\]\S*")


def origin(run: str) -> dict[str, str]:
    """Return what a report says of its own origin: run, when, command, code, packages, machine. It differs from run to run."""
    known, machine, there = code(), hardware(), packages()
    dirty = {"true": ", with uncommitted changes", "false": ""}.get(known["dirty"], ", changes unknown")
    accelerators = ", ".join(machine["gpus"]) or "no GPU"
    return {
        "Run": run,
        "Date": datetime.now(UTC).isoformat(timespec="seconds"),
        "Command": command(sys.argv[1:]),
        "Code": f"commit {known['commit']}{dirty}; SHA-256 of its files {known['code_sha256'][:16]}",
        "Lock of packages": lock_digest()[:16],
        "Versions": ", ".join(f"{name} {there[name]}" for name in VERSIONS if name in there),
        "Machine": f"{machine['processor']}, {machine['threads']} threads, {accelerators}; Python {machine['python']}",
    }


def command(arguments: Sequence[str]) -> str:
    """Return the command line as it may be shown: where data and stores lie is `…`, since a path may name what nobody should read."""
    shown: list[str] = []
    for before, each in zip(["", *arguments], arguments, strict=False):
        place = before in {"--root", "--out", "--uri"}
        shown.append("…" if place else PATH.sub("…", PLACE.sub(r"\1…", each)))
    return " ".join(["i2m2", *shown])


def user() -> str:
    """Who runs this; the number where a container knows no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
