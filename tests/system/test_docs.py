"""The documentation: pages made from the code are up to date, the site builds with no broken link, and nothing is fetched when it is read."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from i2m2_med.cli import reference_page

ROOT = Path(__file__).parents[2]


def test_the_command_line_reference_is_up_to_date():
    assert (ROOT / "docs" / "cli.md").read_text() == reference_page(), "run `make docs`"


@pytest.mark.slow
def test_the_site_builds_and_stands_alone(tmp_path: Path):
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        fetched = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert fetched == [], page.name
