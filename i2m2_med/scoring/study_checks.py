"""Checks of a study folder before it is opened: links, kinds, numbers and sizes of files, and the hash of its content."""

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.description import read_description

MAX_FILES = 20_000
MAX_DEPTH = 8
MAX_TEXT = 256 * 2**20
"""Bytes of a file that is read as a whole: CSV, JSON, YAML, text."""
MAX_FILE = 32 * 2**30
MAX_UNPACKED = 2 * 2**30
"""Bytes that a packed file may unpack to."""
TEXT = (".csv", ".json", ".yaml", ".yml", ".txt")
PIECE = 2**20


def checked_files(folder: Path) -> list[Path]:
    """Return every file of a study (a folder, or one raw file), in the order of their names. Raises SourceError for what no study should hold."""
    if folder.is_symlink():
        kind = "folder" if folder.is_dir() else "file"
        raise SourceError(f"the study {kind} is a link; name the {kind} that it points to")
    if folder.is_file():
        check_file(folder)
        return [folder]
    if not folder.is_dir():
        raise SourceError("the study folder is not there, or is no folder")
    files: list[Path] = []
    for path in walk(folder, folder.resolve(), 0):
        files.append(path)
        if len(files) > MAX_FILES:
            raise SourceError(f"the study holds more than {MAX_FILES} files")
    if not files:
        raise SourceError("the study folder is empty")
    check_description(folder)
    return sorted(files, key=lambda path: os.fsencode(path.relative_to(folder)))


def check_description(folder: Path) -> None:
    """Raise SourceError for a `study.yaml` that is no flat mapping of names to files or folders inside the study."""
    home = folder.resolve()
    try:
        inside = [(folder / file).resolve().is_relative_to(home) for file in read_description(folder).values()]
    except (OSError, RuntimeError) as error:  # a name too long, or links in a circle
        raise SourceError("study.yaml gives something else than a file's name") from error
    if not all(inside):
        raise SourceError("study.yaml names a file outside the study")


def walk(folder: Path, root: Path, depth: int) -> Iterator[Path]:
    """Yield the files below `folder`; each is checked before it is yielded."""
    if depth > MAX_DEPTH:
        raise SourceError(f"the study holds folders more than {MAX_DEPTH} deep")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise SourceError("a folder of the study can't be read; check its permissions") from error
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink():
            check_link(path, root)
        if entry.is_dir(follow_symlinks=False):
            yield from walk(path, root, depth + 1)
        else:
            check_file(path)
            yield path


def check_link(path: Path, root: Path) -> None:
    """Raise SourceError for a link to anything but a file of the same study."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise SourceError("a link in the study points nowhere") from error
    if not target.is_relative_to(root) or target.is_dir():
        raise SourceError("a link in the study points out of it; put the file itself there")


def check_file(path: Path) -> None:
    """Raise SourceError for what is no regular, readable file of a size that its kind may have."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise SourceError("the study holds something that is no file (a device, pipe or socket)")
    if not os.access(path, os.R_OK):
        raise SourceError("a file of the study can't be read; check its permissions")
    text = path.suffix.lower() in TEXT
    if status.st_size > (MAX_TEXT if text else MAX_FILE):
        raise SourceError(f"a {path.suffix.lower()[:8]} file of the study has {status.st_size / 2**30:.1f} GiB")
    if path.suffix.lower() == ".gz":
        check_unpacked(path)


def check_unpacked(path: Path) -> None:
    """Unpack to nowhere, and stop where a file unpacks to more than any study needs."""
    size = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(PIECE):
                size += len(piece)
                if size > MAX_UNPACKED:
                    raise SourceError(f"a packed file of the study unpacks to more than {MAX_UNPACKED / 2**30:.0f} GiB")
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError("a packed file of the study is truncated or damaged; get it again") from error


def content_hash(folder: Path, files: list[Path]) -> str:
    """Return the SHA-256 over the names and bytes of a study's files; where the folder lies, and when it was written, don't count."""
    whole = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise SourceError("a file of the study vanished or can't be read") from error
        whole.update(hashlib.sha256(os.fsencode(path.relative_to(folder))).digest() + content)
    return whole.hexdigest()


def row_hash(cells: str, files: list[Path]) -> str:
    """Return the SHA-256 over a row's cells (their digest) and the bytes of the files that it names, once these have been checked."""
    whole = hashlib.sha256(cells.encode())
    for path in files:
        check_file(path)
        whole.update(bytes.fromhex(content_hash(path.parent, [path])))
    return whole.hexdigest()
