"""Text is UTF-8 on every machine: whatever opens a text file says so, as a machine's own encoding may be another (ASCII under LANG=C)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = {"read_text", "write_text", "open"}


def unsaid(code: str) -> list[int]:
    """Return the lines that open a text file without naming its encoding."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return [
        call.lineno for call in calls if opens_text(call) and "encoding" not in {word.arg for word in call.keywords}
    ]


def opens_text(call: ast.Call) -> bool:
    """Whether a call opens a file as text: `read_text`, `write_text`, or `open` with a mode without `b`."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    modes = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    modes = [mode for mode in modes if mode and set(mode) <= set("rwxatb+")]
    return name in TEXT and (name != "open" or bool(modes)) and not any("b" in mode or ":" in mode for mode in modes)


@pytest.mark.parametrize("top", ["i2m2_med", "pipelines", "tests", "configs", "docker", "docs"])
def test_text_files_name_their_encoding(top: str):
    paths = sorted((ROOT / top).rglob("*.py"))
    found = {str(path.relative_to(ROOT)): unsaid(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_leaves_it_to_the_machine_is_found():
    assert unsaid("Path('a').read_text()\nPath('a').open('w', newline='')\ngzip.open('a', 'rt')") == [1, 2, 3]
    assert unsaid("Path('a').read_bytes()\nopen('a', 'rb')\npath.read_text(encoding='utf-8')") == []
