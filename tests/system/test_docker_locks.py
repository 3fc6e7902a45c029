"""The images' requirement files: the versions of requirements.lock, each held to its hash."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2]
DOCKER = PROJECT / "docker"
LOCKS = ("installer.lock", "server.lock", "worker.lock")
AGAIN = "run `sh docker/lock_with_hashes.sh`"
WITHOUT_HASH = r"torch|torchvision|triton|nvidia-.+|cuda-.+"  # from torch's own index


def image_python() -> str:
    """The images' Python version."""
    return re.findall(r"^ARG PYTHON=([\d.]+)", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), re.M)[0]


def entries(name: str) -> list[str]:
    """A file's requirements, one string each with its hashes."""
    lines = [line for line in (DOCKER / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return re.sub(r"\\\n\s+", "", "\n".join(lines)).splitlines()


def pins(name: str) -> dict[str, str]:
    """Version by package of one of the images' files."""
    return dict(entry.split()[0].split("==") for entry in entries(name))


def locked() -> dict[str, str]:
    """Version by package of what requirements.lock means for the images' Python on Linux x86_64."""
    python = image_python()
    environment = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    }
    wanted = [Requirement(line) for line in (PROJECT / "requirements.lock").read_text(encoding="utf-8").splitlines()]
    holds = [each for each in wanted if each.marker is None or each.marker.evaluate({**environment})]
    return {each.name: str(each.specifier).removeprefix("==") for each in holds}


def test_the_server_installs_the_versions_of_the_lock() -> None:
    server = pins("server.lock")
    assert {"mlflow", "psycopg-binary", "boto3", "flask-wtf"} <= set(server)
    assert server.items() <= locked().items(), AGAIN


def test_the_worker_installs_the_lock_but_for_torch_s_own_index() -> None:
    hashed = {name: version for name, version in locked().items() if not re.fullmatch(WITHOUT_HASH, name)}
    assert pins("worker.lock") == hashed, AGAIN


def test_uv_is_the_version_that_made_the_files() -> None:
    version = re.findall(r"^UV=(\S+)$", (DOCKER / "lock_with_hashes.sh").read_text(encoding="utf-8"), re.M)
    assert pins("installer.lock") == {"uv": version[0]}, AGAIN


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_has_a_hash_and_the_image_asks_for_it(name: str) -> None:
    assert all(re.fullmatch(r"[\w.-]+==\S+( --hash=sha256:[0-9a-f]{64})+ ?", entry) for entry in entries(name))
    text = (DOCKER / name).read_text(encoding="utf-8")
    assert f"Python {image_python()} on Linux x86_64" in text, AGAIN
    assert "://" not in text
    installs = re.findall(
        rf"^RUN .*install .*--requirement {re.escape(name)}", (DOCKER / "Dockerfile").read_text(encoding="utf-8"), re.M
    )
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKS)
def test_the_package_index_has_these_files_and_no_dependency_is_missing(name: str, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed")
    image = ["--python-version", image_python(), "--python-platform", "x86_64-unknown-linux-gnu"]
    options = {"worker.lock": ["--no-deps"], "server.lock": ["--only-binary", ":all:"]}.get(name, [])
    command = [uv, "pip", "install", "--dry-run", "--require-hashes", "--requirement", DOCKER / name, *image, *options]
    run = subprocess.run(
        [*command, "--python", sys.executable, "--target", tmp_path / "packages"], capture_output=True, text=True
    )
    if re.search("Failed to fetch|error sending request", run.stderr):
        pytest.skip("the package index is out of reach")
    assert run.returncode == 0, run.stderr
    assert f"Would install {len(pins(name))} package" in run.stderr
