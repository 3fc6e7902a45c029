"""`study.yaml`: names of what a study holds → its files or folders. It comes from a stranger and is bounded before it is built."""

import os
from pathlib import Path

import yaml

from i2m2_med.console import plain
from i2m2_med.documents import read_yaml
from i2m2_med.errors import SourceError

FILE = "study.yaml"
MAX_BYTES = 64 * 2**10
MAX_PATH = 1_000
MAX_EVENTS = 1_000
"""Of YAML's parser: two for each name and file."""


def read_description(folder: Path) -> dict[str, str]:
    """Return a study's description, empty where it has none. Raises SourceError for anything but a flat mapping of words."""
    path = folder / FILE
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(f"study.yaml has more than {MAX_BYTES // 1024} KiB")
    try:
        text = path.read_text(encoding="utf-8")
        check_events(text)
        content = read_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise SourceError("study.yaml can't be read as plain YAML") from error
    if not isinstance(content, dict) or not all(isinstance(word, str) for pair in content.items() for word in pair):
        raise SourceError("study.yaml must say names and files, such as `kspace: scan.h5`")
    if not all(is_path(word) for pair in content.items() for word in pair):
        raise SourceError("study.yaml gives something else than a file's name")
    return content


def is_path(word: str) -> bool:
    """Return whether the file system can be asked about a word, and a terminal shown it."""
    try:
        return len(os.fsencode(word)) < MAX_PATH and plain(word) == word and "\n" not in word
    except UnicodeEncodeError:
        return False


def check_events(text: str) -> None:
    """Raise SourceError for aliases, merges, nesting or too many names, event by event: nothing is expanded meanwhile."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > 1 or count > MAX_EVENTS or isinstance(event, yaml.AliasEvent):
            raise SourceError("study.yaml must say names and files, such as `kspace: scan.h5`, and nothing nested")
