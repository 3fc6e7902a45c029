"""A whole model as one graph, ONNX or torch.export, held against torch on real samples before it leaves the house.

The graph takes each modality (batch, …) and `present` (modality, batch), and gives the log-probabilities of the model and of each
expert, not calibrated. Every expert is asked for every row; what it says of a row that lacks what it reads is not heard.
"""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.disk_errors import writing
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import ModelError, UserError, extra_hint
from i2m2_med.model import I2M2
from i2m2_med.samples.batch import Batch

Format = Literal["onnx", "torch"]
FILES: dict[Format, str] = {"onnx": "models/model.onnx", "torch": "models/model.pt2"}
TOLERANCE = 1e-4
"""By how much a probability of the graph may differ from torch's; float32 networks differ by about 1e-6."""
SAMPLES = 32
"""Real samples that a graph is held against torch on."""
SIZES = (1, 3, 16)
"""Batch sizes that the graph is asked with in turn: one that was fixed by tracing would be found out."""

Sample = dict[str, Tensor]
"""By modality that was acquired: (1, …)."""
Answers = tuple[Float[Tensor, "batch label classes"], Float[Tensor, "expert batch label classes"]]
Graph = Callable[[tuple[Tensor, ...], Tensor], Answers]


class WholeModel(nn.Module):
    """The experts and the combiner without a branch: absent modalities are zeros, and what is said of them is masked."""

    def __init__(self, model: I2M2, modalities: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.modalities = tuple(modalities)

    def forward(self, modalities: tuple[Tensor, ...], present: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, …) each, (modality, batch) → (batch, label, classes), (expert, batch, label, classes)."""
        said: list[Tensor] = []
        heard: list[Tensor] = []
        for name in self.model.names:
            places = [self.modalities.index(modality) for modality in self.model.reads[name]]
            acquired = torch.stack([present[place] for place in places])
            lenient = name in self.model.lenient
            there = acquired.any(dim=0) if lenient else acquired.all(dim=0)
            given = [without_absent(modalities[place], present[place]) for place in places]
            also = {"present": acquired} if lenient else {}
            log_probs, _ = self.model.answer(self.model.experts[name], given, **also)
            said.append(torch.where(there[:, None, None], log_probs, torch.zeros_like(log_probs)))
            heard.append(there)
        experts = torch.stack(said)
        return self.model.combiner(experts, torch.stack(heard)), experts


def without_absent(tensor: Tensor, present: Tensor) -> Tensor:
    """Return a modality (batch, …) with zeros where it is absent, whatever stands there."""
    return torch.where(present.reshape(-1, *[1] * (tensor.ndim - 1)), tensor, torch.zeros_like(tensor))


@dataclass(frozen=True)
class Comparison:
    """What a graph was held against torch on, and how far it was off."""

    format: Format
    file: str
    inputs: dict[str, list[int]]
    """By modality, in the order of the graph's inputs: the shape of one sample."""
    samples: int
    """Real samples."""
    of: str
    """Where they are from."""
    other_shapes: int
    """Samples left out since the graph is of another shape."""
    patterns: dict[str, int]
    """Rows by the modalities that they have: each sample as it is, and with each modality withheld."""
    difference: float
    """The largest, in a probability of the model or an expert."""
    tolerance: float = TOLERANCE

    def sentence(self) -> str:
        """Return it for a person."""
        return (
            f"`{self.file}` was held against torch on {self.samples} samples of {self.of} ({sum(self.patterns.values())} rows, "
            f"modalities withheld in turn): the largest difference in a probability is {self.difference:.1e} (at most {self.tolerance:.0e})."
            + (
                f" {self.other_shapes} samples of other shapes were left out: the graph takes one shape."
                if self.other_shapes
                else ""
            )
        )


def samples_of(batches: Iterable[Batch]) -> list[Sample]:
    """Return the first samples, each with what it has."""
    rows = (
        {name: tensor[at : at + 1] for name, tensor in batch.inputs.items() if bool(batch.present[name][at])}
        for batch in batches
        for at in range(len(batch.rows))
    )
    return list(islice(filter(None, rows), SAMPLES))


def export_graph(predictor: Predictor, format: Format, folder: Path, samples: Sequence[Sample], of: str) -> Comparison:
    """Write the model's graph into a bundle's folder. Raises ModelError where it can't be one, or answers other than torch does."""
    if not isinstance(predictor.model, I2M2):
        raise UserError("a graph is of one model, this one is the ensemble of all folds: name a fold's run")
    model = predictor.model.cpu().eval()
    modalities = tuple(dict.fromkeys(modality for name in model.names for modality in model.reads[name]))
    shapes = common_shapes(samples, modalities)
    alike = [
        one for one in samples if all((tensor.shape, tensor.dtype) == shapes[name] for name, tensor in one.items())
    ]
    rows = variants(model, alike)
    inputs = tuple(
        torch.cat([row.get(name, torch.zeros(shape, dtype=kind)) for row in rows]).contiguous()
        for name, (shape, kind) in shapes.items()
    )
    present = torch.tensor([[name in row for row in rows] for name in modalities])
    path = folder / FILES[format]
    path.parent.mkdir(exist_ok=True)
    graph = WRITERS[format](WholeModel(model, modalities), inputs, present, path)
    difference = largest_difference(model, graph, modalities, inputs, present)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the model as {format} answers other than torch: a probability differs by {difference:.1e}, at most {TOLERANCE:.0e} may be; nothing was written"
        )
    patterns = Counter("+".join(sorted(row)) for row in rows)
    sizes = {name: list(shape[1:]) for name, (shape, _) in shapes.items()}
    return Comparison(
        format, FILES[format], sizes, len(alike), of, len(samples) - len(alike), dict(patterns), difference
    )


def common_shapes(samples: Sequence[Sample], modalities: Sequence[str]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return each modality's most frequent shape and kind. Raises ModelError where no sample has it."""
    seen = {name: Counter((one[name].shape, one[name].dtype) for one in samples if name in one) for name in modalities}
    if lacking := [name for name, counted in seen.items() if not counted]:
        raise ModelError(
            f"none of the {len(samples)} samples at hand has '{lacking[0]}': a graph can't be held against torch; name others with --studies"
        )
    return {name: counted.most_common(1)[0][0] for name, counted in seen.items()}


def variants(model: I2M2, samples: Sequence[Sample]) -> list[Sample]:
    """Return samples as they are, and with each of their modalities withheld, where an expert still judges them."""
    withheld = [{name: one[name] for name in one if name != lacking} for one in samples for lacking in one]
    judged = [one for one in (*samples, *withheld) if any(model.can_answer(name, tuple(one)) for name in model.names)]
    if not judged:
        raise ModelError("no expert judges any of the samples at hand; name others with --studies")
    return judged


@torch.no_grad()
def largest_difference(
    model: I2M2, graph: Graph, modalities: Sequence[str], inputs: tuple[Tensor, ...], present: Tensor
) -> float:
    """Return by how much a probability of the graph's differs at most from torch's; infinite where one is no number."""
    largest, start, sizes = 0.0, 0, [*SIZES]
    while start < present.shape[1]:
        size = sizes.pop(0) if sizes else SIZES[-1]
        some = [tensor[start : start + size] for tensor in inputs]
        there = present[:, start : start + size].contiguous()
        wanted = model(dict(zip(modalities, some, strict=True)), dict(zip(modalities, there, strict=True)))
        if bool(torch.stack([wanted.log_probs, *wanted.experts]).exp().isnan().any()):
            raise ModelError(
                "the model's own answers to the samples at hand are no numbers (NaN): no graph can be held against them"
            )
        said, each_said = graph(tuple(some), there)
        heard = wanted.present[:, :, None, None]
        for ours, theirs in ((wanted.log_probs, said), (wanted.experts * heard, each_said * heard)):
            off = (ours.exp() - theirs.exp()).abs()
            largest = max(largest, float(torch.where(off.isnan(), torch.inf, off).max()))
        start += size
    return largest


def write_onnx(whole: WholeModel, inputs: tuple[Tensor, ...], present: Tensor, path: Path) -> Graph:
    """Write an ONNX graph and return it as ONNX Runtime reads it back."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"--graph onnx needs ONNX Runtime: {extra_hint('onnx')}") from error
    names = [*whole.modalities, "present"]
    with expressed("onnx"):
        program = torch.onnx.export(
            whole,
            two_rows(inputs, present),
            dynamo=True,
            input_names=names,
            output_names=["log_probs", "experts"],
            dynamic_shapes=free_batch(inputs),
            verbose=False,
        )
        assert program is not None
        with writing(path):
            program.save(str(path))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def graph(modalities: tuple[Tensor, ...], there: Tensor) -> Answers:
        given = dict(zip(names, (tensor.contiguous().numpy() for tensor in (*modalities, there)), strict=True))
        said, each_said = session.run(None, {one.name: given[one.name] for one in session.get_inputs()})
        return torch.from_numpy(said), torch.from_numpy(each_said)

    return graph


def write_program(whole: WholeModel, inputs: tuple[Tensor, ...], present: Tensor, path: Path) -> Graph:
    """Write a program of torch.export and return it as it is read back."""
    with expressed("torch"):
        program = torch.export.export(whole, two_rows(inputs, present), dynamic_shapes=free_batch(inputs))
        program.example_inputs = None  # a pickle
        packed = io.BytesIO()  # of a full disk torch's own writer makes the end of the process
        torch.export.save(program, packed)
        with writing(path):
            path.write_bytes(packed.getbuffer())
        loaded = torch.export.load(path).module()
    return lambda modalities, there: loaded(modalities, there)


WRITERS: dict[Format, Callable[[WholeModel, tuple[Tensor, ...], Tensor, Path], Graph]] = {
    "onnx": write_onnx,
    "torch": write_program,
}


def two_rows(inputs: tuple[Tensor, ...], present: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return what a graph is traced with, which is nobody's: zeros. A batch of one would be taken for fixed."""
    empty = tuple(torch.zeros((2, *tensor.shape[1:]), dtype=tensor.dtype) for tensor in inputs)
    return empty, torch.ones((len(present), 2), dtype=torch.bool)


def free_batch(inputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Return the axes of the arguments that are free."""
    batch = torch.export.Dim("batch", min=1, max=65536)
    return tuple({0: batch} for _ in inputs), {1: batch}


@contextmanager
def expressed(format: Format) -> Generator[None]:
    """Say in one line that a network can't be expressed in a format: the exporters raise kinds of their own, and warn of theirs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Exception as error:
        raise ModelError(f"the model can't be expressed as {format} ({type(error).__name__})") from error
