"""A report as one file: nothing is fetched when it is opened, figures and the script that draws them are inside."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from html import escape as escape_html
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

LONG = 60
"""Cells of more signs than this are broken into lines."""
FILTERED = 12
"""Tables of more rows than this are folded, and have a field that filters them."""
SMALLEST = 1e-9
"""What is smaller is 0 to a reader."""


@dataclass(frozen=True)
class Plot:
    """A figure that Plotly draws in the reader's browser, with values on hover."""

    caption: str
    alt: str
    """The figure's statement in words, for who can't see it."""
    figure: Mapping[str, Any]
    """Plotly's `data` and `layout`."""
    _: KW_ONLY
    wide: bool = False
    """Takes the page's width; others stand beside one another where there is room."""


@dataclass(frozen=True)
class Card:
    """One sample: what it is, its picture, and what is said of it."""

    head: str
    table: pd.DataFrame
    _: KW_ONLY
    picture: bytes = b""
    """WebP; empty: none."""
    alt: str = ""
    text: str = ""
    """The sample's own words."""


@dataclass(frozen=True)
class Section:
    """A heading with text, figures and tables; one without any content is not shown."""

    title: str
    text: Sequence[str] = ()
    _: KW_ONLY
    notes: Sequence[str] = ()
    plots: Sequence[Plot] = ()
    figures: Sequence[tuple[str, bytes]] = ()
    """(caption, PNG bytes), for pictures."""
    cards: Sequence[Card] = ()
    steps: Sequence[Mapping[str, Any]] = ()
    """Of a flow: step, kept, dropped, why."""
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    terms: Mapping[str, str] = field(default_factory=dict[str, str])
    """Words and what they mean."""
    folded_plots: Mapping[str, Sequence[Plot]] = field(default_factory=dict[str, Sequence[Plot]])
    """By the words that open them."""
    folded: Sequence[tuple[str, pd.DataFrame]] = field(default_factory=tuple)
    """Tables that open on a click."""

    @property
    def short(self) -> list[tuple[str, pd.DataFrame]]:
        """Tables that are shown at once."""
        return [(caption, table) for caption, table in self.tables if 0 < len(table) <= FILTERED]

    @property
    def long(self) -> list[tuple[str, pd.DataFrame]]:
        """Tables that open on a click."""
        rest = [(caption, table) for caption, table in self.tables if len(table) > FILTERED]
        return [*rest, *((caption, table) for caption, table in self.folded if len(table))]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing below the heading; an explanation alone is nothing."""
        tables = any(len(table) for _, table in (*self.tables, *self.folded))
        parts = (self.notes, self.plots, self.figures, self.cards, self.steps, self.terms, *self.folded_plots.values())
        shown = any(map(bool, parts))
        explained = bool(self.text) and not (self.tables or self.folded)
        return not (tables or shown or explained)


def render_html(
    title: str,
    sections: Sequence[Section],
    *,
    synthetic: bool,
    answer: str = "",
    reach: str = "",
    facts: dict[str, str] | None = None,
) -> str:
    """The page. answer: one sentence, before all else; reach: how far it reaches; facts: short statements at its head, by name."""
    shown = [section for section in sections if not section.is_empty]
    drawn = any(section.plots or any(section.folded_plots.values()) for section in shown)
    return _template("report.html.j2").render(
        title=title,
        sections=shown,
        synthetic=synthetic,
        answer=answer,
        reach=reach,
        facts=facts or {},
        style=Markup(_text("report.css.j2")),
        script=Markup(_text("report.js.j2")),
        plotly=packed_plotly() if drawn else "",
    )


def render_card(**values: object) -> str:
    """The model card, in Markdown; `values` are what templates/model_card.md.j2 names."""
    return _template("model_card.md.j2", escape=False).render(**values)


@cache
def packed_plotly() -> str:
    """Return Plotly's script, compressed (a third of its size) in base64; the page unpacks it."""
    script = resources.files("plotly") / "package_data" / "plotly.min.js"
    return base64.b64encode(gzip.compress(script.read_bytes(), mtime=0)).decode()


def unmarked(value: object) -> object:
    """Return a text of the card with no HTML in it: what shows Markdown shows HTML too, and runs its scripts."""
    return escape_html(value, quote=False) if isinstance(value, str) else value


def table_html(table: pd.DataFrame, caption: str) -> Markup:
    """A table that can be sorted and filtered: numbers to three digits, undefined values as a dash, headings in scope."""
    columns = [str(name) for name in table.columns]
    head = Markup("").join(
        Markup('<th scope="col"><button type="button">{}</button></th>').format(words(name)) for name in columns
    )
    lines: list[Markup] = []
    for row in table.itertuples(index=False, name=None):
        first, *others = (cell(value) for value in row)
        rest = Markup("").join(
            Markup('<td class="long">{}</td>' if len(text) > LONG else "<td>{}</td>").format(text) for text in others
        )
        lines.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(first, rest))
    filtered = Markup('<input type="search" placeholder="filter rows" aria-label="Filter rows of: {}">').format(caption)
    body = Markup("<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
        caption, head, Markup("\n").join(lines)
    )
    return (filtered if len(table) > FILTERED else Markup("")) + Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}">{}</div>'
    ).format(caption, body)


def words(name: str) -> str:
    """A column's name as people read it."""
    return name.replace("_", " ")


def cell(value: object) -> str:
    """A cell: three digits, or a dash for what is undefined."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    return number(value) if isinstance(value, float) else str(value)


def plot_json(figure: Mapping[str, Any]) -> Markup:
    """A figure as JSON that may stand inside a script element."""
    text = json.dumps(figure, allow_nan=False, sort_keys=True)
    return Markup(text.replace("<", "\\u003c"))


def number(value: float) -> str:
    """Three decimals, or two significant digits where that would show nothing of what is there."""
    return f"{value:.3f}" if abs(value) < SMALLEST or abs(value) >= 0.001 else f"{value:.1e}"


def data_uri(image: bytes, kind: str = "png") -> str:
    """The bytes of a picture as an address that needs no file."""
    return f"data:image/{kind};base64," + base64.b64encode(image).decode()


def _text(name: str) -> str:
    return (resources.files("i2m2_med.report") / "templates" / name).read_text(encoding="utf-8")


def _template(name: str, escape: bool = True) -> Template:
    place = Environment(
        loader=DictLoader({name: _text(name)}),
        autoescape=escape,
        finalize=(lambda value: value) if escape else unmarked,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"table": table_html, "uri": data_uri, "plot": plot_json}
    place.filters.update(filters)
    return place.get_template(name)
