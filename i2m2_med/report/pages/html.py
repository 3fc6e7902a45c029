"""A report as one file: nothing is fetched when it is opened, figures are inside as data URIs."""

import base64
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from html import escape as escape_html
from importlib import resources

import pandas as pd
from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """A heading with text, figures (caption, PNG bytes) and tables (caption, rows)."""

    title: str
    text: Sequence[str] = ()
    _: KW_ONLY
    notes: Sequence[str] = ()
    figures: Sequence[tuple[str, bytes]] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    folded: Sequence[tuple[str, pd.DataFrame]] = field(default_factory=tuple)
    """Tables that open on a click."""


def render_html(
    title: str, sections: Sequence[Section], *, synthetic: bool, facts: dict[str, str] | None = None
) -> str:
    """The page. facts: short statements at its head, by name."""
    return _template("report.html.j2").render(title=title, sections=sections, synthetic=synthetic, facts=facts or {})


def render_card(**values: object) -> str:
    """The model card, in Markdown; `values` are what templates/model_card.md.j2 names."""
    return _template("model_card.md.j2", escape=False).render(**values)


def unmarked(value: object) -> object:
    """Return a text of the card with no HTML in it: what shows Markdown shows HTML too, and runs its scripts."""
    return escape_html(value, quote=False) if isinstance(value, str) else value


def table_html(table: pd.DataFrame) -> Markup:
    """A table with numbers to three digits and undefined values as a dash."""
    return Markup(table.to_html(index=False, border=0, na_rep="–", float_format=number, escape=True, justify="left"))


def number(value: float) -> str:
    """Three decimals, or two significant digits where that would show nothing."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.1e}"


def data_uri(image: bytes) -> str:
    """PNG bytes as an address that needs no file."""
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _template(name: str, escape: bool = True) -> Template:
    text = (resources.files("i2m2_med.report") / "templates" / name).read_text(encoding="utf-8")
    place = Environment(
        loader=DictLoader({name: text}),
        autoescape=escape,
        finalize=(lambda value: value) if escape else unmarked,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    place.filters.update(table=table_html, uri=data_uri)
    return place.get_template(name)
