"""`i2m2 register RUN --name NAME --alias champion`: a verified run's model gets a name."""

from typing import TYPE_CHECKING, Any

from i2m2_med.console import say, table
from i2m2_med.errors import SourceError
from i2m2_med.workspace import workspace

from .arguments import Run, expect_run

if TYPE_CHECKING:
    import pandas as pd

    from i2m2_med.engine.reopening.promotion import Contest

DECISIVE = ("auroc", "nll")
"""Metrics that a champion is judged by: how well it ranks, and how far its probabilities may be believed."""
LEVEL = 0.05
"""Of the paired tests, after Holm."""


def main(
    run: Run,
    *,
    name: str,
    alias: str = "champion",
    allow_dirty: bool = False,
    force: str | None = None,
    uri: str | None = None,
) -> dict[str, Any]:
    """Make a run's model the next version of NAME and let ALIAS point to it: `models:/NAME@ALIAS` then works everywhere.

    Refused are runs that were not verified, runs of uncommitted code, and runs worse than the holder of the alias by a
    paired test on the same test patients.

    Parameters
    ----------
    name
        Name of the registered model.
    alias
        What the version is for; the version that had it loses it.
    allow_dirty
        Register although files differed from the commit.
    force
        Register although it is worse (or can't be compared): the reason, kept as a tag of the version.
    uri
        The store of the run; the workspace's own where not said.
    """
    expect_run(run, uri)
    from i2m2_med.engine.reopening.promotion import open_contest, promote
    from i2m2_med.engine.tracking.read import find_run
    from i2m2_med.engine.tracking.store import store_uri

    contest = open_contest(find_run(store_uri(workspace(), uri), run), name, alias, allow_dirty)
    made = promote(contest, name, alias, how_worse(contest, alias), force)
    say(f"models:/{made.name}@{alias} is version {made.version}, run {made.run.run_id}")
    say(f"next: i2m2 score STUDIES OUT --model models:/{made.name}@{alias}")
    return {"name": made.name, "version": made.version, "alias": alias, "run": made.run.run_id, "forced": force}


def how_worse(contest: "Contest", alias: str) -> str | None:
    """In what the run is significantly worse than the holder of the alias; None if in nothing, or if there is no holder."""
    from i2m2_med.report.statistics.compare import compare_tables

    if contest.holder is None or contest.holder.run.run_id == contest.run.run_id:
        return None
    known_as = f"the {alias} (version {contest.holder.version})"
    if not contest.is_fair():
        advice = f"`i2m2 verify {contest.holder.run.run_id[:8]}` first"
        return f"can't be compared with {known_as}, whose predictions are not verified in this workspace ({advice})"
    new, old = contest.tables()
    try:
        comparison = compare_tables({("new", 0): new, ("holder", 0): old}, reference="new")
    except SourceError:
        return f"was tested on other patients than {known_as}, so the two can't be compared"
    return worse_in(comparison.paired, known_as)


def worse_in(paired: "pd.DataFrame", known_as: str) -> str | None:
    """The decisive metrics in which the run loses; shows the comparison."""
    from i2m2_med.report.statistics.paired import holm

    decisive = paired[paired["metric"].isin(DECISIVE)]
    decisive = decisive.assign(p_holm=holm(decisive["p"].to_numpy(dtype=float)))
    columns = ["label", "metric", "difference", "low", "high", "p_holm", "test"]
    rows = decisive[columns].round(4).to_numpy().tolist()
    table(f"The run minus {known_as}, on the same test patients", columns, rows)
    worse = decisive["difference"] * decisive["metric"].map({"auroc": -1.0, "nll": 1.0}) > 0
    lost = decisive[worse & (decisive["p_holm"] < LEVEL)]
    if not len(lost):
        return None
    lines: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in lost.to_dict("records")]
    parts = [
        f"{one['metric']} of {one['label']} by {abs(one['difference']):.3f} (p {one['p_holm']:.2g})" for one in lines
    ]
    return f"is worse than {known_as}: {', '.join(parts)}"
