"""A misspelt name fails `make check`.

ruff's F821 finds undefined names, but takes jaxtyping's axis names ("batch classes") for code, so pyproject.toml switches it
off; here it is on, for everything but the strings inside jaxtyping's brackets.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

from i2m2_med.revision import BESIDE

ROOT = Path(__file__).parents[2]
SHAPED = {
    "Float",
    "Float32",
    "Float64",
    "Int",
    "Int8",
    "Int32",
    "Int64",
    "UInt8",
    "Bool",
    "Complex",
    "Complex64",
    "Num",
    "Shaped",
}


def axes(path: Path) -> set[tuple[int, int]]:
    """(line, column, both from 1) where jaxtyping's axis strings hold names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shapes = [
        node.slice
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", getattr(node.value, "attr", "")) in SHAPED
    ]
    strings = [part for shape in shapes for part in ast.walk(shape) if isinstance(part, ast.Constant)]
    texts = [part for part in strings if isinstance(part.value, str)]
    return {(part.lineno, column) for part in texts for column in range(part.col_offset + 1, part.end_col_offset + 1)}


def undefined(*places: Path) -> list[str]:
    """'file line: message' of every undefined name."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--no-cache",
        "--select",
        "F821",
        "--ignore",
        "F722",
    ]
    command += ["--target-version", "py311", "--output-format", "json", *map(str, places)]
    problems = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    known = {name: axes(Path(name)) for name in {problem["filename"] for problem in problems}}
    return [
        f"{problem['filename']} line {problem['location']['row']}: {problem['message']}"
        for problem in problems
        if problem["code"] == "F821"
        and (problem["location"]["row"], problem["location"]["column"]) not in known[problem["filename"]]
    ]


def test_every_name_is_defined():
    assert undefined(*(ROOT / part for part in ("i2m2_med", *BESIDE, "tests", "setup.py"))) == []


def test_a_misspelt_name_is_found(tmp_path):
    (tmp_path / "a.py").write_text(
        "from jaxtyping import Float\n"
        "from torch import Tensor\n\n\n"
        'def double(values: Float[Tensor, "batch"]) -> Tenser:\n'
        "    return 2 * valeus\n",
        encoding="utf-8",
    )
    assert [problem.partition("line ")[2] for problem in undefined(tmp_path)] == [
        "5: Undefined name `Tenser`",
        "6: Undefined name `valeus`",
    ]
