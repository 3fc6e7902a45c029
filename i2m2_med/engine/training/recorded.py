"""What an experiment writes into its runs beside the model: settings without their places, results, calibration, cost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.config.allow_list import places
from i2m2_med.config.run import RunConfig
from i2m2_med.config.trust import paths_in
from i2m2_med.engine.calibration.calibrate import NONE, OWN, outcome_by_pattern
from i2m2_med.engine.tracking.events import metric_key
from i2m2_med.engine.tracking.place_tokens import hide
from i2m2_med.engine.tracking.read import COST_TAG
from i2m2_med.engine.tracking.results import (
    DIFFERENCE,
    ENDS,
    TABLE,
    Values,
    comparison_headline,
    comparison_values,
    write_rows,
)
from i2m2_med.engine.tracking.run import Tracker
from i2m2_med.files import replace_file
from i2m2_med.predictions import Rows
from i2m2_med.workspace import workspace

Cost = dict[str, int | float]
"""`parameters`, and the `epochs` and `seconds` that training took."""
FIGURE = "figure.png"
"""The artifact that a comparison's description shows."""
WIDTH = 640
"""Pixels: a description's picture that is wider than MLflow's page pushes the metrics out of it."""


def record_rows(
    tracker: Tracker, rows: Rows, headline: Callable[[Rows, str], Values], metric: str, reference: str, folder: Path
) -> None:
    """Write rows of metrics into a run: `headline` picks its metrics, the table holds all; the tag `result` says `metric` in words.

    Of a comparison, `result` is of its reference.
    """
    shown = headline(rows, metric)
    tracker.metrics(shown)
    if found := result_words(rows, metric, reference):
        tracker.tags({"result": found})
    tracker.artifact(write_rows(rows, folder / TABLE))


def record_report(tracker: Tracker, run: RunConfig, rows: Rows, verdict: str, reference: str, folder: Path) -> None:
    """Write a comparison into its run: each paradigm's mean over seeds, the differences, the report, and what it says as description."""
    record_rows(tracker, rows, comparison_headline, run.first_metric, reference, folder)
    tracker.artifact(folder / "report")
    tracker.artifact(small_figure(folder / "report", folder))
    tracker.description(described(verdict, run.synthetic))


def result_words(rows: Rows, metric: str, paradigm: str) -> str:
    """Return 'auroc 0.812 [0.77, 0.85]', a paradigm's mean over labels and seeds; empty where it is undefined."""
    values = comparison_values(rows)
    value, low, high = (values.get(metric_key(f"{paradigm}_test_{metric}_macro{end}")) for end in ENDS.values())
    if value is None:
        return ""
    return f"{metric} {value:.3f}" + (f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else "")


def difference_words(rows: Rows, metric: str, reference: str) -> dict[str, str]:
    """Return, by paradigm, how much more the reference has of `metric`: 'i2m2 +0.020 [-0.010, +0.051]'."""
    values = comparison_headline(rows, metric)
    words: dict[str, str] = {}
    for paradigm in {row["paradigm"] for row in rows}:
        key = metric_key(f"{metric}{DIFFERENCE}/{paradigm}")
        ends = [f"{values[key + end]:+.3f}" for end in ENDS.values() if key + end in values]
        if ends:
            words[paradigm] = f"{reference} {ends[0]}" + (f" [{ends[1]}, {ends[2]}]" if len(ends) == len(ENDS) else "")
    return words


def described(verdict: str, synthetic: bool) -> str:
    """Return a comparison's description in Markdown: the verdict, the figure, and where the whole report is."""
    report = "#/experiments/{experiment}/runs/{run}/artifacts/report/report.html"
    parts = [
        verdict,
        "The data are synthetic." if synthetic else "",
        f"![Paradigms with their intervals](get-artifact?path={FIGURE}&run_uuid={{run}})",
        f"[The whole report]({report}) or `i2m2 show {{run}}`",
    ]
    return "\n\n".join(filter(None, parts))


def small_figure(report: Path, folder: Path) -> Path:
    """Write the report's figure as wide as MLflow's page shows it whole, into `folder`."""
    from PIL import Image

    with Image.open(report / "comparison.png") as picture, replace_file(folder / FIGURE) as beside:
        picture.thumbnail((WIDTH, WIDTH))
        picture.save(beside, "PNG")
    return folder / FIGURE


def placed(run: RunConfig) -> dict[str, Any]:
    """Return a config as plain values for the store, its paths and URIs as tokens (tracking/place_tokens.py).

    The workspace keeps the paths, absolute, so that `i2m2 verify` finds the data from any folder.
    """
    content = run.model_dump(mode="json")
    named = {key: str(place.absolute()) for key, place in paths_in(run)}
    named |= {tuple(map(str, key)): place for key, place in places(content)}
    named |= {("source", name): value for name, value in content["source"].items() if "://" in str(value)}
    if run.tracking.uri:
        named["tracking", "uri"] = run.tracking.uri
    return hide(content, named, workspace())


def calibration_tags(calibration: dict[str, Any], table: pd.DataFrame) -> dict[str, str]:
    """`calibrated`: true, false or partly, by what calibration did for the patterns of `table`; `i2m2.calibration` says what, each."""
    done = outcome_by_pattern(calibration, sorted(set(table["pattern"])))
    kinds = {*done.values()}
    calibrated = "true" if kinds == {OWN} else "false" if kinds <= {NONE} else "partly"
    return {"calibrated": calibrated, "i2m2.calibration": json.dumps(done)}


def cost_tags(cost: Cost) -> dict[str, str]:
    """What training cost, as tags that `i2m2 report` reads (`tracking/read.py`)."""
    return {f"{COST_TAG}{name}": str(number) for name, number in cost.items()}
