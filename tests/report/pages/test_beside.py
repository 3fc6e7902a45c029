"""What the engine hands to a report beside its tables: examples, curves, where the numbers came from."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from i2m2_med.curves import Curve, read_curves, write_curves
from i2m2_med.engine.tracking.provenance import command
from i2m2_med.errors import SourceError
from i2m2_med.examples import choose, write_examples
from i2m2_med.report.comparison_report import Evidence, write_report
from i2m2_med.report.pages.curves import curve_sections
from i2m2_med.report.run_report import read_origin
from tests.report.test_comparison_report import MANIFEST

HISTORY = [{"train_loss": 2.0, "valid_nll": 0.7, "valid_auroc": 0.6}, {"train_loss": 1.0, "valid_nll": 0.9}]


@pytest.fixture
def evidence(make_table: Callable[..., pd.DataFrame], tmp_path: Path) -> Evidence:
    tables = {("i2m2", 0): make_table(1.0).assign(p_a=0.9, p_b=0.2), ("intra", 0): make_table(0.5)}
    write_examples(tmp_path / "examples", choose(tables["i2m2", 0], ("no", "yes")), [b"picture"] * 6)
    write_curves(tmp_path / "curves.csv", [Curve("a+b", 1e-3, "auroc", HISTORY)])
    curves = {model: read_curves(tmp_path / "curves.csv") for model in tables}
    return Evidence(
        tables=tables,
        manifest=MANIFEST,
        title="Knee",
        replicates=30,
        examples=tmp_path / "examples",
        curves=curves,
        provenance={"Run": "abc", "Command": "i2m2 compare <knee>"},
    )


def test_examples_curves_and_origin_stand_in_their_order(evidence: Evidence, tmp_path: Path) -> None:
    page = write_report(tmp_path / "report", evidence).paths["report.html"].read_text(encoding="utf-8")
    places = [page.index(f">{title}</h2>") for title in ("Differences", "Examples", "Cohort", "Training curves", "Where the numbers came from", "Glossary")]  # fmt: skip
    assert places == sorted(places)
    assert page.count("data:image/webp;base64,cGljdHVyZQ==") == 6
    assert "i2m2 compare &lt;knee&gt;" in page
    assert "seed 0, rate 0.001: 0.6 at epoch 1" in page


def test_only_the_origin_differs_from_run_to_run(evidence: Evidence, tmp_path: Path) -> None:
    from dataclasses import replace

    first = write_report(tmp_path / "one", evidence).paths
    other = write_report(tmp_path / "two", replace(evidence, provenance={"Run": "another"})).paths
    for name, path in first.items():
        assert (path.read_bytes() == other[name].read_bytes()) == (name != "report.html"), name
    pages = [paths["report.html"].read_text(encoding="utf-8").splitlines() for paths in (first, other)]
    assert len({*pages[0]} ^ {*pages[1]}) == 3  # Run, Run, Command


def test_a_metric_that_was_never_defined_has_no_chosen_epoch(tmp_path: Path) -> None:
    write_curves(tmp_path / "curves.csv", [Curve("a", 1e-3, "auroc", [{"train_loss": 1.0}])])
    plots = curve_sections({("intra", 0): read_curves(tmp_path / "curves.csv")}, "intra")[0].plots
    assert "undefined" in plots[1].alt
    assert curve_sections({("intra", 0): read_curves(None)}, "intra") == []


def test_a_table_of_a_stranger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curves.csv").write_text("stage,epoch\n<script>,x\n", encoding="utf-8")
    with pytest.raises(SourceError, match="no table of training curves"):
        read_curves(tmp_path / "curves.csv")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["compare", "knee_demo", "-s", "seeds=[0,1]"], "i2m2 compare knee_demo -s seeds=[0,1]"),
        (["compare", "-s", "source.root=/home/jane/doe"], "i2m2 compare -s source.root=…"),
        (["train", "own/cohort.yaml", "--out", r"C:\patients"], "i2m2 train … --out …"),
        (["train", "-s", "tracking.uri=http://user:secret@host"], "i2m2 train -s tracking.uri=…"),
        (["train", "-s", "source={root: jane doe, name: knee}"], "i2m2 train -s source=…"),
        (["compare", "-s", "source.root=jane"], "i2m2 compare -s source.root=…"),
        (["diagnose", "0a1b2c3d", "--root", "jane"], "i2m2 diagnose 0a1b2c3d --root …"),
    ],
)
def test_a_command_shows_no_path(arguments: list[str], shown: str) -> None:
    assert command(arguments) == shown


def test_an_origin_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert read_origin(tmp_path) == {}
    (tmp_path / "provenance.json").write_text(json.dumps({"Run": "a"}), encoding="utf-8")
    assert read_origin(tmp_path) == {"Run": "a"}
