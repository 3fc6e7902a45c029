"""Where data and weights lie, which a shared store must not say: folders bear names. The store gets a keyed hash, the workspace keeps the path."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2m2_med.files import exclusive, replace_file
from i2m2_med.privacy import project_key, pseudonym

FILE = "places.json"
TOKEN = re.compile(r"place-[0-9a-f]{16}")


def hide(content: Any, keys: Mapping[tuple[str, ...], str], workspace: Path) -> Any:
    """A config's plain values with the path or URI at each key as a token, which `show` of the same workspace undoes."""
    key = project_key(workspace)
    tokens = {place: f"place-{pseudonym(key, 'place', place)}" for place in keys.values()}
    with exclusive(workspace / f".{FILE}.lock"):
        known = read_places(workspace)
        if not tokens.items() <= {place: token for token, place in known.items()}.items():
            with replace_file(workspace / FILE) as beside:
                beside.touch(mode=0o600)
                beside.write_text(
                    json.dumps(known | {token: place for place, token in tokens.items()}, indent=2), encoding="utf-8"
                )
    return put(content, {at: tokens[place] for at, place in keys.items()}, ())


def put(content: Any, changed: Mapping[tuple[str, ...], str], at: tuple[str, ...]) -> Any:
    """Nested plain values with those at some keys replaced."""
    if at in changed:
        return changed[at]
    if isinstance(content, dict):
        return {name: put(value, changed, (*at, str(name))) for name, value in content.items()}
    if isinstance(content, list):
        return [put(value, changed, (*at, str(index))) for index, value in enumerate(content)]
    return content


def show(content: Any, known: Mapping[str, str]) -> Any:
    """A stored config's plain values with paths in place of the tokens that are known; others stay tokens."""
    if isinstance(content, dict):
        return {name: show(value, known) for name, value in content.items()}
    if isinstance(content, list):
        return [show(value, known) for value in content]
    return known.get(content, content) if isinstance(content, str) and TOKEN.fullmatch(content) else content


def read_places(workspace: Path) -> dict[str, str]:
    """Token → path, as the workspace keeps them."""
    path = workspace / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
