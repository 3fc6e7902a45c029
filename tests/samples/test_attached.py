"""Studies beside a record become tensors, and are absent where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples import LoadPictured, LoadWaveformd
from i2m2_med.simulate.mimic3.attached import write_wfdb


def test_a_record_without_the_file_gets_no_key() -> None:
    record = {"_picture": None, "study": "a"}
    assert LoadWaveformd()(LoadPictured()(record)) == record


def test_a_picture_is_averaged_to_its_size(tmp_path: Path) -> None:
    grey = np.kron(np.array([[0, 255], [51, 204]], np.uint8), np.ones((30, 45), np.uint8))
    Image.fromarray(grey).save(tmp_path / "a.png")
    made = LoadPictured(size=[2, 2])({"_picture": str(tmp_path / "a.png")})["picture"]
    torch.testing.assert_close(made, torch.tensor([[[0, 1], [0.2, 0.8]]]))


def test_a_waveform_is_averaged_and_lost_values_are_nothing(tmp_path: Path) -> None:
    volts = np.repeat(np.arange(8.0), 5)[None].repeat(2, axis=0)
    volts[1, :3] = -32768 / 200  # the recorder's sign for no value
    write_wfdb(tmp_path / "e", volts, "2150-01-01 00:00:00")
    made = LoadWaveformd(leads=2, samples=8)({"_ecg": str(tmp_path / "e.hea")})["ecg"]
    assert made.shape == (2, 8)
    assert made[0].tolist() == list(range(8))
    with pytest.raises(SourceError, match="2 leads of 40 samples"):
        LoadWaveformd(leads=12, samples=8)({"_ecg": str(tmp_path / "e.hea")})
    with pytest.raises(SourceError, match="multiple of 7"):
        LoadWaveformd(leads=2, samples=7)({"_ecg": str(tmp_path / "e.hea")})


def test_a_size_is_two_numbers() -> None:
    with pytest.raises(ConfigError, match="height and width"):
        LoadPictured(size=[64])
