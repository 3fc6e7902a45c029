"""A plan as plain values: what `i2m2 plan` shows, and hands on as JSON. Times are seconds, sizes bytes."""

from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.engine.training.estimate import fitting, held, side_by_side
from i2m2_med.engine.training.planning import Plan

Values = list[dict[str, Any]]
MARGIN = 0.9
"""Share of the machine's memory that a training may fill: a plan is an estimate, and others live here too."""


def expert_values(plan: Plan) -> Values:
    """Each expert by itself; `flops` of a forward pass on one sample, `activations` of a batch."""
    return [
        {
            "expert": name,
            "reads": " + ".join(one.reads),
            "parameters": one.parameters,
            "flops": one.flops,
            "activations": one.activations,
            "weights": one.alone.state,
            "step_seconds": one.alone.step.seconds,
            "step_cpu_seconds": one.alone.step.cpu,
            "valid_seconds": one.alone.valid.seconds * one.batch,
        }
        for name, one in plan.experts.items()
    ]


def stage_values(plan: Plan) -> Values:
    """Each stage that a comparison trains, for one seed and fold."""
    work = plan.works["compare"]
    found: Values = []
    for stage in work.distinct:
        cost = plan.costs[stage.key]
        epoch, whole = cost.epoch(plan.counts, stage.settings.batch), cost.whole(stage, plan.counts)
        found.append(
            {
                "paradigms": [name for name, own in work.stages.items() if stage.key in {one.key for one in own}],
                "trains": [name for name in stage.experts if name not in stage.frozen],
                "epochs": stage.epochs,
                "step_seconds": cost.step.seconds,
                "epoch_seconds": epoch.seconds,
                "seconds": whole.seconds,
                "cpu_seconds": whole.cpu,
            }
        )
    return found


def command_values(plan: Plan, command: str) -> dict[str, Any]:
    """What `train` or `compare` takes."""
    found, work = plan.of(command), plan.works[command]
    return {
        "trainings": len(work.stages) * work.seeds * work.folds,
        "seconds": found.whole.seconds,
        "cpu_seconds": found.whole.cpu,
        "training_seconds": found.training.seconds,
        "training_cpu_seconds": found.training.cpu,
        "bytes_read": round(found.bytes_read),
        "disk": round(found.disk),
    }


def setting_values(run: RunConfig, plan: Plan, cores: int) -> Values:
    """What other settings would change, as far as it was measured here or follows: `memory`, and `time` as a multiple."""
    now, as_it_is = held(plan.activations, run.training), plan.steps[""]
    rest = plan.memory - now
    found: Values = [{"setting": "as configured", "memory": plan.memory, "time": 1.0, "remark": ""}]
    for way, step in plan.steps.items():
        if way:
            name, _, value = way.partition("=")
            changed = run.training.model_copy(update={name: int(value) if value.isdigit() else value})
            memory = None if name == "precision" else rest + held(plan.activations, changed)
            times = step.cpu / as_it_is.cpu if step and as_it_is and as_it_is.cpu else None
            remark = "of a step, measured" if step else "fails on these data"
            found.append({"setting": f"training.{way}", "memory": memory, "time": times, "remark": remark})
    sending = f"at best, on {cores} cores; what sending gradients takes is not measured here"
    jobs = side_by_side(plan.of("compare"), min(2, cores))
    return [
        *found,
        {"setting": "train --processes 2", "memory": 2 * rest + now, "time": 1 / min(2, cores), "remark": sending},
        {
            "setting": "compare --jobs 2",
            "memory": 3 * plan.memory,
            "time": jobs,
            "remark": f"at best, on {cores} cores",
        },
        {"setting": "train --gpus N", "memory": None, "time": None, "remark": "for GPUs; not measured here"},
    ]


def too_large(run: RunConfig, kept: dict[str, int], rest: int, limit: int) -> dict[str, Any] | None:
    """Return what is wrong where a step would not even fit beside the `rest` of the process, as it was before any; None where it fits."""
    found = memory_values(run, kept, rest, limit)
    return None if found["makes_it_fit"] == {} else {"fits": False, **found}


def fit_values(run: RunConfig, plan: Plan, limit: int, free: int) -> dict[str, Any]:
    """Whether memory (`limit`) and disk (`free`) are enough, and what makes them so."""
    rest = plan.memory - held(plan.activations, run.training)
    found = memory_values(run, plan.activations, rest, limit, plan.cached)
    enough = plan.of("compare").disk <= free
    return {"fits": found["makes_it_fit"] == {} and enough, **found, "free_disk": free, "disk_is_enough": enough}


def memory_values(run: RunConfig, kept: dict[str, int], rest: int, limit: int, cached: int = 0) -> dict[str, Any]:
    """What a step takes beside the `rest` of the process, `cached` of which are samples, and what of it fits into `limit` bytes.

    `makes_it_fit`: settings, {} where none are needed, None where none do. `least`: bytes beside activations that stay whatever is set.
    """
    room, least = MARGIN * limit, rest - cached
    changes = named(fitting(kept, run.training, rest, room))
    if changes is None and cached and (fewer := named(fitting(kept, run.training, least, room))) is not None:
        changes = {"modalities.cache": "disk", **fewer}
    memory = rest + held(kept, run.training)
    return {"memory": memory, "limit": limit, "usable": int(room), "least": least, "makes_it_fit": changes}


def named(changes: dict[str, int | str] | None) -> dict[str, int | str] | None:
    """Settings of training as a config names them."""
    return None if changes is None else {f"training.{name}": value for name, value in changes.items()}
