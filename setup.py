"""What pyproject.toml can't say: every folder of the package is in the wheel, which carries its commit and lock hash."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

PROJECT = Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("revision", PROJECT / "i2m2_med" / "revision.py")
revision = importlib.util.module_from_spec(spec)
spec.loader.exec_module(revision)


def bake(package: Path) -> None:
    """Write revision and lock into a package that is being built: as named to the build, else as git says, else as the archive says."""
    known = (
        revision.given_revision(PROJECT, os.environ)
        or revision.checkout_revision(PROJECT)
        or revision.baked_revision(PROJECT / "i2m2_med" / revision.BAKED)
    )
    if (PROJECT / "requirements.lock").is_file():
        shutil.copyfile(PROJECT / "requirements.lock", package / "requirements.lock")
    known["lock_sha256"] = revision.lock_digest(PROJECT)
    (package / revision.BAKED).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


class BuildWithRevision(build_py):
    """A build of what is there now, and nothing of an earlier build."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "i2m2_med"
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        bake(package)


class ArchiveWithRevision(sdist):
    """A source archive, which has no git, carries what git said."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        bake(Path(base_dir) / "i2m2_med")


setup(
    packages=[*find_packages(include=["i2m2_med", "i2m2_med.*"]), "i2m2_med.pipelines", "i2m2_med.configs"],
    cmdclass={"build_py": BuildWithRevision, "sdist": ArchiveWithRevision},
)
