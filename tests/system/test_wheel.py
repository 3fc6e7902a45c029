"""The wheel works outside the repository, from any folder, on the configs it ships."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `i2m2` of a fresh environment that holds the wheel; its dependencies are seen where they are installed already."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(PROJECT)]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(place / "env", with_pip=True)
    python = place / "env" / "bin" / "python"
    wheel = next(place.glob("*.whl"))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    mine = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    outer = Path(sysconfig.get_path("purelib"))
    kept = [path for path in outer.iterdir() if "i2m2" not in path.name and path.name != "__pycache__"]
    for path in kept:
        here = Path(mine) / path.name
        if path.suffix != ".pth" and not here.exists():
            here.symlink_to(path)
    return place / "env" / "bin" / "i2m2"


def call(i2m2: Path, folder: Path, *arguments: str) -> str:
    """Run the installed command in a folder that is not the project's."""
    environment = {name: value for name, value in os.environ.items() if name != "I2M2_WORK"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([i2m2, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_helps_simulates_and_trains(installed, tmp_path):
    assert "compare" in call(installed, tmp_path, "--help")
    where = [installed.parent / "python", "-c", "import i2m2_med.pipelines as p; print(p.__file__)"]
    assert str(PROJECT) not in subprocess.check_output(where, cwd=tmp_path, text=True)
    assert "knee_i2m2" in call(installed, tmp_path, "check", "--list")
    call(installed, tmp_path, "simulate", "knee", "knees", "--volumes", "40", "--slices", "2", "--matrix", "128x92")
    small = ("-s", "source.root=knees", "-s", "training.epochs=1", "-s", "evaluation.bootstrap=10")
    call(installed, tmp_path, "train", "knee_demo", *small)
    tiny = [
        f"experts.{name}.network.{key}"
        for name in ("magnitude", "phase", "joint")
        for key in ("stem=strided", "width=8", "pool=2")
    ]
    tiny += ["modalities.transforms.1.size=[64,64]", "data_hash=content", "training.workers=0"]
    call(installed, tmp_path, "train", "knee_i2m2", *small, *(word for setting in tiny for word in ("-s", setting)))
    assert (tmp_path / "i2m2_work" / "mlflow.db").exists()
