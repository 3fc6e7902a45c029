"""A study's folder: its picture and text are found whatever their case, or said to be unreadable; none is passed over in silence."""

from pathlib import Path

import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.study_folder import picture_in, words_in


@pytest.mark.parametrize("name", ["picture.png", "Picture.PNG", "PICTURE.jpeg"])
def test_a_picture_is_found_by_its_name(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    (tmp_path / "picture.xml").touch()
    (tmp_path / "pictures.png").touch()
    assert picture_in(tmp_path, "picture") == tmp_path / name


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["picture.gif"], "picture.gif is not read; picture is to end in .png"),
        (["picture"], "picture is not read"),
        (["picture.png", "PICTURE.jpg"], "holds 2 files called picture"),
    ],
)
def test_a_picture_that_is_not_read_is_not_passed_over(tmp_path: Path, names: list[str], words: str):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=words):
        picture_in(tmp_path, "picture")


@pytest.mark.parametrize("content", [b" There is a box\r\n", "\ufeffThere is a box".encode()])
@pytest.mark.parametrize("name", ["sentence.txt", "Sentence.TXT"])
def test_a_text_is_read_without_mark_and_blanks(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    assert words_in(tmp_path, "sentence") == "There is a box"
    assert words_in(tmp_path, "question") == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("caf\xe9".encode("latin-1"), "not UTF-8"),
        ("word".encode("utf-16"), "not UTF-8"),
        (bytes(2**20 + 1), "1,048,576 at most"),
        (None, "is no file"),
    ],
)
def test_another_text_is_refused_in_a_line(tmp_path: Path, content: bytes | None, words: str):
    path = tmp_path / "sentence.txt"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        words_in(tmp_path, "sentence")
    assert "\n" not in str(caught.value)
