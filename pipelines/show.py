"""`i2m2 show RUN`: one run, or one comparison, as a card."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from i2m2_med.console import say, table
from i2m2_med.workspace import workspace

from .arguments import Run
from .runs import main_metric, main_value, named, with_ends

if TYPE_CHECKING:
    from i2m2_med.engine.tracking.read import FoundRun

ENDS = ("_low", "_high")


def main(run: Run, *, uri: str | None = None) -> dict[str, Any]:
    """Show what a run is of, how far it may be trusted, and its metrics; of a comparison, its paradigms and its runs.

    Parameters
    ----------
    uri
        The store of the run; the workspace's own where not said.
    """
    from i2m2_med.engine.tracking.read import artifact_names, children, find_run
    from i2m2_med.engine.tracking.results import comparison_values, metric_values, results_of
    from i2m2_med.engine.tracking.store import store_uri

    one = find_run(store_uri(workspace(), uri), run)
    members, files = children(one), artifact_names(one)
    results = results_of(one, comparison_values if members else metric_values)
    table(f"{one.name} ({one.run_id})", ["", ""], facts(one, members))
    if members:
        lines = [[member.run_id[:8], member.name, member.status, main_value(member)] for member in members]
        table("Its runs", ["run", "name", "status", "metric [95 % interval]"], lines)
        table("Mean over seeds", ["paradigm", "metric [95 % interval]"], paradigms(one, members, results))
    else:
        labels, lines = metrics(results)
        table("Test split [95 % interval]", ["metric", *labels], lines)
    say(f"files: {', '.join(files)}" if files else "no files")
    say(f"next: i2m2 verify {one.run_id[:8]}; i2m2 report {one.run_id[:8]}; i2m2 diagnose {one.run_id[:8]}")
    numbers = {key: value for key, value in (one.metrics | results).items() if value == value}
    return {
        "run": one.run_id,
        "name": one.name,
        "status": one.status,
        "parent": one.parent,
        "runs": [member.run_id for member in members],
        "tags": {key: value for key, value in one.tags.items() if not key.startswith("mlflow.")},
        "params": one.params,
        "metrics": numbers,
        "files": files,
    }


def facts(run: "FoundRun", members: "list[FoundRun]") -> list[list[str]]:
    """Return lines of name and value: what was trained on what, by which code, and what was proven of it since."""
    dirty = {"true": ", with uncommitted changes", "false": ""}.get(run.tags.get("i2m2.dirty", ""), ", changes unknown")
    started = f"{datetime.fromtimestamp(run.start / 1000):%Y-%m-%d %H:%M}"
    seeds = sorted({member.tags.get("seed", "") for member in members}) or [run.tags.get("seed", "")]
    lines = {
        "task": run.tags.get("task", ""),
        "paradigm": run.tags.get("paradigm", ""),
        "seed" if len(seeds) == 1 else "seeds": ", ".join(seeds),
        "started": f"{started}, {run.status.lower()}",
        "data": run.tags.get("i2m2.fingerprint", "")[:12],
        "code": run.tags.get("i2m2.commit", "unknown")[:12] + dirty,
        "calibrated": run.tags.get("calibrated", ""),
        "verified": run.tags.get("verified", "not yet") + plus(run.tags.get("verified_how", "")),
        "parent": (run.parent or "")[:8],
    }
    return [[name, value] for name, value in lines.items() if value]


def plus(text: str) -> str:
    """A text in brackets, where there is one."""
    return f" ({text})" if text else ""


def paradigms(run: "FoundRun", members: "list[FoundRun]", results: Mapping[str, float]) -> list[list[str]]:
    """Return the comparison's own line of each paradigm."""
    metric = main_metric(run)
    lines: list[list[str]] = []
    for name in dict.fromkeys(member.tags.get("paradigm", "") for member in members):
        value, low, high = (results.get(f"{name}_test_{metric}_macro{end}") for end in ("", *ENDS))
        lines.append([name, "" if value is None else f"{named(metric)} {with_ends(value, low, high)}"])
    return lines


def metrics(results: Mapping[str, float]) -> tuple[list[str], list[list[str]]]:
    """Return the labels, and by metric a line with the value for each, with its interval where it has one."""
    from i2m2_med.report.statistics.metrics import ALL_METRICS

    start = "test_nll_"  # every label has one
    keys = [key for key in results if key.startswith(start) and not is_end(key, results)]
    labels = [key.removeprefix(start) for key in keys]
    if len(labels) == 2 and "macro" in labels:  # of one label the mean is that label's
        labels.remove("macro")
    lines = [[metric, *(interval(results, f"test_{metric}_{label}") for label in labels)] for metric in ALL_METRICS]
    return labels, [line for line in lines if any(line[1:])]


def is_end(key: str, numbers: Mapping[str, float]) -> bool:
    """Whether a metric is the lower or upper end of another's interval."""
    return any(key.endswith(end) and key.removesuffix(end) in numbers for end in ENDS)


def interval(numbers: Mapping[str, float], key: str) -> str:
    """Return '0.812 [0.770, 0.851]' as far as it is defined."""
    if key not in numbers:
        return ""
    low, high = (numbers.get(key + end) for end in ENDS)
    return f"{numbers[key]:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")
