"""A model as one graph answers as torch does, on real samples, also where modalities are withheld; or it is not written."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i2m2_med.cli import main
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.errors import ModelError, UserError
from i2m2_med.model import I2M2
from i2m2_med.scoring import exported
from i2m2_med.scoring.bundle import write_bundle
from i2m2_med.scoring.export_samples import samples_at_hand
from i2m2_med.scoring.exported import TOLERANCE, Format, largest_difference, samples_of, variants
from i2m2_med.scoring.open_model import open_model

from .conftest import untrained, with_envelope

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def ready(digits_model: Path, digits_studies: Path) -> tuple[Path, Path]:
    """A model that can be a bundle, and studies."""
    with_envelope(digits_model, digits_studies / "study00")
    return digits_model, digits_studies


def export(model: Path, studies: Path, folder: Path, *graphs: Format) -> list[exported.Comparison]:
    """Write a bundle with graphs."""
    samples, of = samples_at_hand(open_model(str(model)), str(model), None, str(studies), None, Progress())
    return write_bundle(model, folder, None, graphs, samples, of)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_graph_is_held_against_torch_and_the_card_says_so(
    form: Format, ready: tuple[Path, Path], tmp_path: Path
) -> None:
    [one] = export(*ready, tmp_path / "bundle", form)
    assert one.difference < TOLERANCE / 10
    assert set(one.patterns) == {"audio", "image", "audio+image"}
    assert one.samples == 21  # of the twelve studies one is damaged
    assert (tmp_path / "bundle" / one.file).stat().st_size > 1000
    noted = json.loads((tmp_path / "bundle/configs/graphs.json").read_text(encoding="utf-8"))[form]
    assert noted["difference"] == one.difference
    if form == "torch":  # no pickle, and no sample of anybody's
        with zipfile.ZipFile(tmp_path / "bundle" / one.file) as packed:
            assert not [name for name in packed.namelist() if name.endswith(".pt") and packed.read(name)]
    assert f"{one.difference:.1e}" in (tmp_path / "bundle/docs/README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_onnx_file_stands_alone(ready: tuple[Path, Path], tmp_path: Path) -> None:
    """As a stranger runs it: the inputs that the card names, a batch of five, absent modalities being anything."""
    import onnxruntime

    export(*ready, tmp_path / "bundle", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "bundle/models/model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["image", "audio", "present"]
    numbers = np.random.default_rng(0)
    image, audio = (numbers.random((5, size, size), dtype=np.float32) for size in (28, 112))
    present = np.array([[True] * 5, [True, False, True, False, True]])
    shape = session.get_inputs()[0].shape
    given = {"image": image.reshape(5, *shape[1:]), "audio": audio.reshape(5, *session.get_inputs()[1].shape[1:])}
    other = (
        given | {"audio": np.where(present[1].reshape(5, 1, 1, 1), given["audio"], np.nan).astype(np.float32)}
        if given["audio"].ndim == 4
        else given
    )
    said, experts = session.run(None, given | {"present": present})
    np.testing.assert_allclose(np.exp(said).sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(said[1], experts[0, 1], atol=1e-5)  # the image's expert alone
    np.testing.assert_array_equal(session.run(None, other | {"present": present})[0], said)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["knee", "mimic3"])
def test_other_tracks(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "knee":
        model, studies = (request.getfixturevalue(f"knee_{what}") for what in ("model", "studies"))
    else:
        from i2m2_med.simulate.studies import simulate

        studies = tmp_path / "studies"
        simulate(studies, kind="mimic3", count=8, seed=3)
        state = {name: {"mean": [0.0] * n, "std": [50.0] * n} for name, n in {"series": 12, "static": 5}.items()}
        model = untrained("mimic3_demo", tmp_path / "model", (f"source.root={tmp_path}",), state)
    samples, _ = samples_at_hand(open_model(str(model)), str(model), None, str(studies), None, Progress())
    for form in ("onnx", "torch"):
        one = exported.export_graph(load_model(model, "cpu"), form, tmp_path, samples, "studies")
        assert one.difference < TOLERANCE


def test_a_graph_that_answers_otherwise_is_not_written(
    ready: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(whole: nn.Module, _: tuple[Tensor, ...], __: Tensor, path: Path) -> Any:
        path.write_text("a graph", encoding="utf-8")
        return lambda modalities, there: tuple(tensor + 0.01 for tensor in whole(modalities, there))

    monkeypatch.setitem(exported.WRITERS, "onnx", wrong)
    with pytest.raises(ModelError, match="answers other than torch"):
        export(*ready, tmp_path / "bundle", "onnx")
    assert not (tmp_path / "bundle").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_disk_without_room_for_the_graph_is_one_line(form: Format, ready: tuple[Path, Path], tmp_path: Path) -> None:
    """In a process of its own: torch's writer ends the one that it fails in."""
    model, studies = ready
    largest = max(path.stat().st_size for path in model.iterdir())
    calls = [
        "import resource, signal, sys",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest + 4096},) * 2)",
        "from i2m2_med.cli import main",
        f"sys.exit(main(['export', {str(model)!r}, 'bundle', '--graph', {form!r}, '--studies', {str(studies)!r}]))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "; ".join(calls)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "can't write" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*bundle*"))


def test_a_model_whose_answers_are_no_numbers_is_no_graph_s_fault(
    ready: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = I2M2.answer
    monkeypatch.setattr(I2M2, "answer", lambda *given, **also: (answer(*given, **also)[0] * torch.nan, None))
    monkeypatch.setitem(exported.WRITERS, "onnx", lambda whole, *_: lambda modalities, there: whole(modalities, there))
    with pytest.raises(ModelError, match="own answers"):
        export(*ready, tmp_path / "bundle", "onnx")
    assert not (tmp_path / "bundle").exists()


def test_the_whole_model_is_the_model(ready: tuple[Path, Path]) -> None:
    """Before any exporter: without branches, it says the same; where it says no number, the difference is infinite."""
    model, studies = ready
    predictor = load_model(model, "cpu")
    samples, of = samples_at_hand(open_model(str(model)), str(model), None, str(studies), None, Progress())
    assert of == "12 studies"
    rows = [row for row in variants(predictor.model, samples) if len(row) == 2]
    inputs = tuple(torch.cat([row[name] for row in rows]) for name in ("image", "audio"))
    present = torch.ones((2, len(rows)), dtype=torch.bool)
    whole = exported.WholeModel(predictor.model.eval(), ("image", "audio"))
    with torch.inference_mode():
        assert largest_difference(predictor.model, whole, ("image", "audio"), inputs, present) < 1e-6
        nan = lambda *given: tuple(tensor * torch.nan for tensor in whole(*given))  # noqa: E731
        assert largest_difference(predictor.model, nan, ("image", "audio"), inputs, present) == np.inf


def test_samples_must_be_real_and_whole(ready: tuple[Path, Path], tmp_path: Path) -> None:
    model, studies = ready
    with pytest.raises(UserError, match="--studies"):
        samples_at_hand(open_model(str(model)), str(model), None, None, None, Progress())
    samples, _ = samples_at_hand(open_model(str(model)), str(model), None, str(studies), None, Progress())
    images = [{"image": one["image"]} for one in samples if "image" in one]
    with pytest.raises(ModelError, match="has 'audio'"):
        exported.export_graph(load_model(model, "cpu"), "torch", tmp_path, images, "pictures")
    assert samples_of([]) == []


@pytest.mark.slow
def test_the_verb(ready: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, studies = ready
    assert main(["export", str(model), str(tmp_path / "bare"), "--graph", "onnx"]) == 1
    assert not (tmp_path / "bare").exists()
    call = ["export", str(model), str(tmp_path / "bundle"), "--graph", "onnx", "--studies", str(studies), "--json"]
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["differences"]["onnx"] < TOLERANCE
