"""Verifying one run, and a comparison of runs: what is made again, in what order, and what is then compared."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Progress
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.engine.reopening import checks as verify
from i2m2_med.engine.reopening.check import Check
from i2m2_med.engine.reopening.runs import stored_config, with_root
from i2m2_med.engine.reopening.settings_checks import check_config, check_manifest, check_model_config
from i2m2_med.engine.reopening.signed import check_signed
from i2m2_med.engine.reopening.table_checks import check_predictions
from i2m2_med.engine.tracking.read import FoundRun, download, find_run, predictions
from i2m2_med.engine.tracking.record import forget_run
from i2m2_med.engine.tracking.results import (
    comparison_headline,
    comparison_values,
    epochs_of,
    headline,
    is_older,
    metric_values,
    results_of,
)
from i2m2_med.engine.tracking.store import Missing, ensure_store
from i2m2_med.engine.training.cross_validation import pool
from i2m2_med.engine.training.experiment import Experiment
from i2m2_med.errors import ModelError, SourceError, UserError
from i2m2_med.predictions import Rows
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.data_files import data_files, describe_files
from i2m2_med.samples.encoders import check_encoders
from i2m2_med.samples.preparing import open_source, prepare
from i2m2_med.samples.unannounced import add_unannounced
from i2m2_med.workspace import workspace

Tables = Mapping[tuple[str, int], pd.DataFrame]
"""(paradigm, seed) → prediction table."""
Compare = Callable[[RunConfig, Tables, str], Rows]
"""(config, tables, reference paradigm) → rows of metrics; the report's, which lies above this layer."""


@dataclass(frozen=True)
class Verified:
    """The outcome of verifying one run."""

    run: FoundRun
    checks: list[Check]
    how: str
    """The part of the run that was made again."""
    exact: bool
    """Whether equality to the last bit was asked for."""
    table: pd.DataFrame
    """The predictions made again; the kept ones where that was impossible, none where there are none."""

    @property
    def passed(self) -> bool:
        """Whether nothing refutes the run."""
        return not any(check.failed for check in self.checks)


def verify_run(
    run: FoundRun, compare: Compare, progress: Progress, retrain: bool, root: Path | None = None
) -> Verified:
    """One training run; `root` is where its data are now. What the store has lost of it, or holds damaged, refutes it.

    Raises StoreError where the run's whole folder, SourceError where its data are not there: moved is not tampered with.
    """
    try:
        return verify_whole_run(run, compare, progress, retrain, root)
    except (Missing, ModelError) as error:
        lost = Check("what the run holds", "whole", str(error), "DIFFERS")
        return Verified(run, [lost], "nothing, because the run is not whole", verify.same_machine(run), pd.DataFrame())


def verify_whole_run(run: FoundRun, compare: Compare, progress: Progress, retrain: bool, root: Path | None) -> Verified:
    """The signed list, environment, config, model, data, then evaluation and (if asked) training again."""
    stored = stored_config(run)
    config = with_root(stored, root) if root else stored
    kept = predictions(run)
    model = download(run, "model")
    exact = verify.same_machine(run)
    cohort, checks = data_again(run, config, progress)
    before = [*check_signed(run), *verify.check_environment(run), *check_config(run), verify.check_model(run, model)]
    checks = [*before, check_model_config(config, load_model(model).run), *checks]
    if cohort is None:
        return Verified(run, checks, "nothing, because the data are not the run's", exact, kept)
    checks.append(check_manifest(run, cohort, verify.same_code(run)))
    again, evaluated = evaluate_again(run, config, cohort, model, kept, compare, exact)
    curves = [name for name in final_metrics(run) if not name.endswith(("_low", "_high"))]  # one question each
    checks += [verify.history_agrees(run, curves), *evaluated]
    if retrain:
        checks += train_again(run, config, cohort, compare, progress, exact)
    return Verified(run, checks, "training and evaluation" if retrain else "evaluation", exact, again)


def verify_comparison(parent: FoundRun, runs: list[Verified], compare: Compare) -> Verified:
    """The numbers of a comparison, from the predictions that were made again for each of its runs."""
    config = stored_config(parent)
    tables = {(one.run.tags["paradigm"], int(one.run.tags["seed"])): one.table for one in runs}
    reference = config.reference_among({paradigm for paradigm, _ in tables})
    exact = verify.same_machine(parent)
    good = sum(one.passed for one in runs)
    children = Check("runs verified", str(len(runs)), str(good), "same" if good == len(runs) else "DIFFERS")
    checks = [children, *check_signed(parent), *check_config(parent)]
    if all(len(table) for table in tables.values()):
        rows = compare(config, tables, reference)
        recorded = results_of(parent, comparison_values) | parent.metrics
        shown = {} if is_older(parent) else comparison_headline(rows, config.first_metric)
        values = comparison_values(rows) | shown
        checks += verify.check_metrics(recorded, values, exact, same_code=verify.same_code(parent))
    return Verified(parent, checks, "the comparison of its runs", exact, pd.DataFrame())


def verify_folds(run: FoundRun, folds: list[Verified], compare: Compare) -> Verified:
    """A cross-validation's own numbers and ensemble, from the predictions made again for each fold, and from the folds' models."""
    exact, how = verify.same_machine(run), "the pooled predictions and ensemble of its folds"
    good = sum(one.passed for one in folds)
    members = Check(
        "folds verified", run.tags["folds"], str(good), "same" if good == int(run.tags["folds"]) else "DIFFERS"
    )
    try:
        model, kept = download(run, "model"), predictions(run)
        checks = [members, *check_signed(run), *check_config(run), verify.check_model(run, model)]
        checks.append(check_members(model, [download(one.run, "model") for one in folds]))
    except (Missing, ModelError) as error:
        lost = Check("what the run holds", "whole", str(error), "DIFFERS")
        return Verified(run, [members, lost], how, exact, pd.DataFrame())
    again = pool([one.table for one in folds])
    if not all(len(one.table) for one in folds):
        return Verified(run, checks, how, exact, pd.DataFrame())
    checks += check_results(run, stored_config(run), kept, again, compare, exact)
    return Verified(run, checks, how, exact, again)


def check_members(ensemble: Path, folds: list[Path]) -> Check:
    """The weights of an ensemble's members, against those of the folds' models."""
    whole = load_file(ensemble / "weights.safetensors")
    off = [
        f"fold {number}"
        for number, fold in enumerate(folds)
        for own in [load_file(fold / "weights.safetensors")]
        if not all(
            torch.equal(tensor, whole.get(f"members.{number}.{name}", torch.empty(0))) for name, tensor in own.items()
        )
    ]
    return Check(
        "members of the ensemble",
        "the folds' models",
        ", ".join(off) or "the folds' models",
        "DIFFERS" if off else "same",
    )


def data_again(run: FoundRun, config: RunConfig, progress: Progress) -> tuple[Cohort | None, list[Check]]:
    """The run's data as they are now; no cohort if they can't be read or are others."""
    try:
        source = open_source(config)
        cohort = open_cohort(config, prepare(config, config_name(run), workspace(), progress))
        add_unannounced(config, cohort, progress)
    except (UserError, OSError) as error:
        root = getattr(config.source, "root", None)
        if isinstance(root, Path) and not root.exists():
            raise SourceError(
                f"the data of run {run.run_id} are not at {root}; were they moved? Say where they are with --root"
            ) from error
        progress.say(str(error))  # not into the store: it may name files, which are named after patients
        kind = error.kind() if isinstance(error, UserError) else "disk error"
        return None, [Check("data", run.tags.get("i2m2.fingerprint", "")[:12], f"can't be read ({kind})", "DIFFERS")]
    checks = verify.check_data(run, cohort, describe_files(config, source, data_files(config, source)))
    return (None if any(check.failed for check in checks) else cohort), checks


def evaluate_again(
    run: FoundRun, config: RunConfig, cohort: Cohort, model: Path, kept: pd.DataFrame, compare: Compare, exact: bool
) -> tuple[pd.DataFrame, list[Check]]:
    """The stored model on all that training did not see, and the metrics of that."""
    predictor = load_model(model)
    check_encoders(cohort.transform, predictor.encoders, "the model")
    tables = [predictor.predict(cohort.samples(split), run.run_id) for split in cohort.splits if split != "train"]
    again = pd.concat(tables, ignore_index=True)
    return again, check_results(run, config, kept, again, compare, exact)


def check_results(
    run: FoundRun, config: RunConfig, kept: pd.DataFrame, again: pd.DataFrame, compare: Compare, exact: bool
) -> list[Check]:
    """The predictions made again against those that were kept, then the metrics of the run's table and of its page."""
    paradigm = run.tags["paradigm"]
    rows = compare(config, {(paradigm, int(run.tags["seed"])): again}, paradigm)
    recorded = results_of(run) | {name: run.metrics[name] for name in final_metrics(run)}
    values = metric_values(rows) | ({} if is_older(run) else headline(rows, config.first_metric))
    same = verify.same_names(kept, again), verify.same_code(run)
    return [*check_predictions(kept, again, exact), *verify.check_metrics(recorded, values, exact, *same)]


def train_again(
    run: FoundRun, config: RunConfig, cohort: Cohort, compare: Compare, progress: Progress, exact: bool
) -> list[Check]:
    """The whole training from the stored config, into a store that is thrown away: every metric of every last epoch."""
    with tempfile.TemporaryDirectory(prefix="i2m2-verify-") as scratch:
        place = Path(scratch)
        uri = ensure_store(place, f"sqlite:///{place / 'mlflow.db'}")

        def rows(_manifest: Any, paradigm: str, seed: int, table: pd.DataFrame, _folder: Path | None) -> Rows:
            return compare(config, {(paradigm, seed): table}, paradigm)

        values = Values(config_name(run), {}, {})
        experiment = Experiment(
            run=config, values=values, cohort=cohort, folder=place / "runs", uri=uri, progress=progress, judge=rows
        )
        made = experiment.train(run.tags["paradigm"], int(run.tags["seed"]))
        again = find_run(uri, made.run_id)
        recorded, now = (results_of(one) | epochs_of(one) for one in (run, again))
        checks = verify.check_metrics(recorded, now, exact, same_code=verify.same_code(run))
        forget_run(made.run_id)
    return [replace(check, what=f"trained again: {check.what}") for check in checks]


def config_name(run: FoundRun) -> str:
    """The name of the config, which the run's name begins with."""
    return run.name.split(" ")[0]


def final_metrics(run: FoundRun) -> list[str]:
    """The metrics of the run's page that an evaluation makes, without those of the epochs; of an older release, all."""
    return [name for name in run.metrics if name.startswith(("test/", "test_"))]
