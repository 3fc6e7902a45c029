"""`i2m2 doctor`: what this machine offers, and what is missing."""

import os
import shutil
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from i2m2_med.console import say, table
from i2m2_med.cores import usable_cores
from i2m2_med.workspace import workspace

PACKAGES = ("torch", "monai", "pytorch-ignite", "fastmri", "mlflow", "polars", "pandas", "h5py", "nibabel", "ismrmrd")
EXTRAS = ("transformers", "ray", "submitit", "highdicom", "psycopg", "onnxruntime")
PROGRAMS = ("bart", "chromium", "postgres", "nvidia-smi")


def main() -> dict[str, Any]:
    """Look at packages, devices, disk, the tracking store and telemetry; nothing heavy is imported and nothing is changed."""
    rows = [*package_rows(), *machine(), *store()]
    table("i2m2 doctor", ["what", "found", "remark"], rows)
    missing = [name for name, value, _ in package_rows() if value == "missing" and name in PACKAGES]
    if missing:
        say(f"missing: {', '.join(missing)}; next: install i2m2-med again, `make setup` in a checkout")
    else:
        say("next: i2m2 demo shows the whole story on simulated data; i2m2 init TABLE begins with your own")
    return {"found": {name: value for name, value, _ in rows}, "exit": 1 if missing else 0}


def package_rows() -> list[tuple[str, str, str]]:
    """Versions of what is needed, and of what the extras bring."""
    extra = "optional: an extra of i2m2-med"
    return [(name, installed(name), "" if name in PACKAGES else extra) for name in (*PACKAGES, *EXTRAS)]


def installed(package: str) -> str:
    """A package's version, or 'missing'."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def machine() -> list[tuple[str, str, str]]:
    """Cores, memory, disk, GPUs by their device files, and programs that some tests use."""
    place = workspace() if workspace().exists() else Path.cwd()
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    programs = ", ".join(name for name in PROGRAMS if shutil.which(name)) or "none"
    return [
        ("cores", str(usable_cores()), ""),
        ("memory", f"{memory:.0f} GiB", ""),
        ("free disk", f"{shutil.disk_usage(place).free / 2**30:.0f} GiB", f"at {place}"),
        ("GPUs", str(gpus), "used when torch sees one; else the CPU"),
        ("programs", programs, "of those that slow tests use"),
    ]


def store() -> list[tuple[str, str, str]]:
    """The workspace's MLflow store and whether telemetry is off."""
    database = workspace() / "mlflow.db"
    state = "not made yet: the first run makes it"
    if database.exists():
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            state = f"{connection.execute('select count(*) from runs').fetchone()[0]} runs"
    return [
        ("tracking store", state, str(database)),
        ("telemetry", "off", "i2m2 sets MLFLOW_DISABLE_TELEMETRY=true before MLflow is imported"),
    ]
