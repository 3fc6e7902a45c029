"""The conditions under which a run gets a name in the registry, and the rival that it has to be no worse than."""

from dataclasses import dataclass

import pandas as pd

from i2m2_med.engine.reopening.checks import check_model
from i2m2_med.engine.reopening.seal import is_verified
from i2m2_med.engine.tracking.read import FoundRun, download, predictions
from i2m2_med.engine.tracking.registry import Registered, champion, give_name
from i2m2_med.errors import StoreError


@dataclass(frozen=True)
class Contest:
    """The run and the version that holds the alias now."""

    run: FoundRun
    holder: Registered | None

    def is_fair(self) -> bool:
        """Whether the holder's predictions are verified too."""
        return self.holder is not None and is_verified(self.holder.run)

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Predictions of the run and of the holder."""
        assert self.holder is not None
        return predictions(self.run), predictions(self.holder.run)


def open_contest(run: FoundRun, name: str, alias: str, allow_dirty: bool) -> Contest:
    """Refuse (StoreError) a run that is unfinished, unverified, or of code that no commit holds; else name its rival."""
    if run.status != "FINISHED":
        raise StoreError(f"run {run.run_id} is {run.status}, not FINISHED; finish it (--resume) before it gets a name")
    if not is_verified(run):
        reasons = {
            "false": "failed its verification",
            "true": "was changed after its verification, or was verified in another workspace",
        }
        why = reasons.get(run.tags.get("verified", ""), "was never verified")
        raise StoreError(f"run {run.run_id} {why}; `i2m2 verify {run.run_id[:8]}` first")
    if "i2m2.model_sha256" not in run.tags:
        raise StoreError(f"run {run.run_id} holds no model to register; name a training run, not a comparison")
    if check_model(run, download(run, "model")).failed:
        raise StoreError(f"the model of run {run.run_id} is not the one that was verified; train again")
    dirty = run.tags.get("i2m2.dirty", "unknown")
    if dirty != "false" and not allow_dirty:
        how = "with uncommitted changes to" if dirty == "true" else "by code that git could not tell from"
        raise StoreError(
            f"run {run.run_id} was made {how} {run.tags['i2m2.commit'][:12]}, so nobody can find its code"
            " again; commit and train again, or say --allow-dirty"
        )
    return Contest(run, champion(run.uri, name, alias))


def promote(contest: Contest, name: str, alias: str, worse: str | None, force: str | None) -> Registered:
    """Register the run, unless it is worse than the holder (`worse` says how) and nobody says why it should be."""
    if worse and not force:
        raise StoreError(
            f"run {contest.run.run_id} {worse}; --force 'WHY' registers it all the same and keeps the reason"
        )
    run, holder = contest.run, contest.holder
    tags = {
        "verified_how": run.tags["verified_how"],
        "model_sha256": run.tags.get("i2m2.model_sha256", ""),
        "commit": run.tags["i2m2.commit"],
        "dirty": run.tags["i2m2.dirty"],
        "compared_with": f"version {holder.version}: {worse or 'not worse'}" if holder else "nobody: the first",
    }
    return give_name(run, name, alias, tags | ({"forced": force} if force else {}))
