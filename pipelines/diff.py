"""`i2m2 diff RUN RUN`: what two runs have different: settings, data, code, and metrics with their paired difference."""

from typing import TYPE_CHECKING, Any

from i2m2_med.console import say, table
from i2m2_med.workspace import workspace

from .arguments import Run

if TYPE_CHECKING:
    import pandas as pd

    from i2m2_med.engine.tracking.read import FoundRun

TAGS = {"i2m2.fingerprint": "data", "i2m2.commit": "commit", "i2m2.code_sha256": "code", "i2m2.lock_sha256": "packages"}
"""Tags that say where a run came from, by the word for it."""


def main(first: Run, second: Run, *, uri: str | None = None) -> dict[str, Any]:
    """Hold two runs against each other; on the same test patients the metrics' differences are paired, with intervals.

    Parameters
    ----------
    uri
        The store of both; the workspace's own where not said.
    """
    from i2m2_med.engine.tracking.read import find_run
    from i2m2_med.engine.tracking.store import store_uri

    store = store_uri(workspace(), uri)
    one, other = find_run(store, first), find_run(store, second)
    origins = [[name, one.tags.get(tag, "")[:12], other.tags.get(tag, "")[:12]] for tag, name in TAGS.items()]
    settings = [
        [name, one.params.get(name, "–"), other.params.get(name, "–")]
        for name in sorted({*one.params, *other.params} - {"data"})
        if one.params.get(name) != other.params.get(name)
    ]
    names = [f"{run.name} ({run.run_id[:8]})" for run in (one, other)]
    table(
        "Where they came from",
        ["", *names, ""],
        [[*line, "same" if line[1] == line[2] else "differs"] for line in origins],
    )
    if settings:
        table("Settings that differ", ["setting", *names], settings)
    else:
        say("no setting differs")
    if origins[0][1] != origins[0][2]:
        say("the runs' data differ, so their metrics can't be paired")
        rows: list[dict[str, Any]] = []
    else:
        rows = paired(one, other)
        scope = f", about {rows[0]['scope']}" if rows else ""
        lines = [[row[name] for name in ("label", "metric", "difference", "p")] for row in rows]
        table(
            f"Test split, paired by patient{scope}",
            ["label", "metric", "first minus second [95 % interval]", "p"],
            lines,
        )
    say(f"next: i2m2 show {one.run_id[:8]} or {other.run_id[:8]} shows one of them whole")
    return {
        "runs": [one.run_id, other.run_id],
        "origins": {name: [mine, theirs] for name, mine, theirs in origins},
        "settings": {name: [mine, theirs] for name, mine, theirs in settings},
        "differences": rows,
    }


def paired(one: "FoundRun", other: "FoundRun") -> list[dict[str, Any]]:
    """Return, by label and metric, the first run minus the second on the same test patients; of comparisons, their references."""
    from i2m2_med.report.pages.comparison import shown_p
    from i2m2_med.report.pages.write import with_interval
    from i2m2_med.report.statistics.compare import compare_tables
    from i2m2_med.report.statistics.differences import BY_PATIENT

    tables = {("first", seed): each for seed, each in enumerate(tables_of_reference(one))}
    tables |= {("second", seed): each for seed, each in enumerate(tables_of_reference(other))}
    found = compare_tables(tables, reference="first").paired
    found = shown_p(found[found["test"] == BY_PATIENT])
    numbers = found[["difference", "low", "high"]].astype(float).to_numpy()
    words = found[["label", "metric", "p", "scope"]].astype(str).to_numpy().tolist()
    return [
        {"label": label, "metric": metric, "difference": with_interval(*row), "p": p, "scope": scope}
        for (label, metric, p, scope), row in zip(words, numbers, strict=True)
    ]


def tables_of_reference(run: "FoundRun") -> "list[pd.DataFrame]":
    """Return the run's prediction table; of a comparison, one per seed of its reference."""
    from i2m2_med.engine.reopening.runs import finished, stored_config
    from i2m2_med.engine.tracking.read import predictions

    members = finished(run)
    paradigms = list(dict.fromkeys(member.tags["paradigm"] for member in members))
    wanted = stored_config(run).reference_among(paradigms) if len(paradigms) > 1 else paradigms[0]
    return [predictions(member) for member in members if member.tags["paradigm"] == wanted]
