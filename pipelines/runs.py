"""`i2m2 runs`: the runs of the store, in the terminal."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from i2m2_med.console import say, table, terminal_width
from i2m2_med.workspace import workspace

if TYPE_CHECKING:
    from i2m2_med.engine.tracking.read import FoundRun

NAMES = {"auroc": "AUROC", "average_precision": "average precision", "nll": "NLL", "ece": "ECE"}
"""Of metrics, where a person does not call them by their key."""
ROOM = 96
"""Columns of a terminal from which on the table says when a run began."""
ASIDE = ("nll", "ece")
"""Metrics that `--wide` and `--json` show beside the main one."""


def main(
    *,
    uri: str | None = None,
    experiment: str | None = None,
    task: str | None = None,
    parent: str | None = None,
    verified: Annotated[bool, Parameter(negative=())] = False,
    wide: Annotated[bool, Parameter(negative=())] = False,
    limit: int = 50,
) -> dict[str, Any]:
    """List runs, newest first; the runs of a comparison stand under it. `i2m2 show RUN` shows one whole.

    Parameters
    ----------
    uri
        The store: an MLflow server's address or sqlite:///…/mlflow.db. The workspace's own where not said.
    experiment
        Only runs of this experiment.
    task
        Only runs whose task holds this text, capitals or not.
    parent
        Only this comparison and its runs.
    verified
        Only runs that `i2m2 verify` found right.
    wide
        More columns: task, data, status, NLL, ECE, calibration, uncommitted changes.
    limit
        So many runs at most.
    """
    from i2m2_med.engine.tracking.read import find_run, list_runs
    from i2m2_med.engine.tracking.store import store_uri

    store = store_uri(workspace(), uri)
    whose = find_run(store, parent).run_id if parent else None
    runs = [
        run
        for run in list_runs(store, experiment)
        if (not task or task.casefold() in run.tags.get("task", "").casefold())
        and (not verified or run.tags.get("verified") == "true")
        and (not whose or whose in (run.run_id, run.parent))
    ]
    shown = under_comparisons(runs)[:limit]
    digits = digits_of(runs)
    more = f", {len(runs) - limit} more (--limit)" if len(runs) > limit else ""
    lines = [(wide_cells if wide else cells)(run, digits) for run in shown]
    title = f"{len(runs)} runs{more}"
    columns = ["run", "started", "paradigm", "seed", "metric [95 % interval]", "verified"]
    further = ["task", "data", "status", *(NAMES[name] for name in ASIDE), "calibrated", "uncommitted"]
    if wide:
        columns += further
    elif terminal_width() < ROOM:  # a result on one line is worth more than when it began
        columns, *lines = [[line[0], *line[2:]] for line in (columns, *lines)]
    table(title, columns, lines)
    say("next: i2m2 show RUN; i2m2 ui opens MLflow's page" if runs else "next: i2m2 train CONFIG makes the first run")
    return {"runs": [as_json(run) for run in shown]}


def under_comparisons(runs: "list[FoundRun]") -> "list[FoundRun]":
    """Parents newest first, each followed by its children, oldest first."""
    known = {run.run_id for run in runs}
    ordered: list[FoundRun] = []
    for run in runs:
        if run.parent not in known:
            ordered += [run, *below(run, runs)]
    return ordered


def below(run: "FoundRun", runs: "list[FoundRun]") -> "list[FoundRun]":
    """A run's children, oldest first, each followed by its own: a comparison's runs, and the folds of a cross-validation."""
    children = [child for child in reversed(runs) if child.parent == run.run_id]
    return [one for child in children for one in (child, *below(child, runs))]


def digits_of(runs: "list[FoundRun]") -> int:
    """How many digits of an id tell these runs apart, 8 or more: so many are enough for every verb that takes a RUN."""
    digits = 8
    while digits < 32 and len({run.run_id[:digits] for run in runs}) < len(runs):
        digits += 1
    return digits


def cells(run: "FoundRun", digits: int = 8) -> list[str]:
    """One line of the table."""
    started = f"{datetime.fromtimestamp(run.start / 1000):%m-%d %H:%M}"
    folds, fold = run.tags.get("folds"), run.tags.get("fold")
    indent = "    " if run.parent and fold is not None else "  " if run.parent else ""
    name = run.tags.get("paradigm", run.name)
    seed = run.tags.get("seeds") or ("" if name == "comparison" else run.tags.get("seed", ""))
    seed += f", fold {fold} of {folds}" if fold is not None else f", {folds} folds" if seed and folds else ""
    return [indent + run.run_id[:digits], started, name, seed, main_value(run), run.tags.get("verified", "")]


def wide_cells(run: "FoundRun", digits: int = 8) -> list[str]:
    """One line of the wide table."""
    from i2m2_med.engine.tracking.results import shown_value

    values = [shown_value(run, name)[0] for name in ASIDE]
    numbers = ["" if value is None else f"{value:.3f}" for value in values]
    tags = [run.tags.get(key, "") for key in ("calibrated", "i2m2.dirty")]
    return [*cells(run, digits), run.tags.get("task", ""), run.tags.get("data", ""), run.status, *numbers, *tags]


def main_metric(run: "FoundRun") -> str:
    """Return the metric that a run is first judged by: its primary comparison's, else what its epochs are chosen by, AUROC or accuracy."""
    named, select = run.params.get("evaluation.primary.metric"), run.params.get("training.select", "")
    return named or (select if select in {"accuracy", "soft_accuracy"} else "auroc")


def main_value(run: "FoundRun") -> str:
    """Return 'AUROC 0.812 [0.77, 0.85]'; empty where the run has none: it did not finish, or it is a comparison."""
    from i2m2_med.engine.tracking.results import shown_value

    metric = main_metric(run)
    value, low, high = shown_value(run, metric)
    if value is None and run.status == "FINISHED":  # of several seeds their mean
        return (
            ""
            if run.tags.get("paradigm") == "comparison"
            else run.tags.get("result", "").replace(metric, named(metric), 1)
        )
    if value is None:
        return run.status
    return f"{named(metric)} {with_ends(value, low, high)}"


def named(metric: str) -> str:
    """Return what a person calls a metric."""
    return NAMES.get(metric, metric.replace("_", " "))


def with_ends(value: float, low: float | None, high: float | None) -> str:
    """Return '0.812 [0.77, 0.85]', as far as it is defined."""
    return f"{value:.3f}" + (f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else "")


def as_json(run: "FoundRun") -> dict[str, Any]:
    """One run for programs: `i2m2 show RUN --json` has all of it."""
    from i2m2_med.engine.tracking.results import shown_value

    metrics: dict[str, float] = {}
    for name in (main_metric(run), *ASIDE):
        ends = zip(("", "_low", "_high"), shown_value(run, name), strict=True)
        metrics |= {f"test/{name}{end}": value for end, value in ends if value is not None and value == value}
    tags = {key: run.tags.get(key) for key in ("paradigm", "task", "data", "seed", "calibrated", "verified")}
    tags |= {key: run.tags[key] for key in ("folds", "fold") if key in run.tags}
    return {"run": run.run_id, "name": run.name, "status": run.status, "parent": run.parent, **tags, "metrics": metrics}
