"""A study folder as a base64 zip, as requests carry it: unpacked below one folder, or refused."""

import base64
import io
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from i2m2_med.errors import SourceError
from i2m2_med.scoring.study_checks import MAX_FILES, MAX_UNPACKED


def unpack(archive: str, folder: Path) -> None:
    """Unpack a base64 zip into `folder`, which is made. Raises SourceError for what is no zip, or no study."""
    packed, files = open_archive(archive)
    if len(files) > MAX_FILES or sum(info.file_size for info in files) > MAX_UNPACKED:
        raise SourceError(f"the archive unpacks to more than {MAX_UNPACKED / 2**30:.0f} GiB or {MAX_FILES} files")
    folder.mkdir()
    for info in files:
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename or stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError("the archive holds a link, or a name that leaves the study folder")
        write_member(packed, info, folder / name)
    only = list(folder.iterdir())
    if len(only) == 1 and only[0].is_dir() and only[0].name != "notes":  # the folder itself was packed
        inner = only[0].rename(folder.with_name("inner"))
        folder.rmdir()
        inner.rename(folder)


def open_archive(archive: str) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """Return a base64 zip and its files. Raises SourceError where it is none."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(archive, validate=True)))
        return packed, [info for info in packed.infolist() if not info.is_dir()]
    except Exception as error:  # zipfile raises a dozen kinds for what is none
        raise SourceError("the archive is not a base64 zip") from error


def write_member(packed: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    """Write one file, no longer than it says (zipfile checks that, and the checksum)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with packed.open(info) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target)
    except FileExistsError as error:
        raise SourceError("the archive holds a name twice, or a file where another name needs a folder") from error
    except Exception as error:  # zipfile's, the file system's, and those of zlib, bz2 and lzma
        raise SourceError("the archive is damaged, encrypted, packed in an unknown way, or has bad names") from error
