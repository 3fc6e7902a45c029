"""Every command of the README's `sh` blocks runs, in its order, in one folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parents[2]


def commands() -> list[str]:
    """The lines of the `sh` blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_the_commands_of_the_readme_run(tmp_path):
    environment = os.environ | {"I2M2_WORK": str(tmp_path / "work"), "OMP_NUM_THREADS": "1"}
    trained = ""
    for line in commands():
        words = [trained if word == "RUN" else word for word in shlex.split(line)]
        assert words[0] == "i2m2"
        done = subprocess.run(
            [sys.executable, "-m", "i2m2_med", *words[1:], "--json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        result = json.loads(done.stdout)
        trained = result["run"] if words[1] == "train" else trained
    assert (tmp_path / "comparison" / "report.html").stat().st_size > 50_000
    assert (tmp_path / "scores" / "scores.parquet").exists()


def test_the_readme_names_every_verb_that_it_shows():
    from i2m2_med.cli import VERBS

    shown = {shlex.split(line)[1] for line in commands()}
    assert shown <= {*VERBS, "simulate"}
