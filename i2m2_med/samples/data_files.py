"""The files that a run's samples depend on, as the manifest lists them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.files import digest, sha256_of
from i2m2_med.samples.further_files import further_files, name_of
from i2m2_med.sources.source import Source


def data_files(run: RunConfig, source: Source) -> list[Path]:
    """Every file that the samples depend on: the data set's, then what transforms name and the code of plugins."""
    own = [*source.files(), *(path for paths in source.attached().values() for path in paths)]
    known = {path.absolute() for path in own}
    return [*own, *(path for path in further_files(run) if path not in known)]


def describe_files(run: RunConfig, source: Source, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Each of `data_files` as the manifest has it; of what is attached, one entry per kind."""
    root, own = getattr(run.source, "root", None), source.files()
    attached = source.attached()
    known = len(own) + sum(map(len, attached.values()))
    return [
        *(describe_file(path, root, run.data_hash) for path in own),
        *(describe_many(kind, paths, run.data_hash) for kind, paths in attached.items()),
        *(describe_file(path, root, run.data_hash, name_of(path)) for path in files[known:]),
    ]


def describe_many(kind: str, paths: Sequence[Path], how: str) -> dict[str, Any]:
    """Files of one kind as one entry: how many, their size, and a digest over all; no name of theirs."""
    each = [describe_file(path, path.parent, how) for path in paths]
    known = "sha256" if how == "content" else "mtime"
    size = sum(file["bytes"] for file in each)
    return {"name": f"{kind} ({len(each)} files)", "bytes": size, "sha256": digest([file[known] for file in each])}


def describe_file(path: Path, root: Path | None, how: str, name: str | None = None) -> dict[str, Any]:
    """A source file by its name below the root (or another name), size, and content hash or time of change."""
    name = name or (str(path.relative_to(root)) if root and path.is_relative_to(root) else path.name)
    known = {"sha256": sha256_of(path)} if how == "content" else {"mtime": path.stat().st_mtime_ns}
    return {"name": name, "bytes": path.stat().st_size, **known}
