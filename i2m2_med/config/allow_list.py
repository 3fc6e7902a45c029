"""Which classes a `_target_` may name, and with which arguments: `allowed/*.json`, made from signatures and looked through.

The lists are explicit because allowed classes resolve strings themselves: MONAI's `LoadImaged(reader="os.system")` runs it. What they
leave out (code, readers by module path, downloads, folders to write to) no config can set. A class of one's own is named by a prefix in
`plugins`, and then takes what its signature takes.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from i2m2_med.config.kinds import Kind, judge

Arguments = dict[str, Kind]
Key = tuple[str | int, ...]

DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


@cache
def allowed() -> dict[str, Arguments]:
    """By class, its arguments and their kinds (kinds.py)."""
    folder = files("i2m2_med.config") / "allowed"
    lists = [json.loads(file.read_text(encoding="utf-8")) for file in folder.iterdir() if file.name.endswith(".json")]
    return {name: arguments for one in lists for name, arguments in one.items()}


def is_trusted(target: str, plugins: Sequence[str]) -> bool:
    """Whether a prefix in `plugins` covers this class: `mylab` or `mylab.` covers `mylab.nets.Net`, not `mylab2.Net`."""
    return any(target.startswith(f"{plugin.rstrip('.')}.") for plugin in plugins if plugin.strip("."))


def refusals(content: Any, plugins: Sequence[str] = ()) -> Iterator[tuple[Key, str]]:
    """Yield each mistake in the `_target_` blocks of nested mappings and lists: its path, and what to do."""
    if isinstance(content, Mapping):
        if "_target_" in content:
            yield from wrong_block(content, plugins)
        inside = [(str(key), value) for key, value in content.items()]
    else:
        inside = list(enumerate(content)) if isinstance(content, list | tuple) else []
    for step, value in inside:
        yield from (((step, *rest), why) for rest, why in refusals(value, plugins))


def wrong_block(block: Mapping[str, Any], plugins: Sequence[str]) -> Iterator[tuple[Key, str]]:
    """Yield the mistakes of one block itself."""
    target = block["_target_"]
    yield from (
        ((str(name),), f"of MONAI's own keys only _target_ is allowed, found '{short(name)}'")
        for name in block
        if str(name).startswith("_") and name != "_target_"
    )
    if not isinstance(target, str):
        yield ("_target_",), f"{short(target)} is not the name of a class"
    elif target in allowed():
        yield from wrong_arguments(target, block)
    elif not is_trusted(target, plugins) or not DOTTED.fullmatch(target):
        yield ("_target_",), f"'{short(target)}' is not allowed{hint(target)}"


def wrong_arguments(target: str, block: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    """Yield the mistakes in the arguments of a listed class."""
    takes = allowed()[target]
    for name, value in block.items():
        if str(name).startswith("_"):
            continue
        if name not in takes:
            near = get_close_matches(str(name), takes, n=1)
            known = f"did you mean '{near[0]}'?" if near else f"a config may set {', '.join(takes) or 'nothing'}"
            yield (str(name),), f"{target} takes no '{short(name)}'; {known}"
        elif wanted := judge(value, takes[name]):
            yield (str(name),), f"{target} takes {wanted} here, found {short(value)}"
    for name, kind in takes.items():
        if isinstance(kind, str) and kind.endswith("!") and name not in block:
            yield ("_target_",), f"{target} needs '{name}'"


def places(content: Any) -> Iterator[tuple[Key, str]]:
    """The files and folders that blocks name, each with its path in `content`."""
    if isinstance(content, Mapping):
        takes = allowed().get(str(content.get("_target_")), {})
        yield from (((str(name),), str(value)) for name, value in content.items() if takes.get(str(name)) == "place")
        inside = [(str(key), value) for key, value in content.items()]
    else:
        inside = list(enumerate(content)) if isinstance(content, list | tuple) else []
    for step, value in inside:
        yield from (((step, *rest), place) for rest, place in places(value))


def hint(target: str) -> str:
    """Return the hint on what to write instead of a class that is not on the list."""
    last = target.rsplit(".", 1)[-1]
    near = [name for name in allowed() if name.rsplit(".", 1)[-1] == last] or get_close_matches(target, allowed(), n=1)
    meant = f"; did you mean '{near[0]}'? Else" if near else ";"
    return f"{meant} a config names a class of i2m2_med/config/allowed, or one whose prefix stands in 'plugins'"


def short(value: Any) -> str:
    """A value as it was written, not more than a line of it."""
    if isinstance(value, int) and abs(value) > 10**40:
        return "a very large number"
    return f"{value!r:.60}" if not isinstance(value, str) else f"{value.encode('unicode_escape').decode():.60}"
