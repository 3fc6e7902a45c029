"""The options of `i2m2 score`, in groups; the command line's help is made from it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

Extra = Literal["magnitude", "picture", "saliency", "dicom"]


@Parameter(name="*", group=Group("Model", sort_key=1))
@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how its networks run."""

    model: str | None = None
    """A run, `models:/name@alias`, an exported bundle, or a model folder; the last two may lie in `s3://BUCKET/FOLDER`."""
    uri: str | None = None
    """The MLflow store of the run or registered model; the workspace's by default."""
    trust: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    """Prefixes of `_target_` that a model's config may name beside the usual ones: whoever adds one trusts that code."""
    backend: Literal["torch", "onnx"] = "torch"
    """`onnx`: ONNX Runtime, where it is faster."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs; `auto`: on GPUs where there are any."""
    budget: float | None = None
    """Ask experts in the order of their cost, and leave the rest out where it would hardly change the decision: the share of patients
    whose decision may be another one than that of all experts, such as 0.01, as validation bounds it (95 %)."""
    together: int | None = None
    """Small studies that share a forward pass, which keeps a GPU busy: 64 on GPUs, 1 on CPUs by default. With more than one, the last
    digits of a probability depend on which studies share it."""
    threads: int = 1
    """Threads of one network on a CPU. The same number gives the same bits."""


@Parameter(name="*", group=Group("Who does the work", sort_key=2))
@dataclass(frozen=True)
class WorkOptions:
    """Processes and machines."""

    engine: Literal["local", "ray"] = "local"
    """`ray`: on a Ray cluster; studies and OUT lie on a shared file system, or in an object store."""
    processes: int = 1
    """Model processes: one per GPU, or several on a CPU."""
    readers: int | None = None
    """Processes that read studies for each model process; as many as there are free cores by default, 0: none."""
    timeout: float = 900.0
    """Seconds after which a study that is still being read is given up."""
    num_parts: int = 1
    """Share the studies among this many scorers, on one or several machines. On Slurm: `sbatch --array=0-9 --wrap
    'i2m2 score STUDIES OUT --model M --num-parts 10 --part-id $SLURM_ARRAY_TASK_ID'`, then `i2m2 score merge OUT`."""
    part_id: int = 0
    """Which of the parts this scorer is, from 0."""


@Parameter(name="*", group=Group("Studies that arrive", sort_key=3))
@dataclass(frozen=True)
class WatchOptions:
    """Going on as studies come."""

    watch: bool = False
    """Go on looking for new studies until stopped (Ctrl-C, SIGTERM)."""
    poll: float = 10.0
    """Seconds between looks."""
    settle: float = 30.0
    """Seconds for which a new study must have stayed the same."""
