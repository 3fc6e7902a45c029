"""The documentation: pages made from the code are up to date, the site builds with no broken link, and nothing is fetched when it is read."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_command_line_reference_is_up_to_date():
    """Made in a process of its own, as `make docs` does: cyclopts names a part of it after the module that was started."""
    command = "import sys; from i2m2_med.cli import reference_page; sys.stdout.write(reference_page())"
    done = subprocess.run([sys.executable, "-X", "utf8", "-c", command], capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == done.stdout, "run `make docs`"


def titles() -> set[str]:
    """The titles of sections that pages of a report may have."""
    trees = [ast.parse(place.read_text(encoding="utf-8")) for place in (ROOT / "i2m2_med/report/pages").glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Section"]
    return {str(title.value) for title in first if isinstance(title, ast.Constant) and title.value}


def test_every_section_of_a_report_is_explained():
    assert len(titles()) > 20
    explained = " ".join((ROOT / "docs" / "reading_a_report.md").read_text(encoding="utf-8").split())
    assert [title for title in sorted(titles()) if f"**{title}**" not in explained] == []


@pytest.mark.slow
def test_the_site_builds_and_stands_alone(tmp_path: Path):
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        fetched = re.findall(
            r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text(encoding="utf-8")
        )
        assert fetched == [], page.name
