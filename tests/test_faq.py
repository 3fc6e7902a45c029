"""Every sentence that the questions page quotes is one that the code says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
QUOTED = [" ".join(found.split()) for _, found in re.findall(r"\*\*(`+)(.+?)\1\*\*", PAGE, re.DOTALL)]
"""What stands in bold code."""


def texts() -> list[str]:
    """The texts in the code, with … where a value is put in."""
    places = [*(ROOT / "i2m2_med").rglob("*.py"), *(ROOT / "pipelines").glob("*.py")]
    nodes = [node for place in places for node in ast.walk(ast.parse(place.read_text(encoding="utf-8")))]
    formatted = [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        for node in nodes
        if isinstance(node, ast.JoinedStr)
    ]
    return formatted + [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.fixture(scope="module")
def said() -> list[str]:
    return texts()


def test_there_are_sentences_to_find():
    assert len(QUOTED) >= 20


@pytest.mark.parametrize("sentence", QUOTED)
def test_what_is_quoted_is_said(sentence: str, said: list[str]):
    pieces = [re.escape(piece.strip()) for piece in sentence.split("…") if piece.strip()]
    pattern = re.compile(".*".join(pieces), re.DOTALL)
    assert any(pattern.search(text) for text in said), sentence
