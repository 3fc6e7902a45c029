"""Libraries' errors are said of the file they read; ours are bugs and stay."""

import json

import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.damaged import blamed_on


def test_a_librarys_error_is_the_files() -> None:
    with pytest.raises(SourceError, match=r"a\.json is damaged, in a way that json stumbles over"), blamed_on("a.json"):
        json.loads("{")


def test_our_own_stays() -> None:
    with pytest.raises(KeyError), blamed_on("a.json"):
        _ = {}["missing"]
    with pytest.raises(SourceError, match="ours"), blamed_on("a.json"):
        raise SourceError("ours")
