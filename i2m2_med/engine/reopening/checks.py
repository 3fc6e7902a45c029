"""Proving a run: its environment against the lock, its data against the fingerprint, its model and numbers against a second try."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from i2m2_med.engine.reopening.check import Check, Verdict, alike, names
from i2m2_med.engine.tracking import provenance
from i2m2_med.engine.tracking.model import folder_digest
from i2m2_med.engine.tracking.read import FoundRun, download, stored_document
from i2m2_med.engine.tracking.store import Missing, connect, translated
from i2m2_med.files import sha256_of
from i2m2_med.samples.cohort import Cohort

TOLERANCES = {"auroc": 1e-3, "average_precision": 1e-3, "accuracy": 1e-2, "balanced_accuracy": 1e-2, "ece": 1e-2}
"""How far a metric may be off on another machine: ranks may swap where scores tie within rounding, counts and bins jump."""
CODE = "code of i2m2_med"
"""The check that notes other code."""
SMOOTH = 1e-4
"""The same for all other metrics: means over probabilities, which rounding moves and never flips."""


def same_machine(run: FoundRun) -> bool:
    """Whether numbers have to be equal to the last bit: same processor, threads, accelerators and Python as the run's."""
    return run.tags.get("i2m2.machine") == provenance.machine_digest(provenance.hardware())


def check_environment(run: FoundRun) -> list[Check]:
    """The run's lock as recorded, the lock that lies here, and what is installed, held against each other.

    Other code, and the other lock that comes with it, are noted and refute nothing: whether they still make the run's numbers
    is what the other checks find out.
    """
    recorded = run.tags.get("i2m2.lock_sha256", "none")
    lock = alike("lock here", recorded, provenance.lock_digest())
    checks = [lock if same_code(run) or not lock.failed else replace(lock, verdict="noted")]
    installed = provenance.packages()
    wanted = recorded_packages(run)
    if recorded != "none":
        kept = download(run, "requirements.lock")
        checks.append(alike("lock kept with the run", recorded, sha256_of(kept)))
        wanted = {name: version for name, version in locked(kept).items() if name in wanted}
    off = [f"{name} {installed.get(name, 'missing')}" for name in wanted if installed.get(name) != wanted[name]]
    was = ", ".join(f"{entry.split()[0]} {wanted[entry.split()[0]]}" for entry in off[:3])
    verdict = "DIFFERS" if off else "same"
    checks.append(Check(f"{len(wanted)} packages", was or "as locked", names(off) or "as locked", verdict))
    code = alike(CODE, run.tags.get("i2m2.code_sha256", ""), provenance.source_digest())
    return [*checks, replace(code, verdict="noted") if code.failed else code]


def same_code(run: FoundRun) -> bool:
    """Whether the code is the run's."""
    return run.tags.get("i2m2.code_sha256", "") == provenance.source_digest()


def recorded_packages(run: FoundRun) -> dict[str, str]:
    """`name: version` of what was installed. Raises Missing if the run's note of it is gone or damaged."""
    try:
        return dict(stored_document(run, "environment.json")["packages"])
    except (ValueError, KeyError, TypeError) as error:
        raise Missing(f"run {run.run_id}: environment.json is damaged; train again") from error


def locked(lock: Path) -> dict[str, str]:
    """`name: version` of the lock's lines that apply to this machine."""
    from packaging.requirements import Requirement

    lines = (line.strip() for line in lock.read_text(encoding="utf-8").splitlines())
    wanted = [Requirement(line.split(" --hash")[0]) for line in lines if line and line[0] not in "#-"]
    return {
        each.name.lower().replace("_", "-"): next(iter(each.specifier)).version
        for each in wanted
        if each.marker is None or each.marker.evaluate()
    }


def check_data(run: FoundRun, cohort: Cohort, files: Sequence[Mapping[str, Any]]) -> list[Check]:
    """The fingerprint of the data as they are now, every source file hashed again (`prepare` trusts sizes and times).

    files: the files as `describe_files` has them now.
    """
    checks = [alike("data fingerprint", run.tags.get("i2m2.fingerprint", ""), cohort.fingerprint)]
    known = {item["name"]: item for item in cohort.manifest["files"]}
    off = sum(known.get(item["name"]) != item for item in files) + len(known) - len(files)
    now = "as prepared" if not off else f"{off} changed since they were prepared"
    return [*checks, Check(f"{len(known)} source files", "as prepared", now, "DIFFERS" if off else "same")]


def check_model(run: FoundRun, folder: Path) -> Check:
    """The model folder as it came back from the store."""
    return alike("model", run.tags.get("i2m2.model_sha256", ""), folder_digest(folder))


def same_names(recorded: pd.DataFrame, again: pd.DataFrame) -> bool:
    """Whether both tables name patients with one key. Other names put the patients in another order, and a bootstrap draws
    other ones: its intervals can't be compared."""
    return set(recorded["patient"]) == set(again["patient"])


def check_metrics(
    recorded: Mapping[str, float],
    again: Mapping[str, float],
    exact: bool,
    intervals: bool = True,
    same_code: bool = True,
) -> list[Check]:
    """Every metric of `recorded` or `again` against the other; one that only one of them has differs.

    Other code may have other statistics: an interval that it draws otherwise, or a metric that only one of both knows, is noted.
    """
    names = sorted({*recorded, *again})
    checks = [_metric(name, recorded.get(name), again.get(name), exact, intervals) for name in names]
    if same_code:
        return checks
    drawn = {name for name in names if name.endswith(("_low", "_high")) or not (name in recorded and name in again)}
    return [replace(check, verdict="noted") if check.failed and check.what in drawn else check for check in checks]


def _metric(name: str, was: float | None, now: float | None, exact: bool, intervals: bool) -> Check:
    verdict: Verdict = "DIFFERS"
    if was is not None and now is not None:
        if was == now or (math.isnan(was) and math.isnan(now)):
            verdict = "same"
        elif not intervals and name.endswith(("_low", "_high")):
            verdict = "not checked"
        elif not exact and abs(was - now) <= tolerance(name):
            verdict = "close"
    spelt = repr if verdict == "DIFFERS" else "{:.6g}".format
    return Check(name, "none" if was is None else spelt(was), "none" if now is None else spelt(now), verdict)


def tolerance(name: str) -> float:
    """How far the metric `name` may be off on another machine.

    >>> tolerance("test_auroc_macro"), tolerance("test/auroc"), tolerance("test_nll_macro")
    (0.001, 0.001, 0.0001)
    """
    words = f"_{name}_".replace("/", "_")
    return max((width for metric, width in TOLERANCES.items() if f"_{metric}_" in words), default=SMOOTH)


def history_agrees(run: FoundRun, names: Sequence[str]) -> Check:
    """MLflow keeps each metric twice, as a curve and as its last value; someone who edits one may forget the other."""
    client = connect(run.uri)
    with translated(run.uri):
        off = [name for name in names if not _same_end(client.get_metric_history(run.run_id, name), run.metrics[name])]
    return Check("curves and last values", "agree", ", ".join(off[:3]) or "agree", "DIFFERS" if off else "same")


def _same_end(history: Sequence[Any], last: float) -> bool:
    values = [each.value for each in history]
    return last in values or (math.isnan(last) and any(math.isnan(value) for value in values))
