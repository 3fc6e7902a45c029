"""The Docker files, held to real tools: hadolint and the Compose specification's schema. No Docker engine is needed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

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
    return yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["services"]


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
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    assert not [name for name in re.findall(r"\$\{(\w+)", text) if re.search("PASSWORD|KEY", name)]
    for service in services().values():
        named = {str(name): str(value) for name, value in dict(service["environment"]).items()}  # pyright: ignore
        secret = {name: value for name, value in named.items() if re.search("PASSWORD|KEY", name)}
        assert all(name.endswith("_FILE") and value.startswith("/run/secrets/") for name, value in secret.items())
        assert {value.rpartition("/")[2] for value in secret.values()} == set(service.get("secrets", []))  # pyright: ignore
    names = re.findall(r"^(\w+)=(.*)$", (DOCKER / "env.example").read_text(encoding="utf-8"), re.M)
    assert not [name for name, _ in names if re.search("PASSWORD|KEY", name)]
    assert set(re.findall(r"\$\{(\w+)", text)) <= {name for name, _ in names}


def test_telemetry_is_off_wherever_mlflow_runs() -> None:
    for name in ("mlflow", "worker"):
        assert services()[name]["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"  # pyright: ignore


def test_the_image_runs_as_a_plain_user_and_copies_only_what_exists() -> None:
    stages = (DOCKER / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")
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
    origins = services()["mlflow"]["environment"]["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]  # pyright: ignore
    assert origins.startswith("${MLFLOW_ORIGINS")
    assert services()["worker"]["depends_on"] == {"user": {"condition": "service_completed_successfully"}}
    assert "mlflow:5000" in services()["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]  # pyright: ignore


def test_the_environment_of_mlflow_run_is_the_lock() -> None:
    project = DOCKER.parent
    assert yaml.safe_load((project / "MLproject").read_text(encoding="utf-8"))["python_env"] == "python_env.yaml"
    wanted = yaml.safe_load((project / "python_env.yaml").read_text(encoding="utf-8"))
    assert wanted["dependencies"] == ["-r requirements.lock", "."]
    lock = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (project / "requirements.lock").read_text(encoding="utf-8"), re.M))
    pinned = dict(each.split("==") for each in wanted["build_dependencies"])
    assert {name: lock.get(name, version) for name, version in pinned.items()} == pinned


def test_secrets_are_made_once_and_are_read_whatever_they_hold(tmp_path: Path) -> None:
    for name in ("make_secrets.sh", "with-secrets.sh", "database_uri.py"):
        shutil.copy(DOCKER / name, tmp_path / name)
    contents: list[dict[str, str]] = []
    for _ in range(2):
        subprocess.run(["sh", tmp_path / "make_secrets.sh"], check=True)
        contents.append({path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == set(yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))["secrets"])
    assert all(len(value) == 48 for value in contents[0].values())
    assert len(set(contents[0].values())) == len(contents[0])
    word = tmp_path / "secrets" / "odd"
    word.write_text("p@ss%:/'\"$(touch x) word", encoding="utf-8")
    environment = {
        "DATABASE": "postgresql+psycopg://mlflow@db:5432/mlflow",
        "DATABASE_PASSWORD_FILE": str(word),
        "PATH": "/usr/bin:/bin",
    }
    command = ["sh", tmp_path / "with-secrets.sh", sys.executable, tmp_path / "database_uri.py"]
    said = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout.strip()
    assert urlsplit(said).hostname == "db"
    assert unquote(urlsplit(said).password or "") == word.read_text(encoding="utf-8")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), ("", "is empty"), ("\n", "is empty")])
def test_a_secret_that_is_not_there_starts_nothing(content: str | None, reason: str, tmp_path: Path) -> None:
    word = tmp_path / "word"
    if content is not None:
        word.write_text(content, encoding="utf-8")
    environment = {"DATABASE_PASSWORD_FILE": str(word), "PATH": "/usr/bin:/bin"}
    command = ["sh", DOCKER / "with-secrets.sh", "echo", "started"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert said.returncode != 0
    assert said.stdout == ""
    assert reason in said.stderr
