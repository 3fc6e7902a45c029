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
from i2m2_med.engine.tracking.place_tokens import hide
from i2m2_med.engine.tracking.read import COST_TAG
from i2m2_med.engine.tracking.results import TABLE, Values, write_rows
from i2m2_med.engine.tracking.run import Tracker
from i2m2_med.predictions import Rows
from i2m2_med.workspace import workspace

Cost = dict[str, int | float]
"""`parameters`, and the `epochs` and `seconds` that training took."""


def record_rows(
    tracker: Tracker, rows: Rows, headline: Callable[[Rows, str], Values], metric: str, folder: Path
) -> None:
    """Write rows of metrics into a run: `headline` picks its metrics, the table holds all; the tag `result` says `metric` in words."""
    shown = headline(rows, metric)
    tracker.metrics(shown)
    value, low, high = (shown.get(f"test/{metric}{end}") for end in ("", "_low", "_high"))
    if value is not None:
        interval = f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else ""
        tracker.tags({"result": f"{metric} {value:.3f}{interval}"})
    tracker.artifact(write_rows(rows, folder / TABLE))


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
