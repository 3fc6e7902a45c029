"""The tutorials: every command runs, and prints what the page shows, numbers aside."""

import re
from pathlib import Path

import pytest

from tests.tutorials import BLOCK, PAGES, lay_out, likeness, play


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_stands_with_its_output(page: Path):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    quiet = re.compile(r"^\$ (?:echo|mv|.* > )")
    silent = [line for block in blocks for line in block.splitlines() if block.splitlines()[-1] == line]
    assert [line for line in silent if line.startswith("$ ") and not quiet.match(line)] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_and_prints_what_it_shows(page: Path, tmp_path: Path):
    real = lay_out(tmp_path)
    shown = page.read_text(encoding="utf-8")
    again = play(shown, tmp_path)
    if real or page.stem != "mimic_demo":  # what stands on that page is of the real demo
        assert likeness(shown, again) >= 0.9, again
