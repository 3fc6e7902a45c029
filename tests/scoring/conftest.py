"""Study folders and model folders of odd sizes, small enough for every test."""

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.engine.prediction.build import build_model
from i2m2_med.engine.prediction.predictor import Predictor, save_model
from i2m2_med.object_store import ObjectPath, client, client_of, put_file
from i2m2_med.samples.envelope import fit_envelope
from i2m2_med.samples.normalise import State
from i2m2_med.samples.preparing import open_source
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.reading import Reader
from i2m2_med.simulate.knee.write import simulate
from tests.services import running

DIGITS = """
task: digits
source: {name: avmnist, root: .}
experts:
  image: {reads: [image], network: {_target_: i2m2_med.experts.LeNet, size: 28}}
  audio: {reads: [audio], network: {_target_: i2m2_med.experts.LeNet, size: 112}}
  joint: {reads: [image, audio], network: {_target_: i2m2_med.experts.LateFusion, sizes: [28, 112]}}
"""


def untrained(config: str, folder: Path, overrides: tuple[str, ...] = (), state: State | None = None) -> Path:
    """A model folder with the config's first weights: scoring does not care what a model has learnt."""
    run, _ = load_config(config, overrides)
    labels = open_source(run).labels
    model = build_model(run, run.paradigms["i2m2"].experts, labels, 0)
    shares = [[1 / len(labels.classes)] * len(labels.classes)] * len(labels.names)
    predictor = Predictor(
        model=model.eval(),
        run=run,
        paradigm="i2m2",
        seed=0,
        labels=labels,
        state=state or {},
        shares=shares,
        device="cpu",
    )
    save_model(predictor, folder)
    return folder


def with_envelope(folder: Path, study: Path) -> None:
    """Let the model have seen one study."""
    import json

    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    reader = Reader(folder)
    about["envelope"] = fit_envelope(reader.open(study), reader.source.bounds, reader.source.kinds)
    (folder / "model.json").write_text(json.dumps(about), encoding="utf-8")


@pytest.fixture(scope="session")
def knee_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small knee I2M2 that answers per slice and per study."""
    root = tmp_path_factory.mktemp("knee_model")
    return untrained("knee_demo", root / "model", (f"source.root={root}", "scoring.batch=2", "evaluation.volumes=max"))


@pytest.fixture(scope="session")
def knee_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five knee studies of three slices, 64 × 46."""
    root = tmp_path_factory.mktemp("knee")
    simulate(root / "data", volumes=5, slices=3, matrix="64x46", seed=3)
    for path in sorted((root / "data").rglob("*.h5")):
        folder = root / "studies" / f"knee {path.stem[-2:]}"
        folder.mkdir(parents=True)
        shutil.copy(path, folder / path.name)
    return root / "studies"


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small AV-MNIST I2M2: image, audio and both."""
    root = tmp_path_factory.mktemp("digits_model")
    (root / "digits.yaml").write_text(DIGITS, encoding="utf-8")
    return untrained(str(root / "digits.yaml"), root / "model", (f"source.root={root}", "scoring.batch=4"))


@pytest.fixture(scope="session")
def digits_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve studies: both modalities, one of the two, or none."""
    root = tmp_path_factory.mktemp("digits") / "studies"
    numbers = np.random.default_rng(5)
    for index in range(12):
        folder = root / f"study{index:02d}"
        folder.mkdir(parents=True)
        count = 1 + index % 3
        if index % 4 != 1:
            np.save(folder / "image.npy", numbers.random((count, 28, 28), dtype=np.float32))
        if index % 4 not in (2,):
            np.save(folder / "audio.npy", numbers.random((count, 112, 112), dtype=np.float32))
        if index == 11:
            (folder / "image.npy").write_bytes(b"damaged")
    return root


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a local S3 server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(call, tmp_path_factory.mktemp("s3") / "log"):
        for _ in range(600):
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ObjectPath]:
    """A fresh bucket."""
    values = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AWS_REGION": "us-east-1",
    }
    for name, value in (values | {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}).items():
        monkeypatch.setenv(name, value)
    client_of.cache_clear()
    place = ObjectPath(f"test-{abs(hash(request.node.name)) % 10**9}")
    client().create_bucket(Bucket=place.bucket)
    yield place
    client().close()
    client_of.cache_clear()


def upload(folder: Path, place: ObjectPath) -> None:
    """All files of a folder."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        put_file(place / file.relative_to(folder).as_posix(), file)


def job_of(model: Path, out: Path) -> Job:
    """How the tests score."""
    return Job(model, "tested", model_hash(model), out)
