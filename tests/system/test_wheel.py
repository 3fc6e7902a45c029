"""The wheel works outside the repository, from any folder, on the configs it ships."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
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


SAYS = (
    "import json; from i2m2_med import revision as r; "
    "print(json.dumps([r.source_digest(), r.revision(), sorted(n for n, _ in r.source_files())]))"
)


def asked(folder: Path, path: Path) -> tuple[str, dict[str, str], list[str]]:
    """What the package in `path` says of its code: hash, revision, files."""
    environment = os.environ | {"PYTHONPATH": str(path), "PYTHONNOUSERSITE": "1"}
    done = subprocess.check_output([sys.executable, "-S", "-c", SAYS], cwd=folder, env=environment, text=True)
    digest, known, names = json.loads(done)
    return digest, known, names


def built(project: Path, out: Path, *kinds: str) -> Path:
    """A clone's wheel, unpacked. kinds: of the files to build, as `python -m build` names them (`--sdist`)."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *kinds, str(project)]
    environment = {name: value for name, value in os.environ.items() if name != "I2M2_COMMIT"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        wheel.extractall(out / "unpacked")
    return out / "unpacked"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this project's last commit."""
    place = tmp_path_factory.mktemp("clone") / "project"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(place)], check=True)
    return place


def test_checkout_wheel_and_source_archive_are_the_same_code(clone, tmp_path):
    commit = subprocess.check_output(["git", "-C", str(clone), "rev-parse", "HEAD"], text=True).strip()
    (clone / "build" / "lib" / "i2m2_med").mkdir(parents=True)
    (clone / "build" / "lib" / "i2m2_med" / "stale.py").write_text("of an earlier build", encoding="utf-8")
    whole = asked(tmp_path, built(clone, tmp_path / "wheel", "--wheel"))
    archived = asked(tmp_path, built(clone, tmp_path / "archive"))  # the archive first, the wheel from it, without git
    (archive,) = (tmp_path / "archive").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        assert any(name.endswith("i2m2_med/revision.json") for name in file.getnames())
    assert whole[2] == archived[2]
    assert whole[0] == archived[0]
    for digest, known, _ in (whole, archived):
        assert known["commit"] == commit
        assert known["dirty"] == "false"
        assert len(known["lock_sha256"]) == 64
        assert digest == editable_digest(clone, tmp_path)


def editable_digest(project: Path, folder: Path) -> str:
    """The hash of a checkout's code as an editable installation finds it: pipelines and configs beside the package."""
    finder = (
        "import sys, importlib.util as u\n"
        "class Beside:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        part = name.rpartition('.')[2]\n"
        f"        place = {str(project)!r} + '/' + part\n"
        "        if name in ('i2m2_med.pipelines', 'i2m2_med.configs'):\n"
        "            return u.spec_from_file_location(name, place + '/__init__.py', submodule_search_locations=[place])\n"
        "sys.meta_path.append(Beside())\n"
    )
    done = subprocess.check_output(
        [sys.executable, "-S", "-c", finder + SAYS],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(project)},
        text=True,
    )
    digest, known, _ = json.loads(done)
    assert known["dirty"] == "false", known
    return digest


def test_a_copy_without_git_says_unknown_and_not_clean(clone, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns(".git", "build"))
    _, known, _ = asked(tmp_path, built(copy, tmp_path / "out", "--wheel"))
    assert known["commit"] == known["dirty"] == "unknown"
    assert len(known["lock_sha256"]) == 64
