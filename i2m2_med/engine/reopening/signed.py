"""A run in its store held against the signed list of what it recorded (engine/tracking/record.py says what that proves)."""

import json
from collections.abc import Mapping
from typing import Any

from i2m2_med.engine.reopening.check import Check, names
from i2m2_med.engine.tracking.outbox import outbox_of
from i2m2_med.engine.tracking.read import FoundRun, artifact_names, download
from i2m2_med.engine.tracking.record import (
    NAME,
    column_digests,
    curve_digest,
    kept_copy,
    key_name,
    repr_of,
    signature,
    text_digest,
)
from i2m2_med.engine.tracking.store import Missing, connect, translated
from i2m2_med.files import sha256_of

LATER = ("verification.json", NAME)
"""Artifacts that are written after the list."""
UNSIGNED = "the run has no list of digests"


def check_signed(run: FoundRun) -> list[Check]:
    """The signature, then every artifact, column, parameter, metric and tag. A run of an older release has no list: noted."""
    kept = _kept(run)
    try:
        listed = json.loads(download(run, NAME).read_text(encoding="utf-8"))
    except Missing:
        if kept or "i2m2.ticket" in run.tags:
            return [Check("signed list", "in the run", "gone", "DIFFERS")]
        return [Check("signed list", "none: the run is of an older release", "not checked", "noted")]
    except (ValueError, RecursionError):
        return [Check("signed list", "in the run", "damaged", "DIFFERS")]
    try:
        return [check_signature(listed, kept), *compare(run, listed)]
    except (KeyError, TypeError, AttributeError):
        return [Check("signed list", "in the run", "damaged", "DIFFERS")]


def check_signature(listed: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Check:
    """Whether this workspace signed the list, and as it is; another's signature can't be checked here."""
    what = "signed list"
    if kept is not None and kept != listed:
        return Check(what, "as this workspace keeps it", "another list", "DIFFERS")
    if listed["key"] != key_name():
        return Check(what, "signed in another workspace", "signature not checked", "noted")
    content = {name: value for name, value in listed.items() if name != "signature"}
    good = signature(content) == listed["signature"]
    return Check(what, "signed", "signed" if good else "the signature is wrong", "same" if good else "DIFFERS")


def compare(run: FoundRun, listed: Mapping[str, Any]) -> list[Check]:
    """Every kind of thing on the list against what the store holds now."""
    there = [name for name in artifact_names(run) if name not in LATER]
    files = {name: download(run, name) for name in there}
    artifacts = {name: sha256_of(path) for name, path in files.items()}
    params = {name: text_digest(value) for name, value in run.params.items()}
    tags = {name: text_digest(value) for name, value in run.tags.items() if name in listed["tags"]}
    return [
        _same("artifacts", {name: was for name, was in listed["artifacts"].items() if name != NAME}, artifacts),
        *(_same_columns(name, listed["columns"][name], files.get(name)) for name in listed["columns"]),
        _same("parameters", listed["params"], params),
        _same("metrics with their curves", listed["metrics"], curves(run)),
        _same("tags", listed["tags"], tags),
    ]


def curves(run: FoundRun) -> dict[str, str]:
    """Digests of the run's metrics as the store holds them; one whose last value is not on its curve has none."""
    client, digests = connect(run.uri), dict[str, str]()
    with translated(run.uri):
        for name, last in run.metrics.items():
            points = [(each.step, repr_of(each.value)) for each in client.get_metric_history(run.run_id, name)]
            digests[name] = curve_digest(points) if repr_of(last) in {value for _, value in points} else ""
    return digests


def _same(what: str, listed: Mapping[str, str], stored: Mapping[str, str]) -> Check:
    off = sorted(name for name in {*listed, *stored} if listed.get(name) != stored.get(name))
    return Check(f"{len(listed)} {what}", "as signed", names(off) or "as signed", "DIFFERS" if off else "same")


def _same_columns(name: str, listed: Mapping[str, str], path: Any) -> Check:
    try:
        digests = column_digests(path) if path else {}
    except (OSError, ValueError):  # pyarrow's errors are one or the other
        digests = {}
    return _same(f"columns of {name}", listed, digests)


def _kept(run: FoundRun) -> Any:
    """The workspace's own copy of the run's list, by the run's id: in the store the ticket may have been taken out, or another's put in."""
    outbox = outbox_of(run.run_id)
    path = kept_copy(outbox.ticket if outbox.noted("run") else run.tags.get("i2m2.ticket", run.run_id))
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
