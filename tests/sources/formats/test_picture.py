"""JPEG and PNG as grey values, or refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.picture import read_picture

RAMP = np.linspace(0, 255, 35).astype(np.uint8).reshape(5, 7)


def test_grey_colour_and_sixteen_bits_are_read_alike(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([RAMP] * 3, axis=-1)).save(tmp_path / "colour.png")
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name in ("grey", "colour", "deep"):
        np.testing.assert_allclose(read_picture(tmp_path / f"{name}.png"), RAMP / 255, atol=1 / 255)


def test_it_is_turned_as_it_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(RAMP).save(tmp_path / "turned.jpg", exif=exif, quality=100)
    assert read_picture(tmp_path / "turned.jpg").shape == (7, 5)


@pytest.mark.parametrize("kind", ["CMYK", "P", "gif", "cut", "text", "bomb", "none", "clear"])
def test_other_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jpg"
    if kind == "CMYK":
        Image.new("CMYK", (9, 9)).save(path)
    elif kind in ("P", "gif"):
        Image.new("P", (9, 9)).save(path, format="PNG" if kind == "P" else "GIF")
    elif kind == "cut":
        Image.effect_noise((200, 200), 50).save(path)
        path.write_bytes(path.read_bytes()[:-3000])
    elif kind == "text":
        path.write_text("no picture", encoding="utf-8")
    elif kind == "clear":
        Image.fromarray(RAMP).save(path, format="PNG", transparency=0)
    elif kind == "bomb":
        Image.new("1", (10_001, 10_000)).save(path)
    with pytest.raises(SourceError, match="picture"):
        read_picture(path)
