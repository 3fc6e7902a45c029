"""What a person sees."""

import pytest

from i2m2_med.console import table


def test_a_cell_stands_there_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table("[red]Refused", ["studies", "[why]"], [[2, "kspace is not [slice, coil,]"], [1, "the file [/bold] :smile:"]])
    shown = capsys.readouterr().out
    for text in ("[red]Refused", "[why]", "kspace is not [slice, coil,]", "the file [/bold] :smile:"):
        assert text in shown
