"""What a person sees."""

import pytest

from i2m2_med.console import say, table


def test_a_cell_stands_there_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table("[red]Refused", ["studies", "[why]"], [[2, "kspace is not [slice, coil,]"], [1, "the file [/bold] :smile:"]])
    shown = capsys.readouterr().out
    for text in ("[red]Refused", "[why]", "kspace is not [slice, coil,]", "the file [/bold] :smile:"):
        assert text in shown


def test_no_text_steers_a_terminal(capsys):
    hostile = "a\x1b[2Jb\0c\ud800d\u202ee\u00adf\rg\x9b1m"
    say(hostile)
    table(hostile, [hostile], [[hostile]])
    said = capsys.readouterr()
    for text in (said.err, said.out):
        assert not set(text) & set("\x1b\0\ud800\u202e\u00ad\r\x9b")
    assert "\\x1b[2J" in said.err
