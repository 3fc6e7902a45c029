"""Shifts of pictures with a text: noise on the pictures, words that are lost. What is drawn depends on sample and shift only."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.shifts import Shift, Suite


def noisy(picture: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
    """Gaussian noise on whatever stands for the picture; padding of sets of objects (zeros) stays zero."""
    noise = torch.randn(picture.shape, generator=draws) * deviation
    return torch.where(picture != 0, picture + noise, picture)


def without_words(tokens: Tensor, share: float, draws: torch.Generator) -> Tensor:
    """A share of the words is lost, but one that would be lost last stays; what a mild loss takes a severe one takes too."""
    when = torch.rand(tokens.shape, generator=draws).masked_fill(tokens == 0, -1)
    return tokens.masked_fill((when < share) & (when < when.max()), 0)


def changed(samples: Samples, severity: float, *, key: str, change: Callable[..., Tensor]) -> Samples:
    """Return the same samples with `key` changed, sample by sample, each with draws of its own."""

    def each(own: Batch) -> Batch:
        if key not in own.inputs:
            return own
        made = [
            change(one, severity, torch.Generator().manual_seed(int(row)))
            for one, row in zip(own.inputs[key], own.rows, strict=True)
        ]
        return replace(own, inputs={**own.inputs, key: torch.stack(made)})

    return samples.changed_by(each)


def suite(name: str, picture: str, text: str) -> Suite:
    """Return the suite of a data set whose modalities are called so."""
    noise = partial(changed, key=picture, change=noisy)
    words = partial(changed, key=text, change=without_words)
    return Suite(
        name,
        {
            "picture_noise": Shift((0.05, 0.1, 0.2, 0.4), "standard deviation", noise),
            "words_lost": Shift((0.1, 0.25, 0.5), "share of words", words),
        },
    )
