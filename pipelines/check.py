"""`i2m2 check CONFIG`: the ladder, fast rungs first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.config.targets import resolve
from i2m2_med.config.yaml_source import shipped
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.sources import source_of
from i2m2_med.workspace import workspace

from .arguments import Config, Overrides, as_typed
from .prepare import show_coverage


def main(config: Config = "", *, set_: Overrides = (), list_: bool = False, data: bool = True) -> dict[str, Any]:
    """Check a config: YAML, settings, `_target_` names, networks, one batch, data.

    Parameters
    ----------
    list_
        List the shipped configs instead.
    data
        Also prepare the data and look at them (`--no-data` stops before).
    """
    if list_ or not config:
        heads = {
            name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for name, path in shipped().items()
        }
        table("Shipped configs", ["name", "command, cost, what to expect"], list(heads.items()))
        say("next: i2m2 check NAME")
        return {"configs": list(heads)}
    run, _ = load_config(config, set_)
    say("ok  YAML, settings and _target_ names")
    if data:  # before torch and MONAI are imported: a folder that is not there is said at once
        say(f"ok  {len(source_of(run.source).files())} files of the data set are there")
    n_parameters = check_networks(run)
    say(f"ok  {len(run.experts)} experts, {n_parameters:,} parameters, keyword arguments fit")
    result: dict[str, Any] = {"config": config, "experts": list(run.experts), "parameters": n_parameters}
    result |= check_batch(run, Path(config).stem) if data else {}
    said = as_typed(config, set_)
    say(f"next: i2m2 train {said}, or i2m2 compare {said} for every paradigm")
    return result


def check_networks(run: RunConfig) -> int:
    """Build every expert of every paradigm; raises ConfigError where one can't be."""
    from i2m2_med.engine.prediction.build import build_model, training_of
    from i2m2_med.engine.training.devices import check_execution
    from i2m2_med.engine.training.loss import check_loss
    from i2m2_med.engine.training.paradigm import CHECKS, check_mode
    from i2m2_med.engine.training.stages import settings_of_stages
    from i2m2_med.samples.cohort import compose
    from i2m2_med.samples.preparing import open_source

    source = open_source(run)
    for which in ("transforms", "train_transforms"):
        compose(run, which)
    for name, paradigm in run.paradigms.items():
        for training in settings_of_stages(run, name):
            check_execution(run, training)
            resolve(str(training.optimizer.get("_target_")), "optimizer", "training.optimizer", run.plugins)
            check_loss(training, len(source.labels.names), len(source.labels.classes), run.plugins)
        training = training_of(run, paradigm)
        asked = paradigm.experts if training.mode in CHECKS else paradigm.experts[:1]  # all are built once, below
        check_mode(build_model(run, asked, source.labels, 0, paradigm.combiner), training)
    model = build_model(run, tuple(run.experts), source.labels, 0)
    return sum(parameter.numel() for parameter in model.parameters())


def check_batch(run: RunConfig, name: str) -> dict[str, Any]:
    """Prepare the data and show what was measured, put one batch through the model, show label counts per split."""
    from i2m2_med.engine.prediction.build import build_model, check_shapes
    from i2m2_med.engine.prediction.pretrained import load_pretrained
    from i2m2_med.samples.cohort import open_cohort
    from i2m2_med.samples.preparing import prepare

    folder = prepare(run, name, workspace(), TerminalProgress())
    cohort = open_cohort(run.of_fold(0) if run.split.cross_validated else run, folder)
    show_coverage(cohort.manifest)
    for remark in cohort.manifest["remarks"]:
        say(remark)
    model = build_model(run, tuple(run.experts), cohort.labels, 0)
    for line in load_pretrained(model, run):
        say(f"ok  {line}")
    check_shapes(model, cohort.samples("train"))
    say("ok  one batch through every expert")
    if run.split.cross_validated:
        say(f"fold 0 of {run.split.folds}:")
    show_splits(cohort.manifest["splits"], cohort.labels.names)
    facts = ("splits", "coverage", "remarks")
    return {"fingerprint": cohort.fingerprint, **{name: cohort.manifest[name] for name in facts}}


def in_classes(counts: Sequence[int]) -> str:
    """How many samples each class has; of many classes how many there are, and of how few and how many samples.

    >>> in_classes([4, 0]), in_classes([*range(60)])
    ('[4, 0]', '60 classes of 0 to 59 samples, 1 of none')
    """
    from i2m2_med.predictions import MANY

    if len(counts) <= MANY:
        return str(list(counts))
    return f"{len(counts):,} classes of {min(counts):,} to {max(counts):,} samples, {list(counts).count(0):,} of none"


def show_splits(splits: dict[str, Any], labels: Sequence[str]) -> None:
    """Sizes and classes of each split: of several labels as a table of their own, a row each."""
    sizes = {split: [counts["patients"], counts["studies"], counts["samples"]] for split, counts in splits.items()}
    classes = {
        label: [in_classes([*counts["classes"][label].values()]) for counts in splits.values()] for label in labels
    }
    if len(labels) > 1:
        table("Data", ["split", "patients", "studies", "samples"], [[split, *size] for split, size in sizes.items()])
        table("Samples per class", ["label", *splits], [[label, *cells] for label, cells in classes.items()])
        return
    rows = [[split, *sizes[split], *(classes[label][at] for label in labels)] for at, split in enumerate(splits)]
    table("Data", ["split", "patients", "studies", "samples", *(f"{label}: per class" for label in labels)], rows)
