"""Pages as a reader meets them: valid figures, the answer first, nothing empty; drawn in a real browser at two widths and printed."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from i2m2_med.report.comparison_report import Evidence, write_report
from i2m2_med.report.pages.html import Plot, Section, render_html
from tests.report.test_comparison_report import MANIFEST

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
PARADIGMS = (
    "unimodal_magnitude", "unimodal_phase", "intra", "inter", "i2m2", "i2m2_aux", "gated", "stacked", "mean", "inter_for_longer",
    "three_joint_experts_averaged", "late_fusion_transformer",
)  # fmt: skip


def page_of(make_table: Callable[..., pd.DataFrame], folder: Path, paradigms: tuple[str, ...], **sizes: int) -> Path:
    tables = {(name, 0): make_table(0.6 + 0.1 * at, seed=at, **sizes) for at, name in enumerate(paradigms)}
    reference = "i2m2" if "i2m2" in paradigms else paradigms[0]
    evidence = Evidence(
        tables=tables, manifest=MANIFEST, title="Knee", synthetic=True, reference=reference, replicates=30
    )
    return write_report(folder, evidence).paths["report.html"]


@pytest.fixture
def page(make_table, tmp_path) -> str:
    return page_of(make_table, tmp_path, ("intra", "inter", "i2m2"), labels=2).read_text(encoding="utf-8")


def figures_of(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)]


def test_every_figure_is_one_that_plotly_knows(page):
    drawn = figures_of(page)
    assert len(drawn) > 8
    for figure in drawn:
        go.Figure(figure)  # raises for a property or value that Plotly doesn't have


def test_every_figure_and_table_speaks_to_who_cannot_see_it(page):
    alts = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert len(alts) == len(figures_of(page))
    assert all(len(alt) > 20 for alt in alts)
    assert "<th>" not in page
    assert page.count("<caption>") == page.count("<table>")


def test_the_answer_is_the_first_sentence(page):
    text = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    words = [each for each in re.findall(r">([^<>]+)<", text) if each.strip()]
    first = next(at for at, each in enumerate(words) if "I2M2 is" in each)
    assert re.match(r"By AUROC, I2M2 is .*\[.*\]", words[first])
    assert first < 8


def test_nothing_empty_is_shown(make_table, tmp_path, page):
    assert "Missing modalities" not in page
    alone = page_of(make_table, tmp_path / "one", ("inter",), labels=1).read_text(encoding="utf-8")
    assert "Paired differences" not in alone
    assert "nothing to compare it with" in alone
    for each in (page, alone):
        assert "<tbody></tbody>" not in each
        headings = re.findall(r"<h2[^>]*>([^<]+)</h2>\s*(</section>)?", each)
        assert all(not closed for _, closed in headings)


def test_a_word_of_a_stranger_stays_a_word():
    hostile = "</script><script>alert(1)</script>"
    plot = Plot(
        hostile, hostile, {"data": [{"type": "bar", "name": hostile, "x": [1], "y": ["a"]}], "layout": {"height": 90}}
    )
    table = pd.DataFrame({hostile: [hostile]})
    page = render_html(
        hostile, [Section(hostile, plots=[plot], tables=[(hostile, table)])], synthetic=False, answer=hostile
    )
    assert "<script>alert" not in page
    assert figures_of(page)[0]["data"][0]["name"] == hostile


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (it is in requirements.lock)"
    )
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


WIDEST = "Math.max(...[...document.querySelectorAll('h1, h2, p, figcaption, summary, .chart')].map(e => e.getBoundingClientRect().right))"
CLIPPED = """[...document.querySelectorAll('.chart text')].filter(t => { const own = t.getBoundingClientRect();
  const box = t.closest('.chart').getBoundingClientRect(); return own.width > 0 && (own.left < box.left - 2 || own.right > box.right + 2); })
  .map(t => t.textContent)"""


@pytest.mark.slow
@pytest.mark.parametrize(("paradigms", "labels"), [(PARADIGMS, 5), (("inter",), 1)])
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_the_page_is_readable_on_a_phone_and_a_desk(browser, make_table, tmp_path, paradigms, labels, width, scheme):
    path = page_of(make_table, tmp_path, paradigms, labels=labels)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    shown, troubles = context.new_page(), list[str]()
    shown.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    shown.on("pageerror", lambda error: troubles.append(str(error)))
    shown.goto(path.as_uri())
    shown.wait_for_function("document.body.dataset.drawn !== undefined", timeout=60_000)
    assert int(shown.evaluate("document.body.dataset.drawn")) == len(figures_of(path.read_text(encoding="utf-8")))
    assert troubles == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate(WIDEST) <= width
    assert shown.evaluate(CLIPPED) == []
    first = shown.locator("table").first
    first.locator("thead button").nth(1).click()
    assert first.locator("thead th").nth(1).get_attribute("aria-sort") == "ascending"
    context.close()


@pytest.mark.slow
def test_print_opens_what_is_folded_and_cuts_no_table(browser, make_table, tmp_path):
    shown = browser.new_page()
    shown.goto(page_of(make_table, tmp_path, PARADIGMS[:5], labels=2).as_uri())
    shown.wait_for_function("document.body.dataset.drawn !== undefined", timeout=60_000)
    assert shown.pdf(path=tmp_path / "page.pdf", format="A4").startswith(b"%PDF")
    shown.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
    shown.emulate_media(media="print")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
    assert (
        shown.evaluate(
            "Math.max(...[...document.querySelectorAll('td, th')].map(e => e.getBoundingClientRect().right))"
        )
        <= 718
    )
    shown.close()
