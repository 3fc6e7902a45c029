"""`i2m2 score` as a person calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.cli import main
from tests.scoring.conftest import digits_model, digits_studies

__all__ = ["digits_model", "digits_studies"]


def test_one_json_object_and_exit_code_2(
    digits_studies: Path, digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["score", str(digits_studies), str(tmp_path), "--model", str(digits_model), "--readers", "0", "--json"]
    assert main(call) == 2
    said = json.loads(capsys.readouterr().out)
    assert {name: said[name] for name in ("studies", "ok", "refused", "same")} == {
        "studies": 12,
        "ok": 11,
        "refused": 1,
        "same": 0,
    }
    assert [found["studies"] for found in said["reasons"]] == [1]
    people = pd.read_csv(tmp_path / "scores.csv")
    assert list(people.columns) == list(pd.read_parquet(tmp_path / "scores.parquet").columns)


def test_parts_and_merge(digits_studies: Path, digits_model: Path, tmp_path: Path) -> None:
    parted = ["--model", str(digits_model), "--readers", "0", "--num-parts", "2", "--part-id"]
    codes = [main(["score", str(digits_studies), str(tmp_path), *parted, str(index)]) for index in range(2)]
    assert sorted(codes) == [0, 2]
    assert main(["score", "merge", str(tmp_path)]) == 2
    assert pd.read_parquet(tmp_path / "scores.parquet")["study"].nunique() == 12


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--model is missing"),
        (["--model", "nowhere"], "nowhere"),
        (["--model", "."], "lacks"),
        (["--model", "models:/none@champion"], "none"),
    ],
)
def test_a_wrong_model_is_one_line(
    more: list[str], said: str, digits_studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(digits_studies), str(tmp_path / "out"), *more]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_no_studies_is_one_line(digits_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(tmp_path / "none"), str(tmp_path / "out"), "--model", str(digits_model)]) == 1
    assert "holds no study folder" in capsys.readouterr().err


def test_a_model_that_needs_no_monai_starts_without_it(
    digits_studies: Path, digits_model: Path, tmp_path: Path
) -> None:
    """Neither what it does not use nor what takes longest to import: start-up to the first row is seconds."""
    call = ["score", str(digits_studies), str(tmp_path), "--model", str(digits_model), "--readers", "0"]
    heavy = ("monai", "mlflow", "ignite", "matplotlib", "sklearn", "fastmri", "torchvision", "transformers")
    script = (
        f"import sys; from i2m2_med.cli import main; main({call!r}); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
