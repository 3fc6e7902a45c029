"""A model as a MONAI bundle: its files, and the two parts of it that `python -m monai.bundle run` calls.

The bundle holds the model folder as it is (`models/i2m2`): safetensors and values, no pickle. `inference.json` names the two
parts below by `_target_` and holds no `$` expression.
"""

import importlib.metadata as installed
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

import i2m2_med
from i2m2_med.engine.prediction.model_files import read_json
from i2m2_med.engine.prediction.predictor import load_model
from i2m2_med.errors import ModelError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.scoring.exported import Comparison, Format, Sample, export_graph
from i2m2_med.scoring.open_model import IN_BUNDLE, open_model
from i2m2_med.types import LogProbs

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
NEEDED = ("i2m2-med", "pytorch-ignite", "polars", "pyarrow", "safetensors", "pydantic", "h5py", "nibabel")


class PackedModel(nn.Module):
    """A bundle's model with one tensor in and one out, as MONAI's `verify_net_in_out` calls it.

    Image modalities of one size are packed as channels of one image, others as one row of numbers, in the order of the
    model's modalities.
    """

    def __init__(self, bundle: str = ".") -> None:
        super().__init__()
        folder = bundle_folder(bundle) / IN_BUNDLE
        predictor = load_model(folder, "cpu")
        self.model = predictor.model
        self.shapes = {name: modality_shape(predictor.envelope, name) for name in predictor.modalities}

    def forward(self, image: Tensor) -> Float[Tensor, "batch answers"]:
        """(batch, channel, …) → uncalibrated probabilities (batch, label · classes)."""
        log_probs: LogProbs = self.model(self.unpack(image), self.everything(len(image))).log_probs
        return log_probs.exp().flatten(1)

    def unpack(self, image: Tensor) -> dict[str, Tensor]:
        """Return the modalities of a packed tensor, (batch, …) each."""
        packed = packed_shape(self.shapes)
        sizes = [shape[0] if len(packed) > 1 else count(shape) for shape in self.shapes.values()]
        parts = image.split(sizes, dim=1)
        return {name: part.reshape(-1, *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def everything(self, n_samples: int) -> dict[str, Tensor]:
        """Return masks in which all modalities are present."""
        return {name: torch.ones(n_samples, dtype=torch.bool) for name in self.shapes}


def score_studies(bundle: str = ".", studies: str = "studies", out: str = "scores") -> dict[str, Any]:
    """Run what `python -m monai.bundle run` asks for: `i2m2 score` with the bundle's model, in this process."""
    from i2m2_med.console import TerminalProgress
    from i2m2_med.parts import Part
    from i2m2_med.scoring.job import Job
    from i2m2_med.scoring.run import score, source_of
    from i2m2_med.scoring.studies import find_studies
    from i2m2_med.scoring.workers.engine import local_engine

    model = open_model(str(bundle_folder(bundle)))
    job = Job(model.folder, model.name, model.sha, Path(out).absolute())
    found = find_studies(studies, job.out, source_of(model.folder))
    summary = score(job, found, local_engine(0, 1, 900.0), Part(), TerminalProgress())
    return summary.as_json(job.out)


def bundle_folder(bundle: str) -> Path:
    """Return the bundle's folder: the one named, or the one where MONAI found the config (it puts that on Python's path)."""
    for folder in (bundle, *sys.path):
        if (Path(folder) / IN_BUNDLE / "model.json").is_file():
            return Path(folder)
    raise ModelError(f"{Path(bundle).absolute()} is no bundle of `i2m2 export`; add --bundle_root DIR")


def modality_shape(envelope: Mapping[str, Mapping[str, Sequence[float]]], name: str) -> tuple[int, ...]:
    """Return a modality's shape without the batch, from the training data. Raises ModelError where the model folder lacks it."""
    seen = envelope.get(name, {})
    shape = tuple(int(seen[f"axis {axis}"][1]) for axis in range(len(seen)) if f"axis {axis}" in seen)
    if not shape:
        raise ModelError(
            f"the model folder does not say which shape '{name}' has; train the model again with this version"
        )
    return shape


def count(shape: Sequence[int]) -> int:
    """Return how many numbers a tensor of this shape holds."""
    return int(torch.tensor(shape).prod())


def packed_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Return (channel, height, width) where all modalities are images of one size, else (numbers,)."""
    spatial = {shape[1:] for shape in shapes.values()}
    if len(spatial) == 1 and all(len(shape) == 3 for shape in shapes.values()):
        return (sum(shape[0] for shape in shapes.values()), *spatial.pop())
    return (sum(count(shape) for shape in shapes.values()),)


def write_bundle(
    model: Path,
    folder: Path,
    card: str | None = None,
    graphs: Sequence[Format] = (),
    samples: Sequence[Sample] = (),
    of: str = "",
) -> list[Comparison]:
    """Write a model folder as a bundle, whole or not at all. card: the run's model card, where there is one.

    graphs: the whole model as graphs too, each held against torch on `samples`, which are `of` these. Returns how they compare;
    raises ModelError, and writes nothing, where one answers other than torch.
    """
    about = read_json(model / "model.json")
    with replace_folder(folder) as beside:
        shutil.copytree(model, beside / IN_BUNDLE)
        (beside / "configs").mkdir()
        (beside / "docs").mkdir()
        write_json(beside / "configs" / "metadata.json", metadata(model, about))
        write_json(beside / "configs" / "inference.json", inference())
        schema = resources.files("i2m2_med.scoring") / "metadata_schema.json"
        (beside / "docs" / "metadata_schema.json").write_text(schema.read_text(encoding="utf-8"), encoding="utf-8")
        compared = [export_graph(load_model(model, "cpu"), one, beside, samples, of) for one in dict.fromkeys(graphs)]
        if compared:
            write_json(beside / "configs" / "graphs.json", {one.format: asdict(one) for one in compared})
        card = (card or f"# {about['paradigm']}\n") + USE + graph_text(compared)
        (beside / "docs" / "README.md").write_text(card, encoding="utf-8")
        (beside / "LICENSE").write_text(license_text(), encoding="utf-8")
    return compared


def graph_text(compared: Sequence[Comparison]) -> str:
    """Return what the bundle's README says of its graphs."""
    if not compared:
        return ""
    inputs = ", ".join(f"`{name}` (batch, {', '.join(map(str, shape))})" for name, shape in compared[0].inputs.items())
    said = "\n".join(f"- {one.sentence()}" for one in compared)
    return GRAPHS.format(inputs=inputs) + said + "\n"


def inference() -> dict[str, Any]:
    """Return `configs/inference.json`."""
    here = "i2m2_med.scoring.bundle"
    return {
        "bundle_root": ".",
        "dataset_dir": "studies",
        "output_dir": "scores",
        "network_def": {"_target_": f"{here}.PackedModel", "bundle": "@bundle_root"},
        "network": "@network_def",
        "run": [
            {
                "_target_": f"{here}.score_studies",
                "bundle": "@bundle_root",
                "studies": "@dataset_dir",
                "out": "@output_dir",
            }
        ],
    }


def metadata(model: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return `configs/metadata.json`, by MONAI's schema."""
    predictor = load_model(model, "cpu")
    shapes = {name: modality_shape(predictor.envelope, name) for name in predictor.modalities}
    channels, *spatial = packed_shape(shapes)
    labels, classes = about["labels"], about["classes"]
    answers = [f"{label}: {name}" for label in labels for name in classes]
    return {
        "schema": SCHEMA,
        "version": i2m2_med.__version__,
        "changelog": {i2m2_med.__version__: "exported by i2m2 export"},
        "monai_version": installed.version("monai"),
        "pytorch_version": installed.version("torch").partition("+")[0],
        "numpy_version": installed.version("numpy"),
        "required_packages_version": {name: installed.version(name) for name in NEEDED},
        "name": f"I2M2 {predictor.run.task}",
        "task": predictor.run.task,
        "description": f"Product of the experts {', '.join(predictor.model.names)} (I2M2, paradigm {about['paradigm']})."
        + (" Trained on simulated data: no figure of it is clinical." if predictor.run.synthetic else ""),
        "authors": "the i2m2-med authors",
        "copyright": "see LICENSE; the training data have terms of their own",
        "intended_use": "research; not a medical device",
        "references": [
            "Madaan et al., Jointly Modeling Inter- & Intra-Modality Dependencies, NeurIPS 2024, 2405.17613"
        ],
        "pred_classes": "; ".join(answers),
        "network_data_format": {
            "inputs": {"image": tensor("modalities as channels", channels, spatial, list(shapes))},
            "outputs": {"pred": tensor("probabilities", len(answers), [], answers)},
        },
    }


def tensor(kind: str, channels: int, spatial: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Return one tensor of the schema."""
    return {
        "type": "image" if spatial else "probabilities",
        "format": kind,
        "num_channels": channels,
        "spatial_shape": list(spatial),
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(names)},
    }


def license_text() -> str:
    """Return the project's licence, from the installed package or the repository."""
    packed = [path for path in installed.files("i2m2-med") or [] if path.name == "LICENSE"]
    beside = Path(i2m2_med.__file__).parents[1] / "LICENSE"
    return packed[0].read_text(encoding="utf-8") if packed else beside.read_text(encoding="utf-8")


USE = """
## Use

    python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir STUDIES --output_dir OUT

from this folder, with `i2m2-med` installed: every folder in STUDIES is a study; OUT gets `scores.parquet`, `scores.csv` and
a `studies/<study>.json` each, the same numbers as `i2m2 score STUDIES OUT --model .` gives. `verify_net_in_out network_def` of
MONAI passes; its network takes all modalities packed into one tensor. So does, offline,

    python -m monai.bundle verify_metadata --meta_file configs/metadata.json --filepath docs/metadata_schema.json

since the schema lies there already: MONAI fetches its own only where `--filepath` names no file.

Weights are in `models/i2m2` (safetensors). There is no `models/model.pt`, which would be a pickle. A tool that asks for one, such
as `ckpt_export network_def --use_trace True`, gets it by

    python -c "import torch; from i2m2_med.scoring.bundle import PackedModel as M; torch.save(M().state_dict(), 'models/model.pt')"
"""

GRAPHS = """
## Graphs of the whole model

Inputs, in this order: {inputs}, as the model's transforms make them, and `present` (modality, batch), true where a sample has the
modality; what stands where it is absent does not count. Outputs: `log_probs` (batch, label, class) and `experts` (expert, batch,
label, class), natural logarithms, not calibrated: `models/i2m2/calibration.json` has the temperatures. Float32.

"""
