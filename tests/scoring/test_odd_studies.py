"""Odd numbers and files inside studies end in a reason that is foreseen, and lose no other study."""

import io
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from i2m2_med.scoring.reading import Chunk, Reader, Refusal

from .test_run import contents, score_all

NUMBER = re.compile(r">(-?\d+(?:\.\d+)?)<")
ODD = ("1e400", "nan", "-inf", "-1", "0", "", "9" * 400, "1e-400", "0x10", "١", "1_0", "\N{FULLWIDTH DIGIT ONE}")


def outcome(reader: Reader, folder: Path) -> Refusal | None:
    """Why a study is refused, None where it is read."""
    try:
        reader.content(folder)
    except Exception as error:
        pytest.fail(f"{type(error).__name__}: {error}")
    pieces = list(reader.chunks(folder))
    assert pieces
    assert all(isinstance(piece, Chunk) for piece in pieces[:-1])
    return pieces[-1] if isinstance(pieces[-1], Refusal) else None


def with_header(study: Path, target: Path, header: str) -> Path:
    """A copy of a study whose file has another header."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(study, target)
    with h5py.File(next(target.glob("*.h5")), "r+") as file:
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = header.encode()
    return target


def odd_headers(header: str) -> Iterator[str]:
    """The header with each of its numbers replaced by each odd one, and headers that are none."""
    yield from ("", " ", "<", "<a/>", "<ismrmrdHeader/>", header[: len(header) // 2], "<a>" * 5000, "&#0;")
    for number in NUMBER.finditer(header):
        yield from (header[: number.start(1)] + odd + header[number.end(1) :] for odd in ODD)


def test_every_number_of_a_header_may_be_odd(knee_studies: Path, knee_model: Path, tmp_path: Path) -> None:
    reader, study = Reader(knee_model), knee_studies / "knee 01"
    with h5py.File(next(study.glob("*.h5"))) as file:
        header = bytes(file["ismrmrd_header"][()]).decode()  # type: ignore[index]
    tried = 0
    for odd in odd_headers(header):
        refused = outcome(reader, with_header(study, tmp_path / "study", odd))
        assert refused is None or "not foreseen" not in refused.why, odd
        tried += 1
    assert tried > 100


def files_that_are_none() -> dict[str, bytes]:
    """Contents of a file called .npy that are no array of numbers."""
    packed, empty, text, record = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(packed, image=np.zeros((1, 28, 28), np.float32))
    np.save(empty, np.zeros((0, 28, 28), np.float32))
    np.save(text, np.array(["a", "b"]))
    np.save(record, np.zeros(3, dtype=[("a", float), ("b", int)]))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a", b"x")
    head = b"\x93NUMPY\x01\x00v\x00"
    shapes = ("(2**40, 28, 28)", f"({10**30}, 28)", "(-1, 28)", "([3],)", "7", "()", f"({'(' * 50}1{',)' * 50},)")
    headers = [f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}" for shape in shapes]
    return {
        "npz": packed.getvalue(),
        "empty": empty.getvalue(),
        "text": text.getvalue(),
        "record": record.getvalue(),
        "zip": zipped.getvalue(),
        "nothing": b"",
        "cut": head,
        "pickle": b"\x80\x04K\x01.",
        **{f"shape {shape}": head + text.ljust(118).encode() for shape, text in zip(shapes, headers, strict=True)},
        "descr": head + b"{'descr': '<M8[', 'fortran_order': False, 'shape': (1, 28, 28), }".ljust(118),
        "complex": head + b"{'descr': '<c16', 'fortran_order': False, 'shape': (1, 1, 1), }".ljust(118) + bytes(16),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("modality", ["image", "audio"])
def test_what_is_called_npy_and_is_none(modality: str, digits_model: Path, tmp_path: Path) -> None:
    reader = Reader(digits_model)
    for name, content in files_that_are_none().items():
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        (folder / f"{modality}.npy").write_bytes(content)
        refused = outcome(reader, folder)
        assert refused is not None, name
        assert "not foreseen" not in refused.why, (name, refused.why)


@pytest.mark.filterwarnings("ignore")
def test_a_knee_study_of_npy_that_is_none(knee_model: Path, tmp_path: Path) -> None:
    reader = Reader(knee_model)
    for name, content in files_that_are_none().items():
        folder = tmp_path / "study"
        folder.mkdir(exist_ok=True)
        (folder / "kspace.npy").write_bytes(content)
        refused = outcome(reader, folder)
        assert refused is not None, name
        assert "not foreseen" not in refused.why, (name, refused.why)


BOMBS = {
    "merges": "a: &a {x: y}\n" + "".join(f"{i}: &{i} {{<<: [{', '.join(['*a'] * 30)}]}}\n" for i in range(5)),
    "aliases": "a: &a [x]\nb: &b [*a, *a]\n",
    "depth": "[" * 3000,
    "depth of mappings": "? " * 3000,
    "depth of blocks": "- " * 3000,
    "many names": "".join(f"n{i}: f\n" for i in range(4000)),
    "too long": "a: " + "x" * 70_000,
    "a long name": "kspace: " + "x" * 5000,
    "NUL": 'kspace: "a\\0b"',
    "half a sign": 'kspace: "\\ud800"',
    "a tag": "kspace: !!python/object/apply:os.system [true]",
    "not UTF-8": "kspace: \udcff",
    "a number": "kspace: 7",
    "outside": "kspace: ../../etc/passwd",
    "a list": "- kspace",
    "two documents": "kspace: a\n---\nkspace: b",
    "a circle": "kspace: loop",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_description_is_read_within_a_second_or_refused(
    bomb: str, knee_studies: Path, knee_model: Path, tmp_path: Path
) -> None:
    study = tmp_path / "studies" / "one"
    shutil.copytree(knee_studies / "knee 01", study)
    shutil.copytree(knee_studies / "knee 02", tmp_path / "studies" / "two")
    (study / "study.yaml").write_text(BOMBS[bomb], encoding="utf-8", errors="surrogateescape")
    if bomb == "a circle":
        (study / "loop").symlink_to("loop")
    reader, began = Reader(knee_model), time.process_time()
    with pytest.raises(Exception, match=r"study\.yaml|a link in the study"):
        reader.content(study)
    assert time.process_time() - began < 20  # not minutes: what is hostile costs no more than what is not
    summary = score_all(tmp_path / "studies", knee_model, tmp_path / "out")
    assert (summary.ok, summary.refused) == (1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_refuses_that_study(
    value: float, digits_model: Path, digits_studies: Path, tmp_path: Path
) -> None:
    """One expert's weights are no numbers: studies that it does not read are scored."""
    model = tmp_path / "model"
    shutil.copytree(digits_model, model)
    weights = load_file(model / "weights.safetensors")
    for name, tensor in weights.items():
        if name.startswith("experts.image.") and tensor.is_floating_point():
            tensor.fill_(value)
    save_file(weights, model / "weights.safetensors")
    summary = score_all(digits_studies, model, tmp_path / "out")
    assert summary.ok == 3  # audio alone
    assert dict(summary.reasons)["the model's prediction is no number (NaN or infinite)"] == 8


def test_names_of_studies_are_nobody_elses(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    """Two studies `a` and `a.json`, and ones called like tables and folders, with files beside the rows."""
    names = ["a", "a.json", "scores.csv", "scores.parquet", ".score", "studies", "extras", "a.json.json", "whole.lock"]
    for name in names:
        shutil.copytree(digits_studies / "study00", tmp_path / "studies" / name)
    (tmp_path / "list.csv").write_text("study\n" + "".join(f"studies/{name}\n" for name in names), encoding="utf-8")
    out = tmp_path / "out"
    summary = score_all(tmp_path / "list.csv", digits_model, out)
    assert (summary.ok, summary.refused) == (9, 0)
    first = contents(out)
    assert len(first) == 9 + 2
    assert score_all(tmp_path / "list.csv", digits_model, out).same == 9
    assert contents(out) == first
