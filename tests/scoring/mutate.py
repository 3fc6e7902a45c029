"""Study folders changed in ways that nobody foresaw."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

NAMES = (
    "a\nb.h5",
    "=cmd|' C calc'!A0.csv",
    "-rf",
    "..series.csv",
    "é" * 60,
    "kspace.h5\u202e",
    "%00.json",
    " ",
    "%2e%2e",
)
NUMBERS = (b"1e999", b"-1", b"NaN", b"99999999999999999999", b"'", b'"', b"\x00", b"0x10", b"", b",,,,", b"\n")


def some_file(folder: Path, random: Random) -> Path | None:
    """A regular file of the study."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return random.choice(files) if files else None


def change(folder: Path, random: Random, how: Callable[[bytearray, Random], bytes]) -> None:
    """Rewrite a file's bytes."""
    path = some_file(folder, random)
    if path is not None:
        path.write_bytes(how(bytearray(path.read_bytes()), random))


def flip(content: bytearray, random: Random) -> bytes:
    """Some bits, often near the beginning, where formats keep what they are."""
    for _ in range(random.randint(1, 12)):
        if content:
            at = random.randrange(min(len(content), random.choice((64, 2048, 1 << 30))))
            content[at] ^= 1 << random.randrange(8)
    return bytes(content)


def cut(content: bytearray, random: Random) -> bytes:
    """The end is missing, or the beginning, or a piece in the middle."""
    first, last = sorted(random.randint(0, len(content)) for _ in range(2))
    return bytes(random.choice((content[:first], content[last:], content[:first] + content[last:])))


def stuff(content: bytearray, random: Random) -> bytes:
    """Noise, or a copied piece, in the middle."""
    at = random.randint(0, len(content))
    first, last = sorted(random.randint(0, len(content)) for _ in range(2))
    return bytes(content[:at] + random.choice((random.randbytes(50), content[first:last])) + content[at:])


def renumber(content: bytearray, random: Random) -> bytes:
    """A word of a text becomes what no parser likes."""
    words = bytes(content).split(b",")
    words[random.randrange(len(words))] = random.choice(NUMBERS)
    return b",".join(words)


def rename(folder: Path, random: Random) -> None:
    """A file gets an odd name."""
    path = some_file(folder, random)
    if path is not None:
        path.rename(path.with_name(random.choice(NAMES)))


def swap(folder: Path, random: Random) -> None:
    """Two files hold each other's content."""
    one, two = some_file(folder, random), some_file(folder, random)
    if one is not None and two is not None:
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)


def replace(folder: Path, random: Random) -> None:
    """A file becomes something else: a folder, a pipe, a link out, a link to itself, a device, nothing."""
    path = some_file(folder, random)
    if path is None:
        return
    path.unlink()
    kind = random.randrange(6)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(random.choice(("/etc/passwd", "../../..", "/dev/zero", "/proc/self/mem")))
    elif kind == 3:
        path.symlink_to(path.name)
    elif kind == 4:
        path.mkdir()
        for other in folder.iterdir():
            if other.is_file() and not other.is_symlink():
                shutil.copy(other, path / other.name)


WAYS: tuple[Callable[[Path, Random], None], ...] = (
    *(lambda folder, random, how=how: change(folder, random, how) for how in (flip, flip, cut, stuff, renumber)),
    rename,
    swap,
    replace,
)


def mutate(base: Path, target: Path, seed: int) -> None:
    """A copy of a study, changed in one to four ways that the seed decides."""
    random = Random(seed)
    shutil.copytree(base, target, symlinks=True)
    for _ in range(random.randint(1, 4)):
        random.choice(WAYS)(target, random)
