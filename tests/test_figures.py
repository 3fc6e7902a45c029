"""What `make bench` keeps and compares: ratios with their spread."""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.figures import Figure, Figures
from tests.benchmarks.tables import BEGIN, END, compare, markdown, put_into, read

ROOT = Path(__file__).parents[1]


def measured(*ours: float, name: str = "epoch") -> dict[str, Figure]:
    figures = Figures("table")
    figures.add(name, "an epoch", ours, "bare loop", [2.0] * len(ours), "CPU s", at_most=1.5)
    return {figure.name: figure for figure in figures.found}


def test_ours_and_the_baseline_take_turns_and_the_ratio_is_the_median_of_pairs():
    calls, costs = [], iter([1.0, 2.0, 10.0, 50.0, 2.0, 2.0])

    def cost(who: str) -> float:
        calls.append(who)
        return next(costs)

    found = Figures("a").beside("b", "c", lambda: cost("ours"), "bare", lambda: cost("bare"))
    assert calls == ["bare", "ours"] * 3
    assert (found.ratio, found.low, found.high, found.ours, found.baseline) == (2, 1, 5, 2, 2)


def test_an_exponent_is_the_slope_of_logs():
    found = Figures("a").exponent("b", "rows", [1, 10, 50], [[3 * n**1.2 for n in (1, 10, 50)], [5, 5, 5]])
    assert found.high == pytest.approx(1.2)
    assert found.low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "bad"),
    [
        ((2.0, 2.0, 2.0), (2.6, 2.6, 2.6), 1),  # no spread, 30 % worse
        ((2.0, 2.0, 2.0), (2.1, 2.1, 2.1), 0),  # less than what is judged at all
        ((1.5, 2.0, 2.5), (2.6, 2.6, 2.6), 0),  # within the stored run's spread
        ((2.0, 2.0, 2.0), (2.0, 2.6, 3.2), 0),  # within its own
        ((2.0, 2.0, 2.0), (1.0, 1.0, 1.0), 0),  # better
    ],
)
def test_worse_is_more_than_the_spread_of_either_run(old, new, bad):
    lines, found = compare(measured(*old), measured(*new))
    assert found == bad
    assert any(line.startswith("worse: table/epoch: 1.00 → 1.30") for line in lines) == bool(bad)


def test_what_only_one_run_has_is_named():
    lines, bad = compare(measured(1.0, name="gone"), measured(9.0, name="fresh"))
    assert bad == 0
    assert lines[1:] == ["only in the stored run: table/gone", "new: table/fresh"]


BENCH = """
import pytest

def test_one(figures):
    figures.beside("two", "two beside one", lambda: 2.0, "one", lambda: 1.0, at_most=1.9)

def test_other(figures):
    pytest.skip("no data here")
"""


def test_a_run_is_stored_shown_and_compared(tmp_path: Path):
    place = tmp_path / "tests" / "benchmarks"
    place.mkdir(parents=True)
    (place / "conftest.py").write_text("from tests.benchmarks.conftest import *  # noqa: F403\n", encoding="utf-8")
    (place / "test_this.py").write_text(BENCH, encoding="utf-8")
    stored = tmp_path / "bench.json"
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(place), f"--benchmark-json={stored}"]
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")
    }  # it measures nothing beside others
    run = subprocess.run([*call, "-c", "/dev/null"], cwd=ROOT, env=alone, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    said, figures = read(stored)
    page = markdown(said, figures)
    assert "| this/two | two beside one | 2.00 CPU s | one: 1.00 | 2.00 (2.00 to 2.00) | ≤ 1.9 missed | 3 |" in page
    assert "Not measured: test_other (Skipped: no data here)." in page
    assert said["versions"]["torch"] in page
    (tmp_path / "page.md").write_text(f"# Page\n\n{BEGIN}\nold\n{END}\nrest\n", encoding="utf-8")
    put_into(tmp_path / "page.md", page)
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == f"# Page\n\n{BEGIN}\n\n{page}\n{END}\nrest\n"
    changed = json.loads(stored.read_text(encoding="utf-8"))
    changed["figures"][0]["ratio"] = 1.0
    (tmp_path / "old.json").write_text(json.dumps(changed), encoding="utf-8")
    compared = [sys.executable, "-m", "tests.benchmarks.tables", str(stored), "--against"]
    worse = subprocess.run([*compared, str(tmp_path / "old.json")], cwd=ROOT, capture_output=True, text=True)
    assert worse.returncode == 1
    assert worse.stdout.startswith("worse: this/two: 1.00 → 2.00 × one")
    assert subprocess.run([*compared, str(stored)], cwd=ROOT, capture_output=True).returncode == 0


def test_costs_that_give_no_ratio_fail_where_they_are_measured():
    for ours, bare in ((1.0, 0.0), (float("nan"), 1.0), (1.0, float("inf"))):
        with pytest.raises(ValueError, match="no ratio"):
            Figures("a").add("b", "c", [1.0, ours], "bare", [1.0, bare], "CPU s")


def test_figures_of_another_unit_or_baseline_are_not_compared():
    old = measured(2.0)
    for change in ({"unit": "GB"}, {"against": "another loop"}):
        new = {name: replace(one, ratio=99.0, **change) for name, one in old.items()}
        lines, bad = compare(old, new)
        assert bad == 0
        assert lines == [
            "0 figures compared: 0 worse, 0 better, the rest within their spread",
            "not compared, of another unit or baseline: table/epoch",
        ]


RUN = {
    "machine_info": {"cpu": {"brand_raw": "a", "count": 2, "arch": "b"}, "system": "Linux", "python_version": "3.11"},
    "commit_info": {"id": "0" * 40, "dirty": False},
    "datetime": "2026-11-28",
    "versions": {},
    "load": 1.0,
    "missing": {},
}


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"figure": {name: value}}
            for name in ("ratio", "low", "baseline")
            for value in (math.nan, math.inf, "1", None)
        ),
        {"figure": {"name": None}},
        {"figure": {"name": ["a"]}},
        {"figure": {"further": 1}},
        {"twice": True},
        *({"run": {name: None}} for name in RUN),
        {"run": {"machine_info": []}},
        {"run": {"machine_info": {"system": "Linux"}}},
    ],
)
def test_a_run_that_is_damaged_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any]):
    [whole] = measured(1.0).values()
    figures = [asdict(whole) | change.get("figure", {})] * (2 if "twice" in change else 1)
    stored = tmp_path / "old.json"
    stored.write_text(json.dumps(RUN | {"figures": [asdict(whole)]}), encoding="utf-8")
    assert read(stored)[1] == {"table/epoch": whole}
    stored.write_text(json.dumps(RUN | {"figures": figures} | change.get("run", {})), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"is no JSON of|more than once") as said:
        read(stored)
    assert "\n" not in str(said.value)


def test_what_failed_now_is_no_success(tmp_path: Path):
    figures = {"figures": [asdict(one) for one in measured(1.0).values()]}
    for name, missing in (
        ("old", {}),
        ("new", {"test_epoch": "failed: call"}),
        ("less", {"test_epoch": "Skipped: no data"}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(RUN | figures | {"missing": missing}), encoding="utf-8")
    for name, code in (("new", 1), ("less", 0)):
        call = [
            sys.executable,
            "-m",
            "tests.benchmarks.tables",
            str(tmp_path / f"{name}.json"),
            "--against",
            str(tmp_path / "old.json"),
        ]
        ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == code, ran.stderr
        assert ("failed: test_epoch" in ran.stdout) is bool(code)


def test_a_page_without_a_place_for_the_table_stays_as_it_is(tmp_path: Path):
    page = tmp_path / "page.md"
    for text in ("# Page\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"):
        page.write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit, match="no place for a table"):
            put_into(page, "table")
        assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"figures": [{"name": "x"}]}', '{"figures": 3}'])
def test_a_file_that_is_no_run_is_refused_in_one_line(tmp_path: Path, text: str):
    (tmp_path / "old.json").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match="is no JSON of `make bench`"):
        read(tmp_path / "old.json")
