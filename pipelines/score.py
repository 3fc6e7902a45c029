"""`i2m2 score STUDIES OUT --model …`: one row per study, label and class, or one refusal with its reason."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.errors import UserError

if TYPE_CHECKING:
    from i2m2_med.scoring.run import Engine, Summary


def main(
    studies: str,
    out: Path,
    *,
    model: str | None = None,
    uri: str | None = None,
    trust: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    backend: Literal["torch", "onnx"] = "torch",
    engine: Literal["local", "ray"] = "local",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    processes: int = 1,
    readers: int | None = None,
    threads: int = 1,
    num_parts: int = 1,
    part_id: int = 0,
    timeout: float = 900.0,
    watch: bool = False,
    poll: float = 10.0,
    settle: float = 30.0,
    extra: Annotated[tuple[Literal["magnitude", "picture", "saliency", "dicom"], ...], Parameter(negative=())] = (),
) -> dict[str, Any]:
    """Score study folders; start it again after an interruption, or with new studies: what is done is not done twice.

    `i2m2 score merge OUT` puts together what `--num-parts` shared out. Exit code 2: finished, but studies were refused.

    Parameters
    ----------
    studies
        A folder of study folders, a manifest (CSV or Parquet with the column `study`), or a glob in quotes.
    out
        Where `scores.parquet`, `scores.csv` and a `<study>.json` each are written.
    model
        A run, `models:/name@alias`, an exported bundle, or a model folder.
    uri
        The MLflow store of the run or registered model; the workspace's where not said.
    trust
        Prefixes of `_target_` that a model's config may name beside the usual ones: whoever adds one trusts that code.
    backend
        `onnx`: ONNX Runtime, where it is faster.
    engine
        `ray`: on a Ray cluster; studies and OUT lie on a shared file system.
    device
        Where the network runs; `auto`: on GPUs where there are any.
    processes
        Model processes: one per GPU, or several on a CPU.
    readers
        Processes that read studies for each model process; as many as there are free cores where not said, 0: none.
    threads
        Threads of one network on a CPU. The same number gives the same bits.
    num_parts
        Share the studies among this many scorers, on one or several machines. On Slurm: `sbatch --array=0-9 --wrap
        'i2m2 score STUDIES OUT --model M --num-parts 10 --part-id $SLURM_ARRAY_TASK_ID'`, then `i2m2 score merge OUT`.
    part_id
        Which of the parts this scorer is, from 0.
    timeout
        Seconds after which a study that is still being read is given up.
    watch
        Go on looking for new studies until stopped (Ctrl-C, SIGTERM).
    poll
        Seconds between looks.
    settle
        Seconds for which a new study must have stayed the same.
    extra
        Write beside the rows: `magnitude` (NIfTI), `picture` (PNG sheet), `saliency` (NIfTI per label), `dicom` (structured report).
    """
    from i2m2_med.scoring.hold import Part
    from i2m2_med.scoring.run import merge, score
    from i2m2_med.scoring.studies import find_studies

    if studies == "merge":
        return show(merge(out), out)
    if model is None:
        raise UserError("--model is missing: name a run, models:/name@alias, a bundle, or a model folder")
    job = make_job(model, uri, trust, out, device, threads, backend, extra)
    working = make_engine(engine, readers, processes, timeout)
    part = Part(part_id, num_parts)
    if watch:
        from i2m2_med.scoring.watch import watch_studies

        return show(watch_studies(job, studies, working, part, poll, settle), out)
    return show(score(job, find_studies(studies, out), working, part, TerminalProgress()), out)


def make_job(
    model: str, uri: str | None, trust: tuple[str, ...], out: Path, device: str, threads: int, backend: str, extra: Any
) -> Any:
    """The model, found and looked at, and how it is run."""
    from i2m2_med.scoring.job import Job
    from i2m2_med.scoring.opened import open_model

    opened = open_model(model, uri, trust)
    if device == "auto":
        from i2m2_med.engine.seed import best_device

        device = best_device()
    return Job(opened.folder, opened.name, opened.sha, out.absolute(), device, threads, backend, tuple(sorted(extra)))


def make_engine(engine: str, readers: int | None, processes: int, timeout: float) -> "Engine":
    """Who does the work."""
    from i2m2_med.scoring.run import default_readers, local_engine

    if engine == "ray":
        from i2m2_med.scoring.ray_engine import ray_engine

        return ray_engine(processes)
    return local_engine(default_readers(processes) if readers is None else readers, processes, timeout)


def show(summary: "Summary", out: Path) -> dict[str, Any]:
    """The summary, for a person and for `--json`."""
    before = f", {summary.same} of them before" if summary.same else ""
    say(f"{summary.studies} studies: {summary.ok} scored, {summary.refused} refused{before}; {summary.seconds:.1f} s")
    if summary.reasons:
        from rich.markup import escape

        table("Refused", ["studies", "why"], [[count, escape(why)] for why, count in summary.reasons])
    say(f"scores in {out}")
    return summary.as_json(out)
