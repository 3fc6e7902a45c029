"""From a config to a model: one network per expert, one combiner, held together by `I2M2`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from i2m2_med.config.experts import Paradigm
from i2m2_med.config.run import RunConfig
from i2m2_med.config.targets import build
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.seed import seed_for
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.model import I2M2
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels


def build_model(
    run: RunConfig, experts: Sequence[str], labels: Labels, seed: int, combiner: dict[str, Any] | None = None
) -> I2M2:
    """A fresh model; an expert's first weights depend on the seed and its name only, so they are the same in every paradigm."""
    shape = (len(labels.names), len(labels.classes))
    networks = {name: build_network(run, name, shape, seed) for name in experts}
    reads = {name: run.experts[name].reads for name in experts}
    torch.manual_seed(seed_for(seed, "combiner"))
    offered = {"experts": len(experts), "labels": shape[0], "classes": shape[1]}
    combine = build(combiner or run.combiner, "combiner", "combiner", run.plugins, offered)
    lenient = [name for name in experts if run.experts[name].needs == "any"]
    return I2M2(networks, reads, combine, shape, lenient)


def build_network(run: RunConfig, name: str, shape: tuple[int, int], seed: int) -> nn.Module:
    """One expert's network."""
    torch.manual_seed(seed_for(seed, "weights", name))
    offered = {"labels": shape[0], "classes": shape[1]}
    return build(run.experts[name].network, "network", f"experts.{name}.network", run.plugins, offered)


def check_shapes(model: I2M2, samples: Samples) -> None:
    """Every expert must answer (batch, labels, classes) on training samples that hold what it reads.

    Raises ConfigError naming the one that does not, or that no sample has anything for.
    """
    model.eval()
    batches: dict[tuple[int, ...], Batch] = {}
    for name in model.names:
        rows = probe_rows(model, name, samples)
        if rows not in batches:
            batches[rows] = samples.__getitems__(rows)
        batch = batches[rows]
        inputs = [batch.inputs[modality] for modality in model.reads[name]]
        here = torch.stack([batch.present[modality] for modality in model.reads[name]])
        also = {"present": here} if name in model.lenient else {}
        try:
            with torch.no_grad():
                answer = model.experts[name](*inputs, **also)
        except (RuntimeError, TypeError, ValueError) as error:
            given = ", ".join(f"{m} {tuple(i.shape)}" for m, i in zip(model.reads[name], inputs, strict=True))
            raise ConfigError(f"expert '{name}' can't read {given}: {str(error).splitlines()[0]}") from error
        wanted = (len(batch.rows), *model.shape)
        if tuple(answer.shape) not in {wanted, (wanted[0], wanted[1] * wanted[2])}:
            raise ConfigError(
                f"expert '{name}' answers {tuple(answer.shape)}, but {wanted} = (batch, labels, classes) is asked for"
            )


def probe_rows(model: I2M2, name: str, samples: Samples) -> tuple[int, ...]:
    """Two training rows that hold all that an expert reads, those that hold all of every expert first; one where there is one."""
    holds = holding(model, name, samples)
    if name in model.lenient and not holds.any():
        holds = holding(model, name, samples, lenient=True)
    whole = torch.stack([holds, *samples.presence.values()]).all(dim=0)
    best = whole if whole.sum() > 1 else holds
    rows = best.nonzero()[:2, 0].tolist()
    if not rows:
        raise ConfigError(
            f"no training sample has {' and '.join(model.reads[name])}, which expert '{name}' reads; leave it out"
        )
    return tuple(rows)


def holding(model: I2M2, name: str, samples: Samples, *, lenient: bool = False) -> Tensor:
    """Return which samples hold all that an expert reads (lenient: any of it), (sample,) bool, as far as their records say."""
    known = [samples.presence.get(one, torch.ones(len(samples), dtype=torch.bool)) for one in model.reads[name]]
    return torch.stack(known).any(dim=0) if lenient else torch.stack(known).all(dim=0)


def load_experts(model: I2M2, folder: Path) -> None:
    """Warm start: each expert's weights from `<folder>/<expert>.safetensors`."""
    for name in model.names:
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            raise ModelError(f"training.warm_start: {path} is not there; it should hold the weights of expert '{name}'")
        try:
            model.experts[name].load_state_dict(load_file(path))
        except (RuntimeError, OSError) as error:
            raise ModelError(
                f"training.warm_start: {path} does not fit expert '{name}': {str(error).splitlines()[0]}"
            ) from error


def give_shares(model: I2M2, shares: Tensor) -> None:
    """Tell a combiner that divides by the class prior what the prior is; shares: (label, classes)."""
    set_prior: Any = getattr(model.combiner, "set_prior", None)
    if set_prior is not None:
        set_prior(shares)


def training_of(run: RunConfig, paradigm: Paradigm) -> Training:
    """The training settings of a paradigm."""
    return Training.model_validate({**run.training.model_dump(), **paradigm.training})
