"""`i2m2 verify RUN`: do it again and prove the metrics."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.workspace import workspace

from .arguments import Run, expect_run

if TYPE_CHECKING:
    from i2m2_med.config.run import RunConfig
    from i2m2_med.engine.reopening.verify import Tables, Verified


def main(run: Run, *, retrain: bool = False, root: Path | None = None, uri: str | None = None) -> dict[str, Any]:
    """Hold a run against its signed list of digests, its environment's lock, its data and a second evaluation; a comparison with
    all of its runs.

    On the machine and thread count of the run every number has to be equal to the last bit, elsewhere within a tolerance that
    fits the metric. The result is printed, written into the run (tag `verified`, `verification.json`), and is the exit code.
    Code that changed since the run is noted, there and in the tag `verified_how`; the numbers say whether it matters.

    Parameters
    ----------
    retrain
        Train again too, from the stored config, and compare every epoch's metrics as well.
    root
        Where the data are now, if they were moved.
    uri
        The store of the run; the workspace's own where not said.
    """
    expect_run(run, uri)
    from i2m2_med.engine.reopening.runs import finished, folds_of, is_pooled
    from i2m2_med.engine.reopening.verify import verify_comparison, verify_folds, verify_run
    from i2m2_med.engine.tracking.read import find_run
    from i2m2_med.engine.tracking.store import store_uri

    recorded = find_run(store_uri(workspace(), uri), run)
    members, progress = finished(recorded), TerminalProgress()
    verified: list[Verified] = []
    judged: list[Verified] = []
    for one in members:
        parts = [
            verify_run(part, metric_rows, progress, retrain, root)
            for part in (folds_of(one) if is_pooled(one) else [one])
        ]
        judged.append(verify_folds(one, parts, metric_rows) if is_pooled(one) else parts[0])
        verified += [*parts, judged[-1]] if is_pooled(one) else parts
    if members != [recorded]:
        verified.append(verify_comparison(recorded, judged, metric_rows))
    results = [record(one) for one in verified]
    failed = [one.run.run_id for one in verified if not one.passed]
    say(
        f"{len(results) - len(failed)} of {len(results)} runs verified"
        + (f"; NOT {', '.join(failed)}" if failed else "")
    )
    after = (
        "a model may be registered: i2m2 register RUN --name NAME" if not failed else "what failed stands in the tables"
    )
    say(f"next: {after}; the result is written into the run: i2m2 show {recorded.run_id[:8]}")
    return {"run": recorded.run_id, "verified": not failed, "runs": results, "exit": int(bool(failed))}


def metric_rows(config: "RunConfig", tables: "Tables", reference: str) -> list[dict[str, Any]]:
    """The metrics of prediction tables, and of several their differences, as `train` and `compare` compute them."""
    from i2m2_med.report.statistics.compare import compare_tables

    judged = config.evaluation
    compared = compare_tables(tables, reference=reference, replicates=judged.bootstrap, evaluation=judged)
    return compared.all_rows


def record(one: "Verified") -> dict[str, Any]:
    """Print one run's table (intervals only where they differ), and write the result into the run."""
    from i2m2_med.engine.reopening.seal import write_back

    shown = [check for check in one.checks if check.failed or not check.what.endswith(("_low", "_high"))]
    failed = sum(check.failed for check in one.checks)
    outcome = f"{failed} of {len(one.checks)} checks FAILED" if failed else f"all {len(one.checks)} checks passed"
    width = "to the last bit" if one.exact else "within tolerance: another machine or thread count"
    title = f"{one.run.name} ({one.run.run_id[:8]}): {one.how} again, {width}; {outcome}"
    table(
        title,
        ["what", "recorded", "now", ""],
        [[check.what, check.recorded, check.now, check.verdict] for check in shown],
    )
    return write_back(one.run, one.checks, one.how, one.exact)
