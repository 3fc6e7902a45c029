"""The exported bundle, run by MONAI's own commands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from i2m2_med.cli import main
from tests.scoring.conftest import knee_model, knee_studies, with_envelope

__all__ = ["knee_model", "knee_studies"]

TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
    "properties": {
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "value_range": {"type": "array", "items": {"type": "number"}},
    },
}
SCHEMA = {
    "type": "object",
    "required": [
        *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"),
        *("task", "description", "authors", "copyright", "network_data_format"),
    ],
    "properties": {
        "changelog": {"type": "object"},
        "required_packages_version": {"type": "object"},
        "references": {"type": "array", "items": {"type": "string"}},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {name: {"patternProperties": {"^.+$": TENSOR}} for name in ("inputs", "outputs")},
        },
    },
}
"""What MONAI's metadata schema of 2024-07-25 asks for, in short: MONAI would fetch the file itself from the net."""


@pytest.fixture(scope="module")
def seen_model(knee_model: Path, knee_studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows what its input looks like."""
    folder = tmp_path_factory.mktemp("seen") / "model"
    shutil.copytree(knee_model, folder)
    with_envelope(folder, knee_studies / "knee 01")
    return folder


@pytest.fixture(scope="module")
def bundle(seen_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported bundle."""
    folder = tmp_path_factory.mktemp("bundle") / "knee"
    assert main(["export", str(seen_model), str(folder)]) == 0
    return folder


def monai(*arguments: str, cwd: Path) -> str:
    """Run MONAI's command as a person would."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    call = [sys.executable, "-m", "monai.bundle", *arguments]
    done = subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_bundle_holds_what_monai_asks_for(bundle: Path) -> None:
    held = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert {"configs/metadata.json", "configs/inference.json", "docs/README.md", "LICENSE"} <= held
    assert not [name for name in held if name.endswith((".pt", ".pkl", ".pth"))]
    about: dict[str, Any] = json.loads((bundle / "configs/metadata.json").read_text())
    assert about["network_data_format"]["inputs"]["image"]["num_channels"] == 2


@pytest.mark.slow
def test_monai_runs_it_to_the_numbers_of_score(
    bundle: Path, knee_studies: Path, seen_model: Path, tmp_path: Path
) -> None:
    config = ["--config_file", str(bundle / "configs/inference.json")]
    monai("run", *config, "--dataset_dir", str(knee_studies), "--output_dir", str(tmp_path / "monai"), cwd=tmp_path)
    call = ["score", str(knee_studies), str(tmp_path / "score"), "--model", str(seen_model), "--readers", "0"]
    assert main(call) == 0
    assert (
        main(["score", str(knee_studies), str(tmp_path / "by_bundle"), "--model", str(bundle), "--readers", "0"]) == 0
    )
    scored = pd.read_parquet(tmp_path / "score" / "scores.parquet")
    for other in ("monai", "by_bundle"):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / other / "scores.parquet"), scored)


@pytest.mark.slow
def test_monai_verifies_it(bundle: Path, tmp_path: Path) -> None:
    files = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]
    assert "verified with no error" in monai("verify_net_in_out", "network", *files, "--device", "cpu", cwd=bundle)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    said = monai("verify_metadata", *files[:2], "--filepath", str(tmp_path / "schema.json"), cwd=bundle)
    assert "verified with no error" in said
