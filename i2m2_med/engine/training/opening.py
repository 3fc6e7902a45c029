"""How an experiment is opened: data prepared, the store there, its folder held by nobody else."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Progress
from i2m2_med.engine.calibration.prior import check_prior
from i2m2_med.engine.prediction.predictor import portable
from i2m2_med.engine.prediction.pretrained import weight_digests
from i2m2_med.engine.prediction.seed import device_for
from i2m2_med.engine.prediction.torchrun import started
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.engine.training.devices import EXECUTION
from i2m2_med.engine.training.experiment import Experiment
from i2m2_med.engine.training.fit import forget
from i2m2_med.engine.training.processes import as_the_leader_says, leads, prepare_together
from i2m2_med.engine.training.taken_over import note_origin, take_over
from i2m2_med.errors import UserError
from i2m2_med.files import digest
from i2m2_med.parts import WHOLE, Part, hold_folder
from i2m2_med.predictions import Judge
from i2m2_med.samples.cohort import open_cohort
from i2m2_med.samples.frozen import encode_ahead
from i2m2_med.samples.unannounced import add_unannounced
from i2m2_med.workspace import workspace


@contextmanager
def open_experiment(
    run: RunConfig,
    values: Values,
    judge: Judge,
    progress: Progress,
    *,
    what: str,
    resume: bool = False,
    skip_bad: bool = False,
    depends: Sequence[Any] = (),
    part: Part = WHOLE,
) -> Generator[Experiment]:
    """Prepare what isn't prepared yet, open the store, and hold the experiment's folder.

    what: the verb; each has a folder of its own, and `compare` takes over what `train` finished. depends: plain values beside the
    config that another folder is used for. part: of the work; others may do theirs in the same folder at the same time. Without
    `resume` an earlier call's checkpoints are thrown away. Raises UserError if another process works in the same folder, or at the
    same part, unless torchrun started both.
    """
    if started() > 1 and what != "train":
        raise UserError(f"{what} runs in one process, and torchrun started {started()}; `train` is what they can share")
    place = workspace()
    weights = weight_digests(run, tuple(run.experts))
    progress = progress if leads() else Progress()
    cohort = open_cohort(run, prepare_together(run, values.name, progress, skip_bad=skip_bad))
    check_prior(run.evaluation.prior, cohort.labels)
    add_unannounced(run, cohort, progress)
    if leads():
        encode_ahead(cohort.transform, cohort.records, device_for(run.training.device), progress)
    as_the_leader_says(True)  # that what is computed once lies there
    uri = ensure_store(place, run.tracking.uri) if leads() else ""
    settings = portable(run)
    settings["training"] = {name: value for name, value in settings["training"].items() if name not in EXECUTION}

    def folder_of(verb: str) -> Path:
        key = digest([verb, settings, cohort.fingerprint, *weights, *depends])[:12]
        return place / "runs" / f"{verb}-{values.name}-{key}"

    folder, trained = folder_of(what), folder_of("train")
    if cohort.manifest["synthetic"]:  # the files say so, whatever the config does
        run = run.model_copy(update={"synthetic": True})
    with hold_folder(folder, part) if leads() else nullcontext():
        if leads() and not resume:
            forget(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if leads():
            note_origin(folder)
        if what == "compare" and part.whole and not run.plugins and (known := take_over(trained, folder)):
            progress.say(f"taken over from `i2m2 train`, of the same config, data and code: {', '.join(known)}")
        yield Experiment(run=run, values=values, cohort=cohort, folder=folder, uri=uri, progress=progress, judge=judge)
