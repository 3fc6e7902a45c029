"""The files that a run's samples depend on, as the manifest lists them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.files import sha256_of
from i2m2_med.samples.further_files import further_files, name_of
from i2m2_med.sources.source import Source


def data_files(run: RunConfig, source: Source) -> list[Path]:
    """Every file that the samples depend on: the data set's, then what transforms name and the code of plugins."""
    own = source.files()
    return [*own, *(path for path in further_files(run) if path not in {each.absolute() for each in own})]


def describe_files(run: RunConfig, source: Source, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Each of `data_files` as the manifest has it."""
    root, own = getattr(run.source, "root", None), len(source.files())
    return [
        describe_file(path, root, run.data_hash, None if number < own else name_of(path))
        for number, path in enumerate(files)
    ]


def describe_file(path: Path, root: Path | None, how: str, name: str | None = None) -> dict[str, Any]:
    """A source file by its name below the root (or another name), size, and content hash or time of change."""
    name = name or (str(path.relative_to(root)) if root and path.is_relative_to(root) else path.name)
    known = {"sha256": sha256_of(path)} if how == "content" else {"mtime": path.stat().st_mtime_ns}
    return {"name": name, "bytes": path.stat().st_size, **known}
