"""The reference of settings is whole and of today."""

from pathlib import Path
from typing import Literal

import pytest

from i2m2_med.config.reference import section, settings_page, spelt
from i2m2_med.config.settings import Settings
from i2m2_med.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_of_today():
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "python -m i2m2_med.config.reference > docs/settings.md"


class Half(Settings):
    """Half of it is documented."""

    known: int = 1
    """Known."""
    silent: int = 2


def test_an_undocumented_setting_fails():
    with pytest.raises(ConfigError, match=r"Half\.silent has no docstring"):
        section("Half", Half)


class Whole(Settings):
    """All of it."""

    share: float | None = None
    """A | B."""


def test_a_setting_is_a_row_with_type_default_and_meaning():
    assert "| `share` | number or none | none | A &#124; B. |" in section("Whole", Whole)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (dict[str, tuple[int, ...]], "mapping of text → list of whole number"),
        (Literal["a", "b"] | None, "'a', 'b' or none"),
        (Whole, "Whole"),
    ],
)
def test_types_are_in_plain_words(annotation, words):
    assert spelt(annotation) == words
