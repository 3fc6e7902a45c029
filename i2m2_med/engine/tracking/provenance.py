"""What a run came from: code, lock, packages, machine. Written into every run, and compared by `i2m2 verify`."""

import getpass
import hashlib
import os
import platform
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import psutil

import i2m2_med
from i2m2_med.files import digest, sha256_of

HOME = Path(i2m2_med.__file__).resolve().parent
"""The installed package; its parent is the project in a checkout, site-packages in an installation."""


@cache
def code() -> dict[str, str]:
    """Git commit, whether files differ from it (`true`/`false`), and a hash over the package's own sources (also in a wheel)."""
    inside = (HOME.parent / ".git").exists()
    commit = _git("rev-parse", "HEAD") if inside else ""
    changed = _git("status", "--porcelain") if inside else ""
    return {
        "commit": commit or f"wheel {version('i2m2-med')}",
        "dirty": "true" if changed else "false",
        "code_sha256": source_digest(),
    }


def source_digest() -> str:
    """One hash over every Python file of the package, by relative path."""
    found = hashlib.sha256()
    for file in sorted(HOME.rglob("*.py")):
        found.update(f"{file.relative_to(HOME)}\0".encode() + file.read_bytes())
    return found.hexdigest()


def lock_file() -> Path | None:
    """`requirements.lock` of the checkout; an installed wheel has none."""
    path = HOME.parent / "requirements.lock"
    return path if path.is_file() else None


def lock_digest() -> str:
    """The lock's hash; `none` where there is no lock."""
    lock = lock_file()
    return sha256_of(lock) if lock else "none"


@cache
def packages() -> dict[str, str]:
    """Every installed distribution and its version, sorted by name."""
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in distributions()}
    return dict(sorted(found.items()))


def hardware() -> dict[str, Any]:
    """The machine as far as it can move a number: processor, threads, accelerators, memory (bytes), operating system."""
    torch = sys.modules.get("torch")  # asked only where it is loaded already
    gpus = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())] if torch else []
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch else os.cpu_count(),
        "gpus": gpus,
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def machine_digest(machine: dict[str, Any]) -> str:
    """Equal where results must be equal to the last bit: same processor, threads, accelerators, Python."""
    return digest({key: machine[key] for key in ("processor", "threads", "gpus", "python")})[:16]


def user() -> str:
    """Who runs this; the number where a container knows no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def process_tags() -> dict[str, str]:
    """Who writes the run: a process id alone may be given out again, so its start time goes with it."""
    start = psutil.Process().create_time()
    return {"i2m2.host": socket.gethostname(), "i2m2.pid": str(os.getpid()), "i2m2.process_start": f"{start:.2f}"}


def still_runs(tags: dict[str, str]) -> bool | None:
    """Whether the process that `tags` name lives; None if it was on another host, which nobody here can tell."""
    if tags.get("i2m2.host") != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(tags["i2m2.pid"]))
        same = abs(process.create_time() - float(tags["i2m2.process_start"])) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return False


def _git(*words: str) -> str:
    asked = subprocess.run(["git", "-C", str(HOME.parent), *words], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
