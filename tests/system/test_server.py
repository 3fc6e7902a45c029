"""The hospital's set-up, with real parts: PostgreSQL, an S3 store, MLflow with basic auth; train, verify, register, score, serve."""

import base64
import io
import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from tests.services import running
from tests.system.conftest import BIN, Server, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def i2m2(server: Server, user: str, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """One command of `user` on a workspace in `folder`, as a process."""
    environment = server.environment(user, folder / "work")
    command = [str(BIN / "i2m2"), *map(str, words)]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def answer(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stderr[-3000:]
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Story:
    """A run that `trainer` trained, verified and registered over HTTP."""

    folder: Path
    run: str
    studies: Path
    scores: pd.DataFrame


@pytest.fixture(scope="module")
def story(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("trainer")
    assert (
        i2m2(
            server,
            "trainer",
            folder,
            *["simulate", "knee", "knee_data", "--volumes", "16", "--slices", "3", "--matrix", "64x64"],
        ).returncode
        == 0
    )
    settings = "training.epochs=1 evaluation.bootstrap=20 split.test=0.4 split.valid=0.3 paradigm=unimodal_magnitude"
    words = [word for setting in (*settings.split(), f"source.root={folder / 'knee_data'}") for word in ("-s", setting)]
    trained = answer(i2m2(server, "trainer", folder, "train", "knee_demo", *words, "--json"))
    verified = answer(i2m2(server, "trainer", folder, "verify", trained["run"], "--json"))
    assert verified["verified"] is True
    made = answer(
        i2m2(server, "trainer", folder, "register", trained["run"], "--name", "knee", "--allow-dirty", "--json")
    )
    assert made == {"name": "knee", "version": "1", "alias": "champion", "run": trained["run"], "forced": None}
    studies = folder / "studies"
    for number, volume in enumerate(sorted((folder / "knee_data").rglob("*.h5"))[:2]):
        (studies / f"study{number}").mkdir(parents=True)
        shutil.copy(volume, studies / f"study{number}" / "volume.h5")
    scored = i2m2(
        server,
        "trainer",
        folder,
        "score",
        studies,
        folder / "out",
        "--model",
        "models:/knee@champion",
        "--readers",
        "0",
    )
    assert scored.returncode == 0, scored.stderr
    return Story(folder, trained["run"], studies, pd.read_parquet(folder / "out" / "scores.parquet"))


def test_runs_live_in_postgresql_and_artifacts_in_the_volume(server: Server, story: Story) -> None:
    assert server.query(f"SELECT status FROM runs WHERE run_uuid = '{story.run}'").strip() == "FINISHED"
    assert int(server.query("SELECT count(*) FROM alembic_version_auth")) == 1
    kept = " ".join(map(str, server.artifacts.rglob("*")))
    assert f"{story.run}/artifacts/model/weights.safetensors" in kept
    assert f"{story.run}/artifacts/verification.json" in kept
    assert not (story.folder / "work" / "mlflow.db").exists()


def test_the_registered_model_scores(story: Story) -> None:
    assert set(story.scores["status"]) == {"ok"}
    assert set(story.scores["model"]) == {"knee/1"}
    assert story.scores["study"].nunique() == 2


def test_a_user_without_rights_gets_nothing_and_is_told_in_a_line(server: Server, story: Story, tmp_path: Path) -> None:
    words = ("score", story.studies, tmp_path / "out", "--model", "models:/knee@champion")
    refused = i2m2(server, "visitor", tmp_path, *words)
    assert (
        one_line(refused) == f"StoreError: {server.uri} knows you but gives you no right to this; ask its administrator"
    )
    assert "no right" in one_line(i2m2(server, "visitor", tmp_path, "verify", story.run))
    assert answer(i2m2(server, "visitor", tmp_path, "runs", "--json")) == {"runs": []}


def test_a_wrong_password_is_told_in_a_line_before_anything_is_trained(server: Server, story: Story) -> None:
    wrong = Server(server.uri, server.folder, server.artifacts, {"trainer": "guessed"})
    for words in (["runs"], ["train", "knee_demo", "-s", "split.test=0.4", "-s", "split.valid=0.3"]):
        said = one_line(i2m2(wrong, "trainer", story.folder, *words))
        assert "refuses the user or password; set MLFLOW_TRACKING_USERNAME" in said
        assert "guessed" not in said


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only line of the error; a traceback or a second line is a failure."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("StoreError")]
    return line


def test_the_served_model_gives_the_numbers_of_score(server: Server, story: Story) -> None:
    """`mlflow models serve`: a study by its folder, and one as a zip in the request."""
    port = free_port()
    command = [str(BIN / "mlflow"), "models", "serve", "-m", "models:/knee@champion", "--env-manager", "local"]
    environment = server.environment("trainer", story.folder / "work") | {"I2M2_STUDIES": str(story.studies)}
    log = server.folder / "serve.log"
    with running([*command, "--port", str(port), "--host", "127.0.0.1"], log, environment):
        wait_until(lambda: pings(port), "mlflow models serve", log)
        body = {
            "dataframe_records": [
                {"study": str(story.studies / "study0")},
                {"study": "study1", "archive": packed(story.studies / "study1")},
            ]
        }
        said = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=120)
        body = {"dataframe_records": [{"folder": "study0"}]}
        without = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=120)
    assert said.status_code == 200, said.text
    assert without.status_code >= 400
    same_numbers(pd.DataFrame(said.json()["predictions"]), story.scores)


def test_mlflow_models_predict_gives_the_numbers_of_score(server: Server, story: Story, tmp_path: Path) -> None:
    asked = tmp_path / "asked.json"
    records = [{"study": str(story.studies / name)} for name in ("study0", "study1")]
    asked.write_text(json.dumps({"dataframe_records": records}), encoding="utf-8")
    command = [str(BIN / "mlflow"), "models", "predict", "-m", "models:/knee@champion", "--env-manager", "local"]
    environment = server.environment("trainer", story.folder / "work") | {"I2M2_STUDIES": str(story.studies)}
    done = subprocess.run(
        [*command, "-i", str(asked), "-o", str(tmp_path / "said.json")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    same_numbers(
        pd.DataFrame(json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))["predictions"]), story.scores
    )


def same_numbers(served: pd.DataFrame, scored: pd.DataFrame) -> None:
    key = ["study", "item", "label", "class"]
    served, scored = (table.sort_values(key).reset_index(drop=True) for table in (served, scored))
    assert served[key].astype(str).equals(scored[key].astype(str))
    for column in ("p", "p_magnitude", "uncalibrated"):
        np.testing.assert_array_equal(served[column].astype(float), scored[column].astype(float))
    assert served["decision"].tolist() == scored["decision"].tolist()


def packed(folder: Path) -> str:
    """A study folder as a base64 zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return base64.b64encode(content.getvalue()).decode()


def pings(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).ok
    except requests.RequestException:
        return False


def test_mlflow_run_reaches_the_same_server(server: Server, story: Story) -> None:
    """The MLproject's entry point, in this environment: MLflow's own run, and ours beside it."""
    environment = server.environment("trainer", story.folder / "work")
    project = Path(__file__).parents[2]
    command = [
        str(BIN / "mlflow"),
        "run",
        str(project),
        "--env-manager",
        "local",
        "-e",
        "verify",
        "-P",
        f"run={story.run}",
    ]
    done = subprocess.run(
        [*command, "--experiment-name", "projects"], env=environment, capture_output=True, text=True, cwd=story.folder
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "1 of 1 runs verified" in done.stderr + done.stdout


def test_no_password_is_in_any_log_or_list_of_processes(server: Server, story: Story) -> None:
    del story
    texts = [path.read_text(errors="replace", encoding="utf-8") for path in server.folder.glob("*log*")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    everything = "\n".join(texts)
    for password in (*server.passwords.values(), "a database's password", "a%20database's%20password"):
        assert password not in everything
    assert re.search(r"Uvicorn|uvicorn|gunicorn|Listening", everything, re.I)
