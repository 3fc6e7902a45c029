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
from jsonschema import ValidationError, validate

from i2m2_med.cli import main
from tests.scoring.conftest import knee_model, knee_studies, with_envelope

__all__ = ["knee_model", "knee_studies"]


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
    about: dict[str, Any] = json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))
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
        again = pd.read_parquet(tmp_path / other / "scores.parquet")
        pd.testing.assert_frame_equal(again.drop(columns="seconds"), scored.drop(columns="seconds"))


@pytest.mark.slow
def test_monai_verifies_it(bundle: Path) -> None:
    files = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json"]
    assert "verified with no error" in monai("verify_net_in_out", "network", *files, "--device", "cpu", cwd=bundle)
    offline = ["verify_metadata", *files[:2], "--filepath", "docs/metadata_schema.json"]  # as the bundle's README says
    assert "verified with no error" in monai(*offline, cwd=bundle)


def test_the_shipped_schema_finds_what_is_wrong_with_metadata(bundle: Path) -> None:
    schema = json.loads((bundle / "docs/metadata_schema.json").read_text(encoding="utf-8"))
    about: dict[str, Any] = json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))
    validate(about, schema)
    for name in schema["required"]:
        with pytest.raises(ValidationError, match=f"'{name}' is a required property"):
            validate({key: value for key, value in about.items() if key != name}, schema)
    with pytest.raises(ValidationError):
        validate(about | {"network_data_format": {"inputs": {"image": {}}, "outputs": {}}}, schema)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_monai_exports_it_from_weights_made_as_the_readme_says(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from i2m2_med.scoring.bundle import PackedModel

    monkeypatch.chdir(bundle)
    packed = PackedModel().eval()
    said = (bundle / "docs/README.md").read_text(encoding="utf-8")
    [line] = [line.strip() for line in said.splitlines() if "torch.save" in line]
    made = tmp_path / "model.pt"
    code = line.removeprefix('python -c "').removesuffix('"').replace("models/model.pt", str(made))
    exec(code, {})
    files = ["--config_file", "configs/inference.json", "--ckpt_file", str(made), "--use_trace", "True"]
    monai("ckpt_export", "network_def", "--filepath", str(tmp_path / "model.ts"), *files, cwd=bundle)
    about = json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))["network_data_format"]["inputs"][
        "image"
    ]
    image = torch.rand(3, about["num_channels"], *about["spatial_shape"])
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(image), packed(image))
