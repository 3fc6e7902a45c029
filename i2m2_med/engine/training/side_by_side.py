"""Trainings of a comparison side by side: each paradigm with each seed in a process of its own, here or on other machines.

A process leaves what it trained in the experiment's folder, finished and recorded as a run; the comparison then finds it done, as
after `--resume`. So a report does not depend on who trained what, and what was interrupted is taken up by whoever comes next.
"""

import os
import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Advance, Progress
from i2m2_med.engine.training.cross_validation import train
from i2m2_med.engine.training.experiment import Experiment, Parent, is_done, read_note
from i2m2_med.errors import UserError
from i2m2_med.files import private
from i2m2_med.forkserver import start_server
from i2m2_med.predictions import Judge
from i2m2_med.samples.cohort import open_cohort
from i2m2_med.signals import kill_children, stoppable

Unit = tuple[str, int]
"""A paradigm with a seed: what is trained by one process. Its folds are trained one after the other."""
MakeJudge = Callable[[RunConfig], Judge]
PRELOADED = ("i2m2_med.engine.training.side_by_side", "monai.engines.trainer", "mlflow")
PATIENCE = 10.0
"""Seconds in which a process that is told to stop closes its run; then it is killed."""


@dataclass(frozen=True)
class Assignment:
    """What another process needs to train for an experiment: values only, which travel."""

    run: RunConfig
    values: Values
    prepared: Path
    """The folder of the prepared data."""
    folder: Path
    uri: str
    parent: str
    make_judge: MakeJudge

    def train(self, unit: Unit, progress: Progress) -> None:
        """Train one paradigm with one seed, and record it as a child of the comparison's run."""
        experiment = Experiment(
            run=self.run,
            values=self.values,
            cohort=open_cohort(self.run, self.prepared),
            folder=self.folder,
            uri=self.uri,
            progress=progress,
            judge=self.make_judge(self.run),
            parent=Parent(self.parent),
        )
        train(experiment, *unit)


@dataclass
class Child:
    """A process that trains a unit, and its bar on the terminal."""

    unit: Unit
    process: BaseProcess
    slot: int
    shown: ExitStack = field(default_factory=ExitStack)
    advance: Advance = print
    done: bool = False


def assign(experiment: Experiment, parent: str, make_judge: MakeJudge) -> Assignment:
    """Return what other processes need to train for `experiment`, below the run `parent`."""
    one = experiment
    return Assignment(one.run, one.values, one.cohort.folder, one.folder, one.uri, parent, make_judge)


def units(run: RunConfig) -> list[Unit]:
    """Return everything that a comparison trains."""
    return [(paradigm, seed) for seed in run.seeds for paradigm in run.paradigms]


def unfinished(experiment: Experiment, among: Sequence[Unit]) -> list[Unit]:
    """Return those units that are not trained and recorded yet."""
    return [unit for unit in among if not is_done(experiment.folder, *unit)]


def check_whole(experiment: Experiment) -> None:
    """Raise UserError where parts of a comparison have not trained everything, or were trained by other versions of the code."""
    whole = units(experiment.run)
    if missing := unfinished(experiment, whole):
        named = "; ".join(f"{paradigm}, seed {seed}" for paradigm, seed in missing)
        raise UserError(f"{len(missing)} of {len(whole)} trainings are not done yet: {named}. Train them, then merge")
    codes = {read_note(experiment.folder / f"{paradigm}-{seed}").get("code") for paradigm, seed in whole}
    if len(codes) > 1:
        raise UserError(
            f"{experiment.folder} was trained by {len(codes)} versions of the code; train all parts with one"
        )


def train_side_by_side(assignment: Assignment, waiting: Sequence[Unit], jobs: int, progress: Progress) -> None:
    """Train units in `jobs` processes at a time, on the GPUs in turn where there are any.

    One that fails stops no other: those that fail are named at the end. Raises UserError then, or RuntimeError where it was a bug.
    """
    waiting = list(waiting)
    if not waiting:
        return
    context, threads = start_server(PRELOADED), threads_each(jobs)
    running: dict[Connection, Child] = {}
    failed: list[str] = []
    free = list(range(jobs))[::-1]
    with progress.together(), ended(running):
        while waiting or running:
            while waiting and free:
                pipe, theirs = context.Pipe(duplex=False)
                unit, slot = waiting.pop(0), free.pop()
                process = context.Process(target=run_child, args=(theirs, assignment, unit, slot, threads))
                process.start()
                theirs.close()
                running[pipe] = Child(unit, process, slot)
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                if not hear(pipe, running[pipe], progress, failed):
                    free.append(running.pop(pipe).slot)
    left_out(failed)


def left_out(failed: Sequence[str]) -> None:
    """Raise UserError where trainings failed. failed: a line on each."""
    if failed:
        raise UserError("\n".join([*failed, "the others are trained and kept: --resume trains what is missing"]))


def hear(pipe: Connection, child: Child, progress: Progress, failed: list[str]) -> bool:
    """Take what a child says; False once it has ended. What went wrong is added to `failed`. Raises RuntimeError for its bugs."""
    name = f"{child.unit[0]}, seed {child.unit[1]}"
    try:
        kind, *told = pipe.recv()
    except EOFError:
        child.shown.close()
        child.process.join()
        if not child.done:
            how = "killed, most likely for want of memory (fewer --jobs)" if child.process.exitcode == -9 else "ended"
            failed.append(f"{name}: its process was {how}, exit code {child.process.exitcode}")
        return False
    if kind == "bar":
        child.shown.close()
        child.advance = child.shown.enter_context(progress.bar(*told))
    elif kind == "step":
        child.advance(*told)
    elif kind == "say":
        progress.say(*told)
    elif kind == "bug":
        raise RuntimeError(f"{name}: {told[0]}")
    else:
        child.done = True
        failed += [f"{name}: {told[0]}"] if kind == "failed" else []
    return True


@contextmanager
def ended(running: dict[Connection, Child]) -> Generator[None]:
    """Stop whatever still runs on leaving: in order (its run is closed), or soon."""
    try:
        yield
    finally:
        for child in running.values():
            child.process.terminate()
        for child in running.values():
            child.process.join(PATIENCE)
            kill_children(child.process.pid) if child.process.is_alive() else None
            child.process.kill()
            child.process.join()
            child.shown.close()


class Sent(Progress):
    """Progress that another process shows."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    @contextmanager
    def bar(self, what: str, total: int) -> Generator[Advance]:
        """A bar in the other process."""
        self.pipe.send(("bar", what, total))
        yield lambda text: self.pipe.send(("step", text))

    def say(self, message: str) -> None:
        """One line for a person."""
        self.pipe.send(("say", message))


def run_child(pipe: Connection, assignment: Assignment, unit: Unit, slot: int, threads: int) -> None:
    """Train one unit in this process and send what becomes of it."""
    import torch

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(threads)
    use_gpu(slot)
    try:
        with private(), stoppable():
            assignment.train(unit, Sent(pipe))
        pipe.send(("done",))
    except KeyboardInterrupt:
        return
    except UserError as error:
        pipe.send(("failed", str(error)))
    except BrokenPipeError:
        return  # the process that started this one is gone
    except Exception:
        pipe.send(("bug", traceback.format_exc()))


def use_gpu(slot: int) -> None:
    """Let this process see one GPU: those that there are in turn. CUDA has not been started in it yet."""
    import torch

    count = torch.cuda.device_count()
    if count > 1:
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = listed[slot % count]


def threads_each(jobs: int) -> int:
    """Return the threads of a process: what OMP_NUM_THREADS says, else its share of the cores.

    The number of threads decides the last bits on a CPU: with OMP_NUM_THREADS=1 side by side and one after the other are equal.
    """
    import torch

    return torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else max(1, torch.get_num_threads() // jobs)
