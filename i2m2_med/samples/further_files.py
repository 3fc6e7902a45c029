"""Files besides the data set's own that samples depend on: what the split and transforms name, the code of plugins, and what is read unannounced.

The first two are hashed into the fingerprint. The third are looked for while one training sample is made: files that Python opens
for reading and that no fingerprint covers. What compiled libraries open by themselves (HDF5, Parquet) is seen only where it
stays open; so name such a file as an argument of the transform.
"""

import os
import sys
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.errors import ConfigError
from i2m2_med.workspace import workspace

MOST = 10_000
"""A folder that a transform names may hold so many files."""
CODE = (".py", ".pyc", ".so", ".pth")
SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr")


class Listener:
    """Collects the paths that are opened during `listening`; the audit hook stays, since none can be removed."""

    opened: set[str] | None = None
    hooked = False


def further_files(run: RunConfig) -> list[Path]:
    """The files that the run's split and transforms name, and those of plugins that are not installed packages (the lock has these).

    Raises ConfigError where `split.file` is no file.
    """
    beside = [joined.table for joined in run.modalities.columns.values()]
    for path in beside:
        if not path.is_file():
            raise ConfigError(f"modalities.columns: {path} is not a file; name the table")
    table = run.split.file
    if table is not None and not table.is_file():
        raise ConfigError(
            f"split.file: {table} is not a file; name the CSV that says the split of each volume or patient"
        )
    blocks = (*run.modalities.transforms, *run.modalities.train_transforms)
    named = [path for block in blocks for value in texts(block) for path in files_named(value)]
    code = [path for plugin in run.plugins for path in code_of(plugin)]
    return sorted({path.absolute() for path in (*named, *code, *beside, *([table] if table else []))})


def texts(content: Any) -> Iterator[str]:
    """Every text in nested plain values."""
    if isinstance(content, str):
        yield content
    for value in (
        content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    ):
        yield from texts(value)


def files_named(text: str) -> list[Path]:
    """The file, or the files of the folder, that an argument names; a folder is told from a word by a separator."""
    path = Path(text)
    try:
        if path.is_file():
            return [path]
        if os.sep not in text or not path.is_dir():
            return []
        files = [each for each in path.rglob("*") if each.is_file()]
    except (OSError, ValueError):  # no path at all: too long, or with a zero byte
        return []
    if len(files) > MOST:
        raise ConfigError(f"{path} holds {len(files):,} files; a transform may name a folder of {MOST:,} at most")
    return files


def code_of(plugin: str) -> list[Path]:
    """The source files of a plugin: of its module or package; none where it is installed."""
    name = plugin.strip(".")
    while name:
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            spec = None
        if spec and spec.origin:
            home = Path(spec.origin)
            if "site-packages" in home.parts or "dist-packages" in home.parts:
                return []
            return sorted(home.parent.rglob("*.py")) if spec.submodule_search_locations else [home]
        name = name.rpartition(".")[0]
    return []


def name_of(path: Path) -> str:
    """Return the name of such a file in the manifest: the last three parts of its path."""
    return "beside: " + "/".join(path.parts[-3:])


def unannounced(make: Callable[[], Any], known: Collection[Path]) -> list[Path]:
    """The files that `make` reads beside the `known` ones, the workspace's, and those of code and system."""
    with listening() as opened:
        before = open_now()
        make()
        opened |= open_now() - before
    kept = {path.resolve() for path in known}
    homes = [str(Path(home).resolve()) for home in (sys.prefix, sys.base_prefix, workspace())]
    paths = {Path(name).resolve() for name in opened}
    return sorted(
        path
        for path in paths - kept
        if path.is_file() and path.suffix not in CODE and not str(path).startswith((*homes, *SYSTEM))
    )


@contextmanager
def listening() -> Generator[set[str]]:
    """The paths that Python opens for reading meanwhile."""
    if not Listener.hooked:
        sys.addaudithook(hear)
        Listener.hooked = True
    Listener.opened = opened = set[str]()
    try:
        yield opened
    finally:
        Listener.opened = None


def hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Take down what is opened for reading."""
    if Listener.opened is None or event != "open":
        return
    path, mode, flags = arguments
    reads = "r" in mode if isinstance(mode, str) else not int(flags or 0) & (os.O_WRONLY | os.O_RDWR)
    if reads and isinstance(path, str):
        Listener.opened.add(path)


def open_now() -> set[str]:
    """The files that this process has open."""
    links = Path("/proc/self/fd")
    open_files: set[str] = set()
    for link in links.iterdir() if links.is_dir() else ():
        try:
            open_files.add(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    return {name for name in open_files if name.startswith("/")}
