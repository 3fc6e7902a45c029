"""Scoring from and into an S3 bucket, against a real server on this machine."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.console import Progress
from i2m2_med.errors import ModelError, SourceError, UserError
from i2m2_med.object_store import (
    ObjectPath,
    check_name,
    client,
    client_of,
    entries,
    entry_of,
    fetch,
    fetch_file,
    get,
    located,
    put,
    put_file,
)
from i2m2_med.scoring import remote
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.open_model import open_model
from i2m2_med.scoring.output_lock import Part, lock_output
from i2m2_med.scoring.run import Summary, score
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.watch import watch_studies

from .conftest import upload
from .test_run import HERE, but_for_seconds, score_all


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://key:secret@bucket/x",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
        "s3://bucket/a?endpoint_override=evil",
        "s3://Bucket/x",
        "s3://b/\n",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(UserError) as caught:
        located(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["../x", "a/../../x", "a//b", "/x", "a/./b", "a\\b", "a\nb", "x" * 256, "/".join("abcdefghi")]
)
def test_keys_that_are_no_files_are_refused(key: str) -> None:
    with pytest.raises(SourceError):
        check_name(key)


def test_addresses() -> None:
    assert located("s3://bucket/a/b/") == ObjectPath("bucket", "a/b")
    assert str(ObjectPath("bucket", "a") / "b") == "s3://bucket/a/b"
    assert located("a/b") == Path("a/b")


def downloaded(place: ObjectPath, folder: Path) -> Path:
    """A folder of the store."""
    folder.mkdir()
    fetch(place, folder, most=1000, largest=2**30, total=2**30)
    return folder


def score_there(bucket: ObjectPath, engine=HERE, out: str = "out", **job: object) -> Summary:
    """Score the bucket's studies by its model into it."""
    model = open_model(str(bucket / "model"))
    where = bucket / out
    job_there = Job(model.folder, "tested", model.sha, where, fetched_from=model.fetched_from, **job)  # type: ignore[arg-type]
    return score(job_there, find_studies(str(bucket / "studies"), where), engine, Part(), Progress())


pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.mark.slow
def test_the_same_bytes_as_from_and_to_a_disk(
    bucket: ObjectPath, digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    upload(digits_studies, bucket / "studies")
    upload(digits_model, bucket / "model")
    score_all(digits_studies, digits_model, tmp_path / "disk")
    summary = score_there(bucket)
    assert (summary.ok, summary.refused, summary.same) == (11, 1, 0)
    assert but_for_seconds(downloaded(bucket / "out", tmp_path / "store")) == but_for_seconds(tmp_path / "disk")
    assert score_there(bucket).same == 12
    assert summary.as_json(bucket / "out")["out"] == str(bucket / "out")


@pytest.mark.slow
@pytest.mark.parametrize("work", [("--readers", "2"), ("--processes", "2"), ("--engine", "ray")])
def test_the_command_by_every_engine(
    work: tuple[str, ...], bucket: ObjectPath, digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    """In a process of its own: what it starts has the credentials of its environment."""
    upload(digits_studies, bucket / "studies")
    upload(digits_model, bucket / "model")
    sha = model_hash(digits_model)
    job = Job(digits_model, sha[:12], sha, tmp_path / "disk")
    score(job, find_studies(str(digits_studies)), HERE, Part(), Progress())
    places = [str(bucket / "studies"), str(bucket / "out"), "--model", str(bucket / "model")]
    for same in (0, 12):
        call = [sys.executable, "-W", "ignore", "-m", "i2m2_med", "score", *places, *work, "--json"]
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=280)
        assert done.returncode == 2, done.stderr[-3000:]
        said = json.loads(done.stdout.splitlines()[-1])
        assert (said["ok"], said["refused"], said["same"], said["out"]) == (11, 1, same, str(bucket / "out"))
        assert "hidden" not in done.stdout + done.stderr
    assert but_for_seconds(downloaded(bucket / "out", tmp_path / "store")) == but_for_seconds(tmp_path / "disk")


@pytest.mark.slow
def test_volumes_side_by_side_a_bundle_and_extras(
    bucket: ObjectPath, knee_studies: Path, knee_model: Path, tmp_path: Path
) -> None:
    for file in knee_studies.rglob("*.h5"):
        put_file(bucket / "studies" / file.name, file)
    upload(knee_model, bucket / "model" / remote.IN_BUNDLE)
    assert score_there(bucket, extras=("magnitude",)).ok == 5
    store = downloaded(bucket / "out", tmp_path / "store")
    assert len(list((store / "extras").glob("*/magnitude.nii.gz"))) == 5
    assert pd.read_parquet(store / "scores.parquet")["study"].nunique() == 5


@pytest.mark.slow
def test_hostile_studies_are_refused_one_by_one(
    bucket: ObjectPath, digits_studies: Path, digits_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(digits_studies / "study00", bucket / "studies" / "good")
    upload(digits_model, bucket / "model")
    content = (digits_studies / "study00" / "image.npy").read_bytes()
    for key in (
        "up/../../image.npy",
        "clash/image.npy",
        "clash/image.npy/x",
        "double//image.npy",
        "back/a\\b.npy",
        "big/image.npy",
    ):
        client().put_object(Bucket=bucket.bucket, Key=f"studies/{key}", Body=content * (30 if "big" in key else 1))
    for number in range(30):
        put(bucket / "studies" / "many" / f"{number}.npy", b"x")
    client().put_object(Bucket=bucket.bucket, Key="studies/empty/", Body=b"")
    monkeypatch.setattr(remote, "MAX_FILES", 20)
    monkeypatch.setattr(remote, "MAX_FILE", 20 * len(content))
    summary = score_there(bucket)
    assert (summary.ok, summary.refused) == (1, 7)
    assert len(summary.reasons) >= 4
    assert not any(("study" in why and "good" in why) or "AKIA" in why or "s3://" in why for why, _ in summary.reasons)


@pytest.mark.slow
def test_an_object_is_fetched_as_it_was_listed_or_not_at_all(bucket: ObjectPath, tmp_path: Path) -> None:
    """Else a model could be half of one and half of another: of the same size, too."""
    put(bucket / "model/weights", b"before")
    [one] = entries(bucket / "model", 10, deep=True)
    fetch_file(bucket / "model/weights", tmp_path / "before", one.size, one.etag)
    assert (tmp_path / "before").read_bytes() == b"before"
    assert entry_of(bucket / "model/weights").etag == one.etag
    for later in (b"after!", b"shorter"[:3], b"much longer"):
        put(bucket / "model/weights", later)
        with pytest.raises(SourceError, match="changed while it was fetched"):
            fetch_file(bucket / "model/weights", tmp_path / "after", one.size, one.etag)
        assert not (tmp_path / "after").exists()


@pytest.mark.slow
def test_one_scorer_alone_and_a_killed_ones_lease_ends(bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        lock_output(bucket / "out", Part()),
        pytest.raises(UserError, match="another scorer"),
        lock_output(bucket / "out", Part()),
    ):
        pass
    assert get(bucket / "out" / ".score/whole.lock", 100) is None
    put(bucket / "out" / ".score/whole.lock", b"of one that was killed")
    monkeypatch.setattr(remote, "LEASE", 1.0)
    time.sleep(2.1)
    with lock_output(bucket / "out", Part()):
        time.sleep(1.0)
    with pytest.raises(UserError, match="stood still"), lock_output(bucket / "out", Part()):  # noqa: PT012
        put(bucket / "out" / ".score/whole.lock", b"another one's")
        time.sleep(1.0)
    assert get(bucket / "out" / ".score/whole.lock", 100) == b"another one's"


@pytest.mark.slow
def test_what_can_not_be_is_said_in_one_line(
    bucket: ObjectPath, digits_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="no study folder"):
        find_studies(str(bucket / "nothing"))
    with pytest.raises(SourceError, match="no such bucket"):
        list(entries(ObjectPath("other-bucket"), 10))
    with pytest.raises(SourceError, match="not there, or empty"):
        open_model(str(bucket / "nothing"))
    put(bucket / "half" / "model.json", b"{}")
    with pytest.raises(ModelError, match="lacks"):
        open_model(str(bucket / "half"))
    with pytest.raises(UserError, match="num-parts"), lock_output(bucket, Part(0, 2)):
        pass
    with pytest.raises(UserError, match="--watch"):
        watch_studies(Job(digits_model, "", "", tmp_path), str(bucket), HERE, Part(), 1.0, 1.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    client_of.cache_clear()
    with pytest.raises(SourceError, match="can't be reached") as caught:
        list(entries(bucket, 10))
    assert "hidden" not in str(caught.value)


@pytest.mark.slow
def test_a_model_that_changed_meanwhile_is_no_node_s(bucket: ObjectPath, digits_model: Path, tmp_path: Path) -> None:
    upload(digits_model, bucket / "model")
    job = Job(tmp_path / "elsewhere", "m", "another hash", tmp_path, fetched_from=bucket / "model")
    with pytest.raises(ModelError, match="another model"), remote.on_this_node(job):
        pass
    put(bucket / "model" / "model.json", json.dumps({}).encode())
    with pytest.raises((ModelError, UserError)):
        open_model(str(bucket / "model"))
