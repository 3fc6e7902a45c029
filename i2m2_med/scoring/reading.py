"""A study folder → chunks of modality tensors, as the model reads them, or the reason why it is refused."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any

import numpy as np
import torch

from i2m2_med.engine.prediction.model_files import check_state, read_about, read_portable, read_state
from i2m2_med.errors import SourceError, UserError, causes
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.cohort import compose
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.encoders import check_encoders
from i2m2_med.samples.envelope import outside
from i2m2_med.samples.growth import LARGEST, values_of
from i2m2_med.samples.joined import joined_study
from i2m2_med.samples.normalise import State
from i2m2_med.samples.preparing import open_source
from i2m2_med.scoring.study_checks import checked_files, content_hash, row_hash
from i2m2_med.sources.source import Study

FORMATS = ("h5py", "nibabel", "polars", "pydicom", "gzip", "zlib", "csv", "json", "xml")
"""Libraries that read files: their errors are blamed on the file, not on this program."""
PACKAGE = re.compile(r"(?:^|site-packages/|python3\.\d+/)(\w+)(?:/|\.py)")

APPLYING = re.compile(r"applying transform <(?:\w+\.)*(\w+) object")
"""What MONAI's Compose says of a transform that failed."""


@dataclass(frozen=True)
class Chunk:
    """A few items (slices) of one study."""

    items: list[int]
    inputs: dict[str, np.ndarray]
    """By modality: (item, …)."""
    present: dict[str, np.ndarray]
    """By modality: (item,) bool."""
    warnings: list[str] = field(default_factory=list[str])

    @property
    def shape(self) -> tuple[tuple[Any, ...], ...]:
        """Modalities with the kind and shape of an item's array: chunks with the same can be joined."""
        return tuple((name, array.dtype.str, *array.shape[1:]) for name, array in self.inputs.items())

    @classmethod
    def joined(cls, chunks: "Sequence[Chunk]") -> "Chunk":
        """Return the items of chunks of one shape as one chunk."""
        return cls(
            [item for chunk in chunks for item in chunk.items],
            {name: np.concatenate([chunk.inputs[name] for chunk in chunks]) for name in chunks[0].inputs},
            {name: np.concatenate([chunk.present[name] for chunk in chunks]) for name in chunks[0].present},
        )

    def batch(self) -> Batch:
        """Return the tensors, without targets."""
        inputs = {name: torch.from_numpy(array) for name, array in self.inputs.items()}
        present = {name: torch.from_numpy(array) for name, array in self.present.items()}
        rows = torch.arange(len(self.items))
        return Batch(inputs, present, torch.full((len(rows), 1), -1), rows)

    def patterns(self) -> list[str]:
        """Return the modalities that each item has, '+'-joined in alphabetical order."""
        names = sorted(self.present)
        there = zip(*(self.present[name].tolist() for name in names), strict=True)
        return ["+".join(name for name, known in zip(names, row, strict=True) if known) for row in there]


@dataclass(frozen=True)
class Refusal:
    """The reason why a study can't be scored."""

    why: str
    lasting: bool = True
    """False where another try might do better (a reader that was killed): such a study is not done."""


class Reader:
    """Opens study folders as a model's training data were opened; needs no weights."""

    def __init__(self, model: Path) -> None:
        self.run = read_portable(model / "config.yaml")
        about = read_about(model, self.run)
        self.state = read_state(model)
        self.envelope = about.get("envelope", {})
        self.source = open_source(self.run)
        members = [member["state"] for member in about.get("members", ())]
        check_state(model, self.run, self.source, members or [self.state])
        self.transform = compose(self.run, "transforms")
        check_encoders(self.transform, about.get("encoders", {}), str(model))
        self.experts = {name: self.run.experts[name] for name in self.run.paradigms[about["paradigm"]].experts}
        self.modalities = tuple(dict.fromkeys(name for expert in self.experts.values() for name in expert.reads))

    def content(self, folder: Path) -> str:
        """Return the hash of a study's content, once its files have been checked. Raises SourceError."""
        row = self.source.row_files(folder)
        if row is not None:
            return row_hash(*row)
        return content_hash(folder, checked_files(folder))

    def chunks(self, folder: Path) -> Iterator[Chunk | Refusal]:
        """Yield a study's chunks in order; a Refusal ends it."""
        yield from self.chunked(lambda: self.open(folder), folder)

    def chunked(self, opened: Callable[[], Samples], folder: Path | None = None) -> Iterator[Chunk | Refusal]:
        """Yield the chunks of a study's samples, which `opened` makes; a Refusal ends it."""
        try:
            samples = opened()
            at_once = self.rows_at_once(samples)
            for start in range(0, len(samples), at_once):
                yield self.chunk(samples, list(range(start, min(start + at_once, len(samples)))))
                samples.cached = None
        except Exception as error:  # one study must not stop the others, whatever it does to the libraries that read it
            yield refusal(error, folder)

    def open(self, folder: Path) -> Samples:
        """Return the samples of a study folder, or of a row of a table."""
        return self.samples_of(joined_study(self.source.study(folder), folder, self.run.modalities.columns))

    def samples_of(self, study: Study) -> Samples:
        """Return an opened study's samples. Raises SourceError where it holds nothing."""
        if not len(study.records):
            raise SourceError("the study holds nothing that the model reads")
        return Samples(
            study.records,
            self.source.labels,
            self.modalities,
            study.arrays,
            transform=self.transform,
            state=self.states(study),
        )

    def rows_at_once(self, samples: Samples) -> int:
        """Return how many samples a chunk holds: `scoring.batch`, or fewer where these would be more than `LARGEST` values."""
        if self.transform is None or len(samples) == 1:
            return self.run.scoring.batch
        samples.cached = {}  # what is measured is read once
        first = values_of(samples.transformed(0).values())
        return max(1, min(self.run.scoring.batch, LARGEST // max(first, 1)))

    def states(self, study: Study) -> State:
        """Return training statistics of the modalities that the study has as arrays. Raises SourceError for one of another width."""
        for name, array in study.arrays.items():
            width = len(self.state.get(name, {}).get("mean", [])) or array.shape[-1]
            if array.shape[-1] != width:
                raise SourceError(f"'{name}' has {array.shape[-1]} channels; the model was trained on {width}")
        return self.state

    def chunk(self, samples: Samples, rows: list[int]) -> Chunk:
        """Return the tensors of some rows, which follow one another; each has the modalities of at least one expert."""
        batch = self.complete(samples.__getitems__(rows))
        self.check_experts(batch)
        self.check_finite(batch)
        records = samples.records.slice(rows[0], len(rows))
        return Chunk(
            records["item"].to_list() if "item" in records.columns else rows,
            {name: batch.inputs[name].numpy() for name in self.modalities},
            {name: batch.present[name].numpy() for name in self.modalities},
            outside(self.envelope, batch, records.to_dicts(), self.source.bounds, self.source.kinds),
        )

    def complete(self, batch: Batch) -> Batch:
        """Return the batch with every modality that experts read, absent where the study lacks it."""
        empty = torch.full((len(batch.rows), 1), torch.nan)
        none = torch.zeros(len(batch.rows), dtype=torch.bool)
        inputs = {name: batch.inputs.get(name, empty) for name in self.modalities}
        present = {name: batch.present.get(name, none) for name in self.modalities}
        return Batch(inputs, present, batch.target, batch.rows)

    def check_experts(self, batch: Batch) -> None:
        """Refuse a study with an item that no expert can judge."""
        readable = torch.zeros(len(batch.rows), dtype=torch.bool)
        for expert in self.experts.values():
            there = torch.stack([batch.present[name] for name in expert.reads])
            readable |= there.any(dim=0) if expert.needs == "any" else there.all(dim=0)
        if not bool(readable.all()):
            there = [name for name in self.modalities if bool(batch.present[name].any())]
            wanted = " or ".join(sorted({expert.needed for expert in self.experts.values()}))
            raise SourceError(f"no expert can judge it: it has {', '.join(there) or 'no modality'}; needed is {wanted}")

    def check_finite(self, batch: Batch) -> None:
        """Refuse values that are NaN or infinite: the model's prediction would be so too."""
        for name in self.modalities:
            inputs = batch.inputs[name][batch.present[name]]
            if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
                raise SourceError(f"'{name}' holds values that are no numbers (NaN or infinite)")


def refusal(error: BaseException, folder: Path | None = None) -> Refusal:
    """Return the reason in one line: our own error's, or else the kind and place of what went wrong, never a value.

    Without the study's name and place, so that the same reason reads the same for every study.
    """
    for cause in causes(error):
        if isinstance(cause, UserError):
            return Refusal(one_line(nameless(str(cause), folder)))
        if isinstance(cause, MemoryError) or "can't allocate memory" in str(cause):  # torch's is a RuntimeError
            return Refusal("reading it needs more memory than there is", lasting=False)
        if isinstance(cause, OSError):
            return Refusal(f"a file of the study can't be read ({type(cause).__name__})", lasting=False)
    step, error = failed_transform(error)
    library = PACKAGE.search(extract_tb(error.__traceback__)[-1].filename)
    if library and library[1] in FORMATS:
        return Refusal(
            f"a file of the study is damaged, in a way that {library[1]} stumbles over ({type(error).__name__})"
        )
    if step:
        return Refusal(f"the transform {step} of modalities.transforms can't be applied to it ({type(error).__name__})")
    frames = [frame for frame in extract_tb(error.__traceback__) if "i2m2_med" in frame.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "a library"
    return Refusal(f"it can't be read, in a way that is not foreseen ({type(error).__name__} in {place})")


def failed_transform(error: BaseException) -> tuple[str, BaseException]:
    """Return the class of the transform that an error comes from, empty if from none, and the error itself: MONAI wraps it."""
    for cause in causes(error):
        if (step := APPLYING.match(str(cause))) and cause.__cause__:
            return step[1], cause.__cause__
    return "", error


def nameless(text: str, folder: Path | None) -> str:
    """Return a reason without the path or leading name of its study."""
    if folder is None:
        return text
    for path in (folder.resolve(), folder.absolute(), folder):
        text = text.replace(f"{path}/", "").replace(str(path), "the study")
    rest = text.removeprefix(folder.name)
    return f"the study{rest}" if rest != text and rest[:1] in {" ", ":"} else text


def one_line(text: str) -> str:
    """Return a reason without line breaks, control signs, or more length than a table bears."""
    with suppress(UnicodeError):
        text = text.encode("utf-8", "replace").decode()
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text).strip()[:500]
