"""The result of a verification, written into the run under a seal of this workspace's key: a tag alone anyone could set."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from i2m2_med.engine.reopening.check import Check
from i2m2_med.engine.reopening.checks import CODE
from i2m2_med.engine.tracking.events import put_text
from i2m2_med.engine.tracking.read import FoundRun, download
from i2m2_med.engine.tracking.results import TABLE
from i2m2_med.engine.tracking.store import Missing, connect, translated
from i2m2_med.files import digest, sha256_of
from i2m2_med.predictions import PREDICTIONS
from i2m2_med.privacy import project_key
from i2m2_med.workspace import workspace

SEALED = ("i2m2.model_sha256", "i2m2.fingerprint", "i2m2.commit", "i2m2.dirty", "paradigm", "seed")
"""Tags that have to be after the verification what they were in it, beside metrics, parameters and predictions."""


def write_back(run: FoundRun, checks: Sequence[Check], how: str, exact: bool) -> dict[str, Any]:
    """Put the result into the run: the tags `verified` and `verified_how`, their seal, and every check as `verification.json`."""
    passed = not any(check.failed for check in checks)
    how += " with other code" if any(check.what == CODE and check.verdict == "noted" for check in checks) else ""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    summary = {"run": run.run_id, "verified": passed, "how": how, "exact": exact, "when": when}
    result = summary | {"checks": [asdict(check) for check in checks]}
    client = connect(run.uri)
    with translated(run.uri):
        client.set_tag(run.run_id, "verified", "true" if passed else "false")
        client.set_tag(run.run_id, "verified_how", f"{how}, {'exact' if exact else 'within tolerance'}, {when}")
        client.set_tag(run.run_id, "i2m2.verified_seal", seal(run, passed))
        put_text(client, run.uri, run.run_id, "verification.json", json.dumps(result, indent=2))
    return result


def is_verified(run: FoundRun) -> bool:
    """Whether this workspace's last verification passed, and nothing that it vouches for was changed since."""
    return run.tags.get("verified") == "true" and run.tags.get("i2m2.verified_seal") == seal(run, True)


def seal(run: FoundRun, passed: bool) -> str:
    """The keyed hash of a verification's result and of what was verified."""
    tables = {"predictions": hash_of(run, PREDICTIONS)}
    if (results := hash_of(run, TABLE)) != "none":  # a run of an older release, whose seal has to hold, has none
        tables["results"] = results
    tags = {name: run.tags.get(name, "") for name in SEALED}
    numbers = {"metrics": digest(run.metrics), "params": digest(run.params), **tables}
    content = json.dumps({"run": run.run_id, "passed": passed, **tags, **numbers}, sort_keys=True)
    return hmac.new(project_key(workspace()), f"verified|{content}".encode(), hashlib.sha256).hexdigest()


def hash_of(run: FoundRun, name: str) -> str:
    """The hash of one of the run's artifacts; "none" where it has none: a comparison has no predictions of its own."""
    try:
        return sha256_of(download(run, name))
    except Missing:
        return "none"
