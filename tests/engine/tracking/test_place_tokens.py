"""The store gets tokens in place of paths, and only the workspace that made them knows what they stand for."""

import json
import stat
from pathlib import Path

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.engine.prediction.model_files import read_portable
from i2m2_med.engine.training.recorded import placed


def test_no_path_or_address_of_a_config_goes_to_the_store_and_the_workspace_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("STORE", "postgresql://anna:hunter2@db")
    root, weights = tmp_path / "Dr. Mayer's patients", tmp_path / "Schmidt" / "bert"
    network = f"{{_target_: i2m2_med.experts.HuggingFaceNotes, folder: '{weights}'}}"
    (tmp_path / "c.yaml").write_text(
        f'task: t\nsource: {{name: fastmri, root: "{root}", reviewed: "{root}/list.csv"}}\n'
        f"experts: {{a: {{reads: [magnitude], network: {network}}}}}\ntracking: {{uri: '${{STORE}}/mlflow'}}\n",
        encoding="utf-8",
    )
    run, _ = load_config(str(tmp_path / "c.yaml"))
    content = placed(run)
    for secret in ("Mayer", "Schmidt", "hunter2", "anna", str(tmp_path)):
        assert secret not in json.dumps(content)
    assert content == placed(run)
    (tmp_path / "stored.yaml").write_text(json.dumps(content), encoding="utf-8")
    again = read_portable(tmp_path / "stored.yaml", names_data=True)
    assert (again.source, again.tracking, again.experts) == (run.source, run.tracking, run.experts)
    assert stat.S_IMODE((tmp_path / "work" / "places.json").stat().st_mode) == 0o600
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "elsewhere"))
    assert placed(run)["source"]["root"] != content["source"]["root"]  # another key, another token
