"""JSON files of examples: one object a line, or one list. Bounded, and read whole or refused with the line that is wrong.

What Python reads beyond JSON, or reads in silence, is refused: NaN and infinity, a name given twice in an object, half a character
(a lone surrogate), a number of thousands of digits.
"""

import json
import math
from pathlib import Path
from typing import Any

from i2m2_med.errors import SourceError

MOST_BYTES = 2 << 30


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file with one JSON object a line. Raises SourceError with the number of the line that is none."""
    objects: list[dict[str, Any]] = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        content = strict_json(line, f"{path.name} line {number}")
        if not isinstance(content, dict):
            raise SourceError(f"{path.name} line {number} is a {type(content).__name__}; an object is asked for")
        objects.append(content)
    return objects


def read_json_list(path: Path, inside: str | None = None) -> list[dict[str, Any]]:
    """Return the objects of a file that is one list, or an object that holds the list under the name `inside`."""
    content = strict_json(_text(path), path.name)
    if isinstance(content, dict) and inside in content:
        content = content[inside]
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise SourceError(f"{path.name} is not a list of objects; is it the file that its name says?")
    return content


def strict_json(text: str, where: str) -> Any:
    """Return what a JSON text says. Raises SourceError for anything that is not plain JSON."""
    try:
        content = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = f" (line {error.lineno})" if "\n" in text else ""
        raise SourceError(f"{where} is no JSON{line}; get the file again") from error
    except UnicodeEncodeError as error:
        raise SourceError(f"{where} holds half a character (a lone surrogate); get the file again") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where} is no plain JSON: {str(error).splitlines()[0]:.80}; get the file again") from error
    return content


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError("a number is larger than any that is kept")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("an object has a name twice")
    return content


def need(content: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    """Raise SourceError where an object lacks a name."""
    if lacking := [name for name in names if name not in content]:
        raise SourceError(f"{where} lacks {', '.join(lacking)} (it has {', '.join(sorted(map(str, content))[:8])})")


def _text(path: Path) -> str:
    if not path.is_file():
        raise SourceError(f"{path} is missing")
    if path.stat().st_size > MOST_BYTES:
        raise SourceError(f"{path.name} is larger than {MOST_BYTES >> 30} GiB")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not UTF-8 text; get the file again") from error
