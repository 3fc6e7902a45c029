"""Stacking by its rule (Wolpert 1992): a combiner's parameters are fitted on samples that the experts did not learn from."""

import torch

from i2m2_med.engine.prediction.predict import run_model
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples

STIFFNESS = 1.0
"""Pull of the combiner's parameters towards where they start, in nats over all samples: decides where validation is small."""
STEPS = 200


def check_combiner(model: I2M2) -> None:
    """Raise ConfigError for a combiner that has no parameters to be fitted: before hours of training, not after them."""
    if not list(model.combiner.parameters()):
        raise ConfigError(
            "training.mode: stacked fits the combiner's parameters, and this one has none; take i2m2_med.combiners.StackedExperts"
        )


def fit_combiner(model: I2M2, samples: Samples, batch: int, device: str) -> None:
    """Fit the combiner's parameters in place by L-BFGS on the NLL of `samples` (validation); experts stay as they are."""
    learnt = list(model.combiner.parameters())
    opinions = run_model(model, samples, batch, device)
    combiner = model.combiner.to("cpu").train()
    start = [parameter.detach().clone() for parameter in learnt]
    objective = Objective(MaskedNLL())
    optimizer = torch.optim.LBFGS(learnt, max_iter=STEPS, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        combined = opinions._replace(log_probs=combiner(opinions.experts, opinions.present))
        pull = torch.stack([(now - then).square().sum() for now, then in zip(learnt, start, strict=True)]).sum()
        value = objective(combined, samples.target) + STIFFNESS / max(len(samples), 1) * pull
        value.backward()
        return value

    optimizer.step(cost)
    model.to(device)
