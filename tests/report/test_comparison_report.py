import base64
import gzip
import re
from importlib import resources

import pandas as pd
import pytest

from i2m2_med.report.comparison_report import Evidence, write_report

PLOTLY = resources.files("plotly") / "package_data" / "plotly.min.js"
MANIFEST = {
    "task": "knee",
    "fingerprint": "0123456789abcdef0123",
    "settings": {"source": {"name": "fastmri", "abnormal": "other"}},
    "label_rules": {"abnormal": "any finding other than the named ones"},
    "flow": [{"step": "volumes", "kept": 90, "dropped": 10, "why": "never reviewed <by anyone>"}],
    "audits": {"doubled rows": 5},
    "refused": [],
    "remarks": ["Too few patients in the <test> split."],
    "splits": {
        "test": {
            "patients": 40,
            "studies": 40,
            "samples": 120,
            "classes": {"label0": {"no": 60, "yes": 60}},
            "unknown": {"label0": 0},
        }
    },
    "versions": {"python": "3.11"},
}


@pytest.fixture
def report(make_table, tmp_path):
    tables = {("intra", 0): make_table(1.0), ("i2m2", 0): make_table(1.5, seed=1)}
    ideal = {"i2m2": {"label0": 0.98}}
    evidence = Evidence(tables=tables, manifest=MANIFEST, title="Knee", synthetic=True, ideal=ideal, replicates=50)
    return write_report(tmp_path, evidence)


def test_all_parts_are_written_and_said(report):
    assert {
        "report.html",
        "model_card.md",
        "comparison.csv",
        "comparison.parquet",
        "comparison.md",
        "comparison.png",
    } <= set(report.paths)
    assert all(path.stat().st_size > 0 for path in report.paths.values())
    assert (
        len(pd.read_parquet(report.paths["comparison.parquet"]))
        == len(pd.read_csv(report.paths["comparison.csv"]))
        == len(report.rows)
    )


def test_an_ideal_observers_auroc_is_no_ceiling_of_another_metric(report, make_table, tmp_path):
    assert "what an ideal observer" in report.paths["report.html"].read_text(encoding="utf-8")
    tables = {("intra", 0): make_table(1.0), ("i2m2", 0): make_table(1.5, seed=1)}
    ideal = {"i2m2": {"label0": 0.98}}
    other = Evidence(
        tables=tables, manifest=MANIFEST, title="Knee", synthetic=True, ideal=ideal, replicates=50, metric="accuracy"
    )
    page = write_report(tmp_path / "other", other).paths["report.html"].read_text(encoding="utf-8")
    assert "Grey ticks: what an ideal observer" not in page


def test_page_and_card_say_what_may_not_be_claimed(report):
    assert "Too few patients in the &lt;test&gt; split." in report.paths["report.html"].read_text(encoding="utf-8")
    assert "Too few patients in the &lt;test&gt; split." in report.paths["model_card.md"].read_text(encoding="utf-8")


def test_the_page_stands_alone(report):
    page = report.paths["report.html"].read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    packed = re.search(r'<script type="application/gzip" id="plotly">([^<]+)<', page)
    assert packed
    assert gzip.decompress(base64.b64decode(packed[1])) == PLOTLY.read_bytes()


def test_the_page_says_what_it_rests_on(report):
    page = report.paths["report.html"].read_text(encoding="utf-8")
    assert "Synthetic data" in page
    assert "any finding other than the named ones" in page
    assert "never reviewed &lt;by anyone&gt;" in page
    assert "0.980" in page
    assert "doubled rows: 5" in page


def test_no_patient_is_named(report):
    for name in ("report.html", "model_card.md", "comparison.csv", "comparison.md"):
        text = re.sub(r'id="plotly">[^<]+', "", report.paths[name].read_text(encoding="utf-8"))
        assert not re.search(r"\b[PS]\d+\b", text)


def test_real_data_bear_no_synthetic_mark(make_table, tmp_path):
    found = write_report(
        tmp_path, Evidence(tables={("i2m2", 0): make_table()}, manifest={}, title="Real", replicates=20)
    )
    assert "Synthetic" not in found.paths["report.html"].read_text(encoding="utf-8")
    assert "Synthetic" not in found.paths["model_card.md"].read_text(encoding="utf-8")
