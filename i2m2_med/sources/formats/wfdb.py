"""Waveforms in WFDB format 16 (`NAME.hea` and one `.dat` of interleaved 16-bit numbers), as ECGs are published by PhysioNet.

The header (physionet.org, header(5)): `NAME leads rate samples …`, then a line per lead: file, format, gain(baseline)/unit, resolution,
zero, first value, checksum. What it says is held against the data: length, and the checksum of every lead.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from i2m2_med.errors import SourceError

LARGEST_HEADER = 65_536
MOST_LEADS, MOST_SAMPLES = 64, 10_000_000
INVALID = -32_768
"""A number that stands for none."""
GAIN = re.compile(r"(-?\d+(?:\.\d+)?)(?:\((-?\d+)\))?(?:/(\S+))?")
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3}
DEFAULT_GAIN = 200.0


@dataclass(frozen=True)
class Lead:
    """One line of the header."""

    name: str
    gain: float
    """Steps per millivolt."""
    baseline: int
    checksum: int | None


@dataclass(frozen=True)
class SignalHeader:
    """What a `.hea` says."""

    data: Path
    rate: float
    """Samples a second."""
    n_samples: int
    leads: tuple[Lead, ...]


def read_header(path: Path) -> SignalHeader:
    """Raises SourceError for what is no header, another format than 16, several files, or a file elsewhere."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_HEADER + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError("the waveform's header is no text that can be read") from error
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        n_leads, rate, n_samples = int(lines[0][1]), float(lines[0][2].split("/")[0]), int(lines[0][3])
        rows = lines[1 : 1 + n_leads]
        files, kinds = {row[0] for row in rows}, {row[1] for row in rows}
        leads = tuple(lead_of(row) for row in rows)
    except (IndexError, ValueError) as error:
        raise SourceError("the waveform's header is not in WFDB's form (leads, rate, samples)") from error
    if len(text) > LARGEST_HEADER or not 1 <= n_leads <= MOST_LEADS or not 1 <= n_samples <= MOST_SAMPLES:
        raise SourceError(f"the waveform has more than {MOST_LEADS} leads or {MOST_SAMPLES:,} samples, or none")
    if kinds != {"16"} or len(files) != 1 or len(leads) != n_leads or not 0 < rate < float("inf"):
        raise SourceError("the waveform is not one file of 16-bit numbers (WFDB format 16)")
    name = files.pop()
    if Path(name).name != name:
        raise SourceError("the waveform's header names a file in another folder")
    return SignalHeader(path.with_name(name), rate, n_samples, leads)


def lead_of(row: list[str]) -> Lead:
    """A line of the header. Raises ValueError or IndexError for what is none."""
    match = GAIN.fullmatch(row[2]) if len(row) > 2 else None
    if match is None:
        raise ValueError(row)
    unit = (match[3] or "mV").lower()
    if unit not in MILLIVOLTS:
        raise SourceError("the waveform is not in volts")
    gain = float(match[1]) or DEFAULT_GAIN
    baseline = int(match[2]) if match[2] else int(row[4]) if len(row) > 4 else 0
    checksum = int(row[6]) % 65_536 if len(row) > 6 else None
    return Lead(" ".join(row[8:]), gain / MILLIVOLTS[unit], baseline, checksum)


def read_waveform(path: Path) -> Float32[np.ndarray, "lead time"]:
    """Millivolts of every lead of a `.hea`; NaN where the recorder had no value.

    Raises SourceError where the data are shorter or longer than the header says, or don't add up to its checksums.
    """
    header = read_header(path)
    shape = header.n_samples, len(header.leads)
    try:
        if header.data.stat().st_size != 2 * shape[0] * shape[1]:
            raise SourceError("the waveform's data are not as long as its header says; copy them again")
        raw = np.fromfile(header.data, "<i2").reshape(shape)
    except OSError as error:
        raise SourceError("the waveform's data are not there, or can't be read") from error
    sums = raw.astype(np.int64).sum(axis=0) % 65_536
    if any(lead.checksum not in (None, total) for lead, total in zip(header.leads, sums.tolist(), strict=True)):
        raise SourceError("the waveform's data don't add up to their checksums; copy them again")
    gain = np.array([lead.gain for lead in header.leads])
    baseline = np.array([lead.baseline for lead in header.leads])
    volts = np.where(raw == INVALID, np.nan, (raw - baseline) / gain)
    return np.ascontiguousarray(volts.T, dtype=np.float32)
