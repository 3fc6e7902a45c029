"""The Docker files, held to real tools: hadolint and the Compose specification's schema. No Docker engine is needed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"


def tool(name: str) -> str:
    """A command of the environment or the system."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (it is in requirements.lock)")
    return found


def services() -> dict[str, dict[str, object]]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


def test_hadolint_has_nothing_to_say() -> None:
    said = subprocess.run([tool("hadolint"), DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def test_the_compose_files_follow_the_specification() -> None:
    files = [DOCKER / "compose.yaml", DOCKER / "compose.cuda.yaml"]
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", sorted(services()))
def test_every_service_is_pinned_hardened_and_watched(name: str) -> None:
    service = services()[name]
    image = str(service["image"])
    assert re.search(r":[\w.-]*\d", image), f"{image} has no version"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "test" in service["healthcheck"]  # pyright: ignore[reportOperatorIssue]


def test_no_password_stands_in_the_files_and_none_has_a_default() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    secrets = [name for name in re.findall(r"\$\{(\w+)", text) if re.search("PASSWORD|KEY", name)]
    assert len(secrets) >= 6
    assert all(re.search(rf"\$\{{{name}:\?", text) for name in secrets)
    names = re.findall(r"^(\w+)=(.*)$", (DOCKER / "env.example").read_text(), re.M)
    assert all(not value for name, value in names if re.search("PASSWORD|KEY", name))
    assert set(re.findall(r"\$\{(\w+)", text)) <= {name for name, _ in names}


def test_telemetry_is_off_wherever_mlflow_runs() -> None:
    for name in ("mlflow", "worker"):
        assert services()[name]["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"  # pyright: ignore


def test_the_image_runs_as_a_plain_user_and_copies_only_what_exists() -> None:
    stages = (DOCKER / "Dockerfile").read_text().split("\nFROM ")
    for stage in stages:
        if " AS server\n" in stage or stage.endswith(" AS i2m2\n") or "base AS i2m2\n" in stage:
            assert "USER 10001:10001" in stage
            assert "HEALTHCHECK" in stage
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", "\n".join(stages), re.M):
        for source in sources.split():
            assert (DOCKER.parent / source).exists(), source


def test_the_server_has_the_ports_and_names_that_the_worker_uses() -> None:
    environment = services()["worker"]["environment"]
    assert environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"  # pyright: ignore
    assert "mlflow:5000" in services()["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]  # pyright: ignore


def test_the_environment_of_mlflow_run_is_the_lock() -> None:
    project = DOCKER.parent
    assert yaml.safe_load((project / "MLproject").read_text())["python_env"] == "python_env.yaml"
    wanted = yaml.safe_load((project / "python_env.yaml").read_text())
    assert wanted["dependencies"] == ["-r requirements.lock", "."]
    lock = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (project / "requirements.lock").read_text(), re.M))
    pinned = dict(each.split("==") for each in wanted["build_dependencies"])
    assert {name: lock.get(name, version) for name, version in pinned.items()} == pinned
