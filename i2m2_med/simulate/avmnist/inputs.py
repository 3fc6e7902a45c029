"""Inputs of AV-MNIST: MNIST's idx files and the recordings of the Free Spoken Digit Dataset."""

import gzip
import io
import re
import wave
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from i2m2_med.errors import SourceError

RATE = 8000
"""Samples a second of every recording."""
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50
"""Recordings of each digit by each speaker."""
NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
IMAGES, LABELS = 0x803, 0x801


class Digits(NamedTuple):
    """One part of MNIST."""

    images: np.ndarray
    """(row, 28, 28) uint8."""
    labels: np.ndarray
    """(row,) uint8, 0 to 9."""


class Take(NamedTuple):
    """Key of a recording: the digit, its speaker, and the number of the take (from 0)."""

    digit: int
    speaker: str
    take: int


def read_mnist(folder: Path) -> tuple[Digits, Digits]:
    """Training and test digits from the four gz files. Raises SourceError where one is missing, truncated or not MNIST's."""
    parts = [
        Digits(
            _read_idx(folder / f"{part}-images-idx3-ubyte.gz", IMAGES),
            _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", LABELS),
        )
        for part in ("train", "t10k")
    ]
    for part in parts:
        if part.images.shape != (len(part.labels), 28, 28):
            raise SourceError(
                f"{folder}: images {part.images.shape} do not fit {len(part.labels)} labels; get MNIST again."
            )
        if len(part.labels) and part.labels.max() > 9:
            raise SourceError(f"{folder}: MNIST's labels go from 0 to 9, found {part.labels.max()}; get MNIST again.")
    return parts[0], parts[1]


def _read_idx(path: Path, magic: int) -> np.ndarray:
    if not path.is_file():
        raise SourceError(f"{path} is not there; --mnist names the folder with MNIST's four .gz files.")
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path} is truncated or not gzip; get it again.") from error
    head = np.frombuffer(content[: 4 * (1 + (magic & 0xFF))], dtype=">u4")
    if not len(head) or head[0] != magic or len(content) != 4 * len(head) + int(np.prod(head[1:])):
        raise SourceError(f"{path} is not the idx file that its name says, or not whole; get it again.")
    return np.frombuffer(content, dtype=np.uint8, offset=4 * len(head)).reshape(head[1:])


def read_spoken(place: Path) -> Mapping[Take, np.ndarray]:
    """Every recording, int16 at 8 kHz, from a zip or a folder of `<digit>_<speaker>_<take>.wav`.

    Raises SourceError for a recording that is empty or not 8 kHz mono 16 bit, and where a speaker or a take is missing.
    """
    recordings: dict[Take, np.ndarray] = {}
    for name, content in _wavs(place):
        match = NAME.fullmatch(name)
        if match and match[2] in SPEAKERS:
            recordings[Take(int(match[1]), match[2], int(match[3]))] = _read_wav(name, content)
    _complete(recordings, place)
    return recordings


def _wavs(place: Path) -> Iterator[tuple[str, bytes]]:
    archive = place / "recordings.zip" if (place / "recordings.zip").is_file() else place
    if archive.is_file():
        try:
            with zipfile.ZipFile(archive) as opened:
                yield from ((Path(name).name, opened.read(name)) for name in sorted(opened.namelist()))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise SourceError(f"{archive} is truncated or not a zip file; get it again.") from error
    elif archive.is_dir():
        yield from ((path.name, path.read_bytes()) for path in sorted(archive.rglob("*.wav")))
    else:
        raise SourceError(f"{place} is not there; --spoken names the folder (or zip) of the spoken digits.")


def _read_wav(name: str, content: bytes) -> np.ndarray:
    try:
        with wave.open(io.BytesIO(content)) as opened:
            rate, channels, width = opened.getframerate(), opened.getnchannels(), opened.getsampwidth()
            samples = opened.readframes(opened.getnframes())
    except (wave.Error, EOFError) as error:
        raise SourceError(f"{name} is not a whole wav file ({error or 'it ends early'}); get it again.") from error
    if (rate, channels, width) != (RATE, 1, 2):
        raise SourceError(
            f"{name} is {rate} Hz, {channels} channel(s), {8 * width} bit; 8000 Hz mono 16 bit is needed."
        )
    if not samples:
        raise SourceError(f"{name} holds 0 samples; get it again.")
    return np.frombuffer(samples, dtype="<i2")


def _complete(recordings: Mapping[Take, np.ndarray], place: Path) -> None:
    absent = [speaker for speaker in SPEAKERS if not any(take.speaker == speaker for take in recordings)]
    if absent:
        raise SourceError(
            f"{place} holds no recording of speaker {', '.join(absent)}; all of {', '.join(SPEAKERS)} are needed."
        )
    wanted = (Take(digit, speaker, take) for speaker in SPEAKERS for digit in range(10) for take in range(TAKES))
    missing = [f"{take.digit}_{take.speaker}_{take.take}.wav" for take in wanted if take not in recordings]
    if missing:
        raise SourceError(f"{place} lacks {missing[0]} ({len(missing)} of 3,000 recordings in all); get them again.")
