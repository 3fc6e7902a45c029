"""What a command says of an object store that can't be: one line, exit code 1, nothing written."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from i2m2_med.cli import main
from i2m2_med.console import Progress
from i2m2_med.object_store import ObjectPath, client_of, put
from i2m2_med.scoring.export_samples import samples_at_hand
from i2m2_med.scoring.open_model import open_model
from i2m2_med.scoring.remote import fetched
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.study_checks import checked_files
from i2m2_med.scoring.workers.ray import as_row, sent_study

from .conftest import upload, with_envelope

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    assert main(list(map(str, arguments))) == 1
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 1, said.err
    assert "hidden" not in said.out + said.err
    return lines[0]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No credentials, wherever boto3 looks for them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client_of.cache_clear()
    yield
    client_of.cache_clear()


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("place", ["studies", "out", "model"])
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("s3://bucket/x", "no credentials in the environment"),
        ("s3://b/../x", "s3://BUCKET/FOLDER"),
        ("s3://bucket/../x", "'..'"),
        ("s3://", "s3://BUCKET/FOLDER"),
        ("s3://AKIA:hidden@bucket/x", "credentials and endpoint come from the environment"),
    ],
)
def test_an_address_that_leads_nowhere(
    place: str,
    address: str,
    why: str,
    digits_studies: Path,
    digits_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: dict[str, object] = {"studies": digits_studies, "out": tmp_path / "out", "model": digits_model}
    given[place] = address
    said = refused(capsys, "score", given["studies"], given["out"], "--model", given["model"], "--readers", "0")
    assert why in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("AWS_ENDPOINT_URL", "no address", "AWS_ENDPOINT_URL is no address"),
        pytest.param(
            "AWS_ENDPOINT_URL", "http://127.0.0.1:9", "can't be reached", marks=pytest.mark.slow
        ),  # tried again
        ("AWS_PROFILE", "nobody", "AWS_PROFILE names a profile that is not there"),
    ],
)
def test_an_environment_that_leads_nowhere(
    name: str,
    value: str,
    why: str,
    digits_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    if name != "AWS_PROFILE":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    assert why in refused(capsys, "score", "s3://bucket/x", tmp_path / "out", "--model", digits_model)
    assert not (tmp_path / "out").exists()


class Page(http.server.BaseHTTPRequestHandler):
    """A web server that is no object store."""

    def do_GET(self) -> None:
        """Answer anything with a page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html><body>Welcome<br></html>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.slow  # tried again
@pytest.mark.usefixtures("nowhere")
def test_a_web_page_is_no_object_store(
    digits_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{web.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
        said = refused(capsys, "score", "s3://bucket/x", tmp_path / "out", "--model", digits_model)
        web.shutdown()
    assert "is no object store (AWS_ENDPOINT_URL)" in said


@pytest.mark.slow
def test_a_bucket_that_is_not_there(
    bucket: ObjectPath, digits_studies: Path, digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = "s3://no-such-bucket/x"
    for given in ((there, tmp_path / "out", digits_model), (digits_studies, there, digits_model),
                  (digits_studies, tmp_path / "out", there)):  # fmt: skip
        said = refused(capsys, "score", *given[:2], "--model", given[2], "--readers", "0")
        assert "there is no such bucket" in said
    assert "no study folder" in refused(capsys, "score", bucket, tmp_path / "out", "--model", digits_model)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_sessions_of_a_subject_are_studies_as_on_a_disk(bucket: ObjectPath, tmp_path: Path) -> None:
    files = [f"sub-{subject}/ses-{n}/anat/a_part-mag.nii" for subject in ("01", "02") for n in (1, 2)]
    for file in (*files, "sub-03/ses-1/anat/a_part-mag.nii", "sub-04/anat/a_part-mag.nii", "sub-05/a.nii", "plain/a.nii",
                 "sub-05/ses-1/a.nii", "sub-05/ses-2/a.nii"):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
        put(bucket / "studies" / file, b"x")
    for below in ("", "/sub-01", "/sub-03", "/sub-05"):
        stored = find_studies(f"{bucket / 'studies'}{below}")
        assert [one.name for one in stored] == [one.name for one in find_studies(f"{tmp_path}{below}")]
        assert all(one.place is not None for one in stored)
    there = {one.name: one.place for one in find_studies(str(bucket / "studies"))}
    assert there["sub-02_ses-1"] == bucket / "studies/sub-02/ses-1"


@pytest.mark.slow
def test_studies_are_found_and_named_as_on_a_disk(bucket: ObjectPath, tmp_path: Path) -> None:
    """Raw files and folders, of one name or called as files are, sessions as files, hidden files, a raw file alone."""
    layouts = [
        ("sub-1/ses-1.h5", "sub-1/ses-2.h5"),
        ("a.h5", "b.h5", "a/image.npy", "c.h5/image.npy", "D.H5"),
        ("a.h5", "b.h5", "study.yaml"),
        ("A.H5", "one/image.npy"),
        ("._a.h5", ".b.npy", "one/image.npy", "sub-1/._x.nii", "sub-1/ses-1/a.nii", "sub-1/ses-2/a.nii"),
        ("what?/a.npy", "a*b/a.npy", "e\u0301/a.npy", "=x/a.npy", "a b/a.npy"),
    ]
    for number, files in enumerate(layouts):
        for file in files:
            (tmp_path / f"{number}/{file}").parent.mkdir(parents=True, exist_ok=True)
            content = b"kspace: a.h5" if file == "study.yaml" else file.encode()
            (tmp_path / f"{number}/{file}").write_bytes(content)
            put(bucket / f"{number}/{file}", content)
        for below in {"", *(f"/{file.partition('/')[0]}" for file in files if file.startswith("sub-"))}:
            stored = find_studies(f"{bucket}{number}{below}")
            on_disk = find_studies(f"{tmp_path}/{number}{below}")
            assert [one.name for one in stored] == [one.name for one in on_disk]
            for here, there in zip(on_disk, stored, strict=True):
                assert sent_study(*as_row(there).values()) == there
                with fetched(there, TemporaryDirectory) as got:
                    assert content_of(got.folder) == content_of(here.folder)


def content_of(folder: Path) -> list[bytes]:
    """The bytes of a study's files, by their names."""
    return [file.read_bytes() for file in checked_files(folder)]


@pytest.mark.slow
def test_a_session_is_scored_as_from_a_disk(
    bucket: ObjectPath, digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    for n in (0, 3):
        upload(digits_studies / f"study{n:02d}", bucket / f"studies/sub-01/ses-{n}")
    assert main(["score", str(bucket / "studies"), str(tmp_path / "out"), "--model", str(digits_model), "--readers", "0"]) == 0  # fmt: skip
    assert sorted(path.stem for path in (tmp_path / "out/studies").iterdir()) == ["sub-01_ses-0", "sub-01_ses-3"]


@pytest.mark.slow
def test_a_model_in_a_bucket_is_exported(
    bucket: ObjectPath, digits_model: Path, digits_studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_shapes = tmp_path / "model"
    shutil.copytree(digits_model, with_shapes)
    with_envelope(with_shapes, digits_studies / "study00")
    upload(with_shapes, bucket / "whole")
    assert "--studies STUDIES" in refused(capsys, "export", bucket / "whole", tmp_path / "bundle", "--graph", "onnx")
    assert not (tmp_path / "bundle").exists()
    assert main(["export", str(bucket / "whole"), str(tmp_path / "bundle")]) == 0
    assert (tmp_path / "bundle/models/i2m2/weights.safetensors").is_file()


@pytest.mark.slow
def test_a_graph_needs_real_samples_of_this_data_set(
    bucket: ObjectPath,
    digits_studies: Path,
    knee_studies: Path,
    digits_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = ("export", digits_model, tmp_path / "bundle", "--graph", "onnx")
    (tmp_path / "empty").mkdir()
    assert "--studies STUDIES" in refused(capsys, *call)
    assert "holds no study folder" in refused(capsys, *call, "--studies", tmp_path / "empty")
    assert "holds no study folder" in refused(capsys, *call, "--studies", tmp_path / "not there")
    assert "none of the 5 studies can be read by this model" in refused(capsys, *call, "--studies", knee_studies)
    assert "there is no such bucket" in refused(capsys, *call, "--studies", "s3://no-such-bucket/x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]
    upload(digits_studies / "study00", bucket / "studies/one")
    model = open_model(str(digits_model))
    [one], of = samples_at_hand(model, str(digits_model), None, str(bucket / "studies"), None, Progress())
    assert (set(one), of) == ({"image", "audio"}, "1 studies")
