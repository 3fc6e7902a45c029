"""Pictures from anyone: each becomes RGB, or is refused in one line, at once; none is replaced, and none fills memory or waits."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.photograph import read_photograph

DRAWN = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
GREY_16 = Image.fromarray((np.arange(2000).reshape(40, 50) * 30).astype(np.uint16))


def packed(picture: Image.Image, kind: str, **settings) -> bytes:
    held = io.BytesIO()
    picture.save(held, kind, **settings)
    return held.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, further: bytes = b"") -> bytes:
    """A PNG that claims a size, with hardly a pixel in it."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + further + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cmyk.jpg", packed(DRAWN.convert("CMYK"), "JPEG")),
        ("sixteen bits.png", packed(GREY_16, "PNG")),
        ("palette.png", packed(DRAWN.convert("P"), "PNG")),
        ("alpha.png", packed(DRAWN.convert("RGBA"), "PNG")),
        ("grey with alpha.png", packed(DRAWN.convert("LA"), "PNG")),
        ("one bit.png", packed(DRAWN.convert("1"), "PNG")),
        ("a JPEG.png", packed(DRAWN, "JPEG")),
        ("a WebP.jpg", packed(DRAWN, "WEBP")),
        ("broken profile.png", packed(DRAWN, "PNG", icc_profile=b"x" * 10)),
        ("broken EXIF.jpg", packed(DRAWN, "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)),
    ],
)
def test_every_kind_of_picture_is_rgb_of_its_size(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_photograph(tmp_path / name).shape == (3, 40, 50)
    assert read_photograph(tmp_path / name, (8, 9)).shape == (3, 8, 9)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no picture"),
        (b"<html>404</html>", "is no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture"),
        (packed(DRAWN, "GIF"), "is no picture"),
        (packed(DRAWN, "TIFF"), "is no picture"),
        (packed(DRAWN, "JPEG")[:900], "is damaged"),
        (packed(DRAWN, "PNG")[:2000], "is damaged"),
        (packed(DRAWN, "PNG")[:30], "is no picture"),
        (packed(DRAWN, "PNG", save_all=True, append_images=[DRAWN.rotate(90)]), "holds 2 pictures"),
        (packed(DRAWN, "WEBP", save_all=True, append_images=[DRAWN.rotate(90)]), "holds 2 pictures"),
        (png(60_000, 60_000), "more than 100,000,000 pixels"),
        (png(12_000, 12_000), "12000 × 12000 pixels"),
        (png(40, 50, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000), 9))), "is damaged"),
        (png(0, 10), "is no picture"),
        (png(2**31, 1), "pixels"),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_no_whole_picture_is_refused_in_a_line(tmp_path, content, words):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        read_photograph(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("level", [0, 9])
def test_no_flipped_bit_of_a_png_changes_a_pixel(tmp_path, level):
    drawn = Image.fromarray(np.kron(np.arange(84, dtype=np.uint8).reshape(4, 7, 3) * 3, np.ones((9, 9, 1), np.uint8)))
    lying = Image.Exif()
    lying[0x0112] = 6
    whole, path = packed(drawn, "PNG", compress_level=level, exif=lying.tobytes()), tmp_path / "a.png"
    path.write_bytes(whole)
    right = read_photograph(path)
    for at in np.random.default_rng(1).permutation(len(whole))[:300]:
        for content in (whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :], whole[:at]):
            path.write_bytes(content)
            try:
                assert np.array_equal(read_photograph(path), right)
            except SourceError:
                continue


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name, target in (("endless.png", "/dev/zero"), ("ring.png", "ring.png"), ("gone.png", "nowhere")):
        (tmp_path / name).symlink_to(target)
    for path in sorted(Path(tmp_path).iterdir()):
        with pytest.raises(SourceError, match="is not there"):
            read_photograph(path)
