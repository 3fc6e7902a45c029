"""WFDB format 16: read as the standard has it, or refused."""

import struct
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.simulate.mimic3.attached import write_wfdb
from i2m2_med.sources.formats.wfdb import read_waveform

NUMBERS = [(0, 200), (100, -200), (-100, 400)]  # three samples of two leads


def write(folder: Path, *, leads: list[str] | None = None, first: str = "r 2 500 3", data: bytes | None = None) -> Path:
    lines = leads or [
        f"r.dat 16 200(0)/mV 16 0 0 {sum(column)} 0 {name}"
        for name, column in zip("AB", zip(*NUMBERS, strict=True), strict=True)
    ]
    (folder / "r.hea").write_text("\n".join(["# a comment", first, *lines]) + "\n", encoding="utf-8")
    (folder / "r.dat").write_bytes(struct.pack("<6h", *(n for row in NUMBERS for n in row)) if data is None else data)
    return folder / "r.hea"


def test_leads_lie_interleaved_and_become_millivolts(tmp_path: Path) -> None:
    assert read_waveform(write(tmp_path)).tolist() == [[0, 0.5, -0.5], [1, -1, 2]]


@pytest.mark.parametrize(
    ("gain", "volts"),
    [("100(50)/mV", [-0.5, 0.5, -1.5]), ("0.2/uV", [0, 0.5, -0.5]), ("0", [0, 0.5, -0.5]), ("200", [0, 0.5, -0.5])],
)
def test_gain_baseline_and_unit_are_read(tmp_path: Path, gain: str, volts: list[float]) -> None:
    leads = [f"r.dat 16 {gain} 16 0 0 0 0 A", "r.dat 16 200/mV 16 0 200 400 0 B"]
    assert read_waveform(write(tmp_path, leads=leads))[0].tolist() == pytest.approx(volts)


def test_a_value_that_is_none_is_nan(tmp_path: Path) -> None:
    path = write(tmp_path, leads=["r.dat 16 200/mV", "r.dat 16 200/mV"], data=struct.pack("<6h", -32768, 1, 2, 3, 4, 5))
    assert np.isnan(read_waveform(path)).tolist() == [[True, False, False], [False] * 3]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    volts = np.random.default_rng(1).normal(size=(12, 37))
    write_wfdb(tmp_path / "40000001", volts, "2150-01-31 09:05:00")
    np.testing.assert_allclose(read_waveform(tmp_path / "40000001.hea"), volts, atol=0.5 / 200 + 1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"leads": ["r.dat 212 200/mV", "r.dat 212 200/mV"]}, "format 16"),
        ({"leads": ["r.dat 16x2 200/mV", "r.dat 16 200/mV"]}, "format 16"),
        ({"leads": ["r.dat 16 200/mV", "s.dat 16 200/mV"]}, "format 16"),
        ({"leads": ["../r.dat 16 200/mV"] * 2}, "another folder"),
        ({"leads": ["r.dat 16 200/mmHg"] * 2}, "not in volts"),
        ({"leads": ["r.dat 16 200/mV 16 0 0 5 0 A", "r.dat 16 200/mV 16 0 0 400 0 B"]}, "checksums"),
        ({"leads": ["r.dat 16 200/mV"]}, "format 16"),
        ({"first": "r 2 500"}, "WFDB's form"),
        ({"first": "r 2 500 4"}, "not as long"),
        ({"first": "r 2 500 -3"}, "or none"),
        ({"first": "r 99 500 3"}, "more than 64 leads"),
        ({"first": "r 2 nan 3"}, "format 16"),
        ({"data": b""}, "not as long"),
    ],
)
def test_what_is_no_such_waveform_is_refused(tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read_waveform(write(tmp_path, **changes))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="header"):
        read_waveform(tmp_path / "none.hea")
    write(tmp_path)
    (tmp_path / "r.dat").unlink()
    with pytest.raises(SourceError, match="not there"):
        read_waveform(tmp_path / "r.hea")
