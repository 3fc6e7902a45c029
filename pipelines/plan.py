"""`i2m2 plan CONFIG`: parameters, operations, memory, time and disk of every expert, stage and command, before anything is trained."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.console import clock_time, memory_size, say, table
from i2m2_med.cores import usable_cores
from i2m2_med.memory_limit import machine_memory, peak_memory
from i2m2_med.workspace import workspace

from .arguments import Config, Overrides, as_typed

if TYPE_CHECKING:
    from i2m2_med.engine.training.experiment import Experiment, Trained
    from i2m2_med.engine.training.planning import Plan
    from i2m2_med.samples.cohort import Cohort
    from i2m2_med.sources.source import Source


def main(config: Config, *, set_: Overrides = ()) -> dict[str, Any]:
    """Say what `train` and `compare` will take on this machine, before either runs: memory, time, bytes read, disk; and what takes less.

    A few steps of each stage and two short runs are rehearsed on the prepared data, which takes a minute; nothing is kept of them. Of
    data that are not prepared yet, what preparing will read is said.
    """
    run, values = load_config(config, set_)
    from i2m2_med.samples.data_files import data_files
    from i2m2_med.samples.preparing import open_source, prepared_folder

    whole, typed = run.of_fold(None), as_typed(config, set_)
    source = open_source(whole)
    files = data_files(whole, source)
    folder = prepared_folder(whole, values.name, workspace(), files)
    if not (folder / "manifest.json").exists():
        return plan_preparing(run, source, files, typed)
    from i2m2_med.engine.training.activations import activations
    from i2m2_med.engine.training.plan_values import too_large
    from i2m2_med.engine.training.planning import make_plan, store_is_there
    from i2m2_med.engine.training.stage_set import silent, stage_set
    from i2m2_med.report.run_report import run_judge

    store_there = store_is_there(run)
    with stage_set() as place:
        cohort = open_checked(run, folder, place)
        kept = activations(run, cohort, run.training.batch)
        if refused := too_large(run, kept, peak_memory(), machine_memory()):
            show_memory(refused)
            say("nothing was rehearsed" + (": plan again with settings that fit" if refused["makes_it_fit"] else ""))
            return {"prepared": True, "activations": kept, **refused}
        say("rehearsing a few steps of each stage, and short runs …")
        with silent():
            plan = make_plan(run, values, cohort, run_judge(run), compare, kept, place, store_there=store_there)
    result = show(run, plan)
    say(f"next: i2m2 train {typed}, or i2m2 compare {typed} for every paradigm")
    return result


def open_checked(run: RunConfig, folder: Path, place: Path) -> "Cohort":
    """Open the prepared data (of a cross-validation: the first fold's). Raises what `check`, `train` and `compare` raise before they train."""
    from i2m2_med.engine.calibration.prior import check_prior
    from i2m2_med.engine.prediction.build import build_model, check_shapes
    from i2m2_med.engine.prediction.seed import device_for
    from i2m2_med.engine.training.stage_set import on_stage
    from i2m2_med.report.statistics.refusals import refuse_splits
    from i2m2_med.samples.cohort import open_cohort

    from .check import check_networks

    check_networks(run)
    device_for(run.training.device)
    whole = open_cohort(run, folder)
    refuse_splits(whole.manifest)
    cohort = on_stage(open_cohort(run.of_fold(0), folder) if run.split.cross_validated else whole, place)
    check_prior(run.evaluation.prior, cohort.labels)
    check_shapes(build_model(run, tuple(run.experts), cohort.labels, 0), cohort.samples("train"))
    return cohort


def compare(experiment: "Experiment", made: "Sequence[Trained]") -> None:
    """Write and record a comparison, as `i2m2 compare` does."""
    from .compare import record

    with experiment.as_parent() as parent:
        record(experiment, parent, made)


def plan_preparing(run: RunConfig, source: "Source", files: Sequence[Path], config: str) -> dict[str, Any]:
    """What preparing will read, and what is known of experts without data: their parameters."""
    from i2m2_med.engine.prediction.build import build_model

    model = build_model(run, tuple(run.experts), source.labels, 0)
    parameters = {name: sum(one.numel() for one in model.experts[name].parameters()) for name in model.names}
    rows = [[name, " + ".join(model.reads[name]), f"{parameters[name]:,}"] for name in model.names]
    table("Experts", ["expert", "reads", "parameters"], rows)
    size = sum(path.stat().st_size for path in files)
    say(
        f"not prepared yet: {len(files):,} files, {memory_size(size)}, are to be read; what training takes is known after that"
    )
    say(f"next: i2m2 prepare {config}, then i2m2 plan {config} again")
    return {"prepared": False, "files": len(files), "bytes": size, "parameters": parameters}


def show(run: RunConfig, plan: "Plan") -> dict[str, Any]:
    """Show a plan to a person, and return it as plain values."""
    from i2m2_med.engine.training.plan_values import (
        command_values,
        expert_values,
        fit_values,
        setting_values,
        stage_values,
    )

    experts, stages = expert_values(plan), stage_values(plan)
    commands = {name: command_values(plan, name) for name in plan.works}
    settings = setting_values(run, plan, usable_cores())
    show_table("Experts, each alone", experts)
    show_table("Stages of one seed", stages)
    show_table("Commands", [{"command": name, **one} for name, one in commands.items()])
    show_table("What other settings would change", settings)
    place = workspace()
    free = shutil.disk_usage(next(one for one in (place, *place.parents) if one.exists())).free
    fits = fit_values(run, plan, machine_memory(), free)
    show_fit(fits)
    return {"prepared": True, "experts": experts, "stages": stages, "commands": commands, "settings": settings, **fits}


NAMES = {
    "flops": "Mflop a sample",
    "activations": "activations of a batch",
    "weights": "weights, optimizer",
    "step_seconds": "step",
    "valid_seconds": "validation step",
    "epoch_seconds": "epoch",
    "epochs": "epochs at most",
    "seconds": "time",
    "cpu_seconds": "CPU time",
    "training_cpu_seconds": "of it training",
    "bytes_read": "read",
}
"""Columns whose names in a table say more to a person."""
HIDDEN = {"step_cpu_seconds", "training_seconds"}


def show_table(title: str, values: Sequence[dict[str, Any]]) -> None:
    """A table of plain values, each as its name says."""
    columns = [name for name in values[0] if name not in HIDDEN]
    rows = [[cell(name, one[name]) for name in columns] for one in values]
    table(title, [NAMES.get(name, name) for name in columns], rows)


def cell(name: str, value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return "–"
    if name.endswith("seconds"):
        return clock_time(value)
    if name in {"activations", "weights", "bytes_read", "disk", "memory"}:
        return memory_size(value)
    if name == "flops":
        return f"{value / 1e6:,.2f}"
    if name == "time":
        return f"{value:.2f} ×"
    return ", ".join(value) if isinstance(value, list) else f"{value:,}" if isinstance(value, int) else str(value)


def show_memory(fits: dict[str, Any]) -> None:
    """Whether memory is enough, and which settings would make it so."""
    memory, changes = f"{memory_size(fits['memory'])} of {memory_size(fits['limit'])} of memory", fits["makes_it_fit"]
    memory += "" if changes == {} else ", a tenth of which has to stay free"
    if changes == {}:
        say(f"fits: {memory}")
    elif changes:
        say(f"does not fit: {memory}; it fits with {' '.join(f'-s {name}={value}' for name, value in changes.items())}")
    elif fits["least"] > fits["usable"]:
        say(
            f"does not fit: {memory}, and no setting of training helps: what it imports, its data and its tables take "
            f"{memory_size(fits['least'])} by themselves; give it more memory, or less data"
        )
    else:
        say(f"does not fit: {memory}, even one sample at a time: give it smaller samples, or smaller networks")


def show_fit(fits: dict[str, Any]) -> None:
    """Whether memory and disk are enough."""
    show_memory(fits)
    if not fits["disk_is_enough"]:
        say(
            f"does not fit: only {memory_size(fits['free_disk'])} of disk are free at {workspace()}; name another place with I2M2_WORK"
        )
