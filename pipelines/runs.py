"""`i2m2 runs`: the runs of the store, in the terminal."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from i2m2_med.console import table
from i2m2_med.workspace import workspace

if TYPE_CHECKING:
    from i2m2_med.engine.tracking.read import FoundRun

SHOWN = {"AUROC": "test_auroc_macro", "NLL": "test_nll_macro", "ECE": "test_ece_macro"}
"""Columns of metrics; a comparison of several paradigms has one value per child, and none of its own."""


def main(*, uri: str | None = None, experiment: str | None = None, limit: int = 50) -> dict[str, Any]:
    """List runs, newest first; the runs of a comparison stand under it.

    Parameters
    ----------
    uri
        The store: an MLflow server's address or sqlite:///…/mlflow.db. The workspace's own where not said.
    experiment
        Only runs of this experiment.
    limit
        So many runs at most.
    """
    from i2m2_med.engine.tracking.read import list_runs
    from i2m2_med.engine.tracking.store import store_uri

    runs = list_runs(store_uri(workspace(), uri), experiment)
    shown = under_comparisons(runs)[:limit]
    columns = ["run", "started", "status", "paradigm", "task", "data", "seed", *SHOWN, "calibrated", "verified"]
    more = f", {len(runs) - limit} more (--limit)" if len(runs) > limit else ""
    table(f"{len(runs)} runs{more}", columns, [cells(run) for run in shown])
    return {"runs": [as_json(run) for run in shown]}


def under_comparisons(runs: "list[FoundRun]") -> "list[FoundRun]":
    """Parents newest first, each followed by its children, oldest first."""
    known = {run.run_id for run in runs}
    ordered: list[FoundRun] = []
    for run in runs:
        if run.parent not in known:
            ordered += [run, *(child for child in reversed(runs) if child.parent == run.run_id)]
    return ordered


def cells(run: "FoundRun") -> list[str]:
    """One line of the table."""
    started = f"{datetime.fromtimestamp(run.start / 1000):%m-%d %H:%M}"
    numbers = [f"{run.metrics[key]:.3f}" if key in run.metrics else "" for key in SHOWN.values()]
    trained_on = [run.tags.get(key, "") for key in ("paradigm", "task", "data", "seed")]
    indent = "  " if run.parent else ""
    checks = [run.tags.get(key, "") for key in ("calibrated", "verified")]
    return [f"{indent}{run.run_id[:8]}", started, run.status, *trained_on, *numbers, *checks]


def as_json(run: "FoundRun") -> dict[str, Any]:
    """One run for programs."""
    metrics = {key: value for key, value in run.metrics.items() if value == value}
    tags = {key: run.tags.get(key) for key in ("paradigm", "task", "data", "seed", "calibrated", "verified")}
    return {"run": run.run_id, "name": run.name, "status": run.status, "parent": run.parent, **tags, "metrics": metrics}
