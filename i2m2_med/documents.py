"""YAML and JSON from anyone: bounded in size, depth and nodes before anything of it is built, and plain values only.

A document of 536 bytes can stand for a billion values (`<<: [*a, *a]`, aliases of aliases), and one of 3,000 brackets can be
too deep to walk. Both are counted while the document is scanned, aliases and merges at the size of what they repeat.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

LARGEST = 1 << 18
"""Bytes of a YAML document."""
LARGEST_JSON = 1 << 22
DEEPEST = 40
"""Mappings and lists inside one another."""
MOST = 10_000
"""Values of a YAML document, each alias counted as what it repeats."""
MOST_OF_JSON = 200_000
"""Separators, quotes and brackets of a JSON document: more than it has values and words."""
LONGEST_NUMBER = 40
"""Characters of a number."""


class NotPlain(ValueError):
    """A document that is not what it should be: one line that says why, and, of YAML, in which line."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why if line is None else f"line {line}: {why}")
        self.why, self.line = why, line


class Loader(yaml.CSafeLoader):
    """Safe YAML whose numbers are finite and short, and whose words are words.

    `1e-4` is a number, as in YAML 1.2. What YAML 1.1 reads as something else than it looks (`010` is 8, `1:30` is 90, `off` is false,
    `2024-01-02` is no text) is refused, and the refusal says what to write.
    """


SURPRISES: dict[str, tuple[re.Pattern[str], str]] = {
    "octal": (
        re.compile(r"[-+]?0[0-7_]+"),
        "a number with a leading zero is octal in YAML; write it without, or in quotes where it is text",
    ),
    "sexagesimal": (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
        "YAML reads it as minutes and seconds; write it in quotes where it is text",
    ),
    "word": (
        re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"),
        "YAML reads it as true or false; write true or false, or write it in quotes where it is text",
    ),
    "date": (
        re.compile(r"\d{4}-\d\d?-\d\d?([Tt ].*)?"),
        "YAML reads it as a date; write it in quotes where it is text",
    ),
}
"""Unquoted words that YAML 1.1 takes for something else: how they look, and what to write instead."""


def make_number(loader: SafeConstructor, node: yaml.ScalarNode) -> int | float:
    """A number as it is written."""
    text = str(node.value)
    if len(text) > LONGEST_NUMBER:
        raise NotPlain(f"a number of {len(text):,} characters", node.start_mark.line + 1)
    whole = node.tag == "tag:yaml.org,2002:int"
    value: int | float = loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)
    if math.isinf(value) and "inf" not in text.lower():
        raise NotPlain(f"{text} is larger than any number that is kept", node.start_mark.line + 1)
    return value


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads: a text that looks like `1e5` stands in quotes."""


for _class in (Loader, Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
    )
for _tag in ("int", "float"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", make_number)  # pyright: ignore[reportArgumentType]  (stubs want any node)


def write_yaml(content: Any) -> str:
    """A document of plain values, keys in their order."""
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def read_start(path: Path) -> bytes:
    """A file's bytes, as far as a document may go and one more: what is longer is refused unread."""
    with path.open("rb") as file:
        return file.read(LARGEST_JSON + 1)


def read_yaml(text: str | bytes) -> Any:
    """The values of one YAML document. Raises NotPlain, also where a key stands twice (YAML would keep the last)."""
    content, node = load_yaml(text)
    refuse_twice(node)
    return content


def refuse_twice(node: yaml.Node | None) -> None:
    """Refuse a mapping that names something twice."""
    inside: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        names: set[tuple[str, str]] = set()
        for key, value in node.value:
            name = (str(key.tag), str(key.value))
            if name in names:
                raise NotPlain(f"'{key.value!s:.40}' stands twice", key.start_mark.line + 1)
            names.add(name)
            inside.append(value)
    elif isinstance(node, yaml.SequenceNode):
        inside = list(node.value)
    for each in inside:
        refuse_twice(each)


def load_yaml(text: str | bytes) -> tuple[Any, yaml.Node | None]:
    """The values of one YAML document, and its nodes, which know their lines. Raises NotPlain."""
    if len(text) > LARGEST:
        raise NotPlain(f"it has more than {LARGEST // 1024} KiB")
    try:
        measure(text)
        node = yaml.compose(text, Loader=Loader)
        loader = Loader(text)
        try:
            return loader.get_single_data(), node
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise NotPlain("it is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
        raise NotPlain(f"not YAML: {why}", mark.line + 1 if mark else None) from error
    except NotPlain:
        raise
    except (ValueError, RecursionError) as error:
        raise NotPlain(f"not YAML: {type(error).__name__}") from error


def measure(text: str | bytes) -> None:
    """Refuse a document that is too deep, has too many values, or more than one document; nothing of it is built."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1  # pyright: ignore[reportOptionalMemberAccess]  (read from a text: always marked)
        if (tag := getattr(event, "tag", None)) not in {None, "!"}:
            raise NotPlain(f"the tag {tag:.60}; plain values need none", line)
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in open_):
                raise NotPlain(f"*{event.anchor:.40} stands inside itself", line)
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            refuse_surprise(event, line)
            if event.anchor:
                sizes[event.anchor] = 1
        if len(open_) > DEEPEST:
            raise NotPlain(f"more than {DEEPEST} mappings and lists inside one another", line)
        if total > MOST:
            raise NotPlain(f"more than {MOST:,} values, repeated ones counted", line)


def refuse_surprise(event: yaml.ScalarEvent, line: int) -> None:
    """Refuse an unquoted word that YAML 1.1 takes for something else."""
    if event.implicit[0] and event.tag is None:
        for looks, why in SURPRISES.values():
            if looks.fullmatch(event.value):
                raise NotPlain(f"'{event.value:.40}': {why}", line)


BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def read_json(data: bytes) -> Any:
    """The values of one JSON document. Raises NotPlain where it is none, names a key twice, or is too deep, long or large."""
    if len(data) > LARGEST_JSON:
        raise NotPlain(f"it has more than {LARGEST_JSON >> 20} MiB")
    if data.count(b",") + data.count(b'"') + data.count(b"[") + data.count(b"{") > MOST_OF_JSON:
        raise NotPlain(f"it has more than {MOST_OF_JSON:,} values and words")
    depth = 0
    for bracket in BRACKETS.finditer(data):
        first = bracket[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > DEEPEST:
            raise NotPlain(f"more than {DEEPEST} objects and lists inside one another")
    try:
        return json.loads(data, object_pairs_hook=once, parse_int=short(int), parse_float=short(float))
    except NotPlain:
        raise
    except (ValueError, RecursionError) as error:
        raise NotPlain("it is not JSON") from error


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names stand once each."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise NotPlain("an object names something twice")
    return content


def short(make: Callable[[str], Any]) -> Callable[[str], Any]:
    """A number of no more characters than any number needs, and no larger than one that is kept."""

    def number(text: str) -> Any:
        if len(text) > LONGEST_NUMBER:
            raise NotPlain(f"a number of {len(text):,} characters")
        value = make(text)
        if math.isinf(value):
            raise NotPlain("a number larger than any that is kept")
        return value

    return number
