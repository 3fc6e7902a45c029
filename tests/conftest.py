"""What every test may lean on: a workspace of its own, and the shared real data where they are."""

import os
from pathlib import Path

import pytest

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", HF_HUB_OFFLINE="1")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own workspace."""
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "i2m2_work"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "i2m2_work"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data with their licences, beside the project or at $I2M2_SHARED_DATA; nothing of it is in the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    place = Path(os.environ.get("I2M2_SHARED_DATA", beside))
    if not place.is_dir():
        pytest.skip(f"the shared real data are not at {place}; set I2M2_SHARED_DATA")
    return place
