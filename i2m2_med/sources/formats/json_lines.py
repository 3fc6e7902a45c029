"""JSON files of examples: one object a line, or one list. Bounded, and read whole or refused with the line that is wrong."""

import json
from pathlib import Path
from typing import Any

from i2m2_med.errors import SourceError

MOST_BYTES = 2 << 30


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file with one JSON object a line. Raises SourceError with the number of the line that is none."""
    objects: list[dict[str, Any]] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise SourceError(f"{path.name} line {number} is no JSON; get the file again") from error
        if not isinstance(content, dict):
            raise SourceError(f"{path.name} line {number} is a {type(content).__name__}; an object is asked for")
        objects.append(content)
    return objects


def read_json_list(path: Path, inside: str | None = None) -> list[dict[str, Any]]:
    """Return the objects of a file that is one list, or an object that holds the list under the name `inside`."""
    try:
        content: Any = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise SourceError(f"{path.name} is no JSON{where}; get the file again") from error
    if isinstance(content, dict) and inside in content:
        content = content[inside]
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise SourceError(f"{path.name} is not a list of objects; is it the file that its name says?")
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
