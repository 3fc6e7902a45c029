"""Heads of VQA-VS's size on frozen features: an epoch beside its bare matrix products; predictions and evaluation of many classes; memory.

Features are random numbers of the true sizes, in the store and the samples that a run has. Ratios are of one run on one thread.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.experts import FeatureHead
from i2m2_med.experts.feature_store import FeatureStore
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels
from i2m2_med.sources.text.answers import SCORES

CLASSES, BATCH, HIDDEN = 3129, 512, 1536
SIZES = {"picture": 768, "question": 768, "pair": 1536}
READS = {name: (name,) for name in SIZES}
TRAINING, TESTED = 461_124, 164_264
"""Questions of VQA-VS's training and IID test."""
LABELS = Labels(("answer",), tuple(f"answer {at}" for at in range(CLASSES)))


def records(rows: int) -> pl.DataFrame:
    """Questions on pictures, three to each, with the soft scores of two answers."""
    rng = np.random.default_rng(0)
    answer = rng.integers(0, CLASSES - 1, rows)
    scores = [[{"class": one, "score": 1.0}, {"class": one + 1, "score": 0.3}] for one in answer.tolist()]
    tails = {f"group_{name}": ["tail" if yes else None for yes in rng.random(rows) < 0.15] for name in range(9)}
    names = {"patient": [f"p{row // 3}" for row in range(rows)], "study": [f"q{row}" for row in range(rows)]}
    content = {**names, "item": 0, "split": "test", "label_answer": answer, **tails}
    schema = dict.fromkeys(tails, pl.String)
    return pl.DataFrame(content, schema_overrides=schema).with_columns(soft_answer=pl.Series(scores, dtype=SCORES))


def samples(folder: Path, rows: int) -> Samples:
    """Samples whose transform finds vectors in stores on disk; they stay in the samples, as `modalities.cache: true` asks for."""
    numbers = torch.Generator().manual_seed(0)
    stores = {name: FeatureStore(folder / name) for name in SIZES}
    for name, size in SIZES.items():
        for row, vector in enumerate(torch.randn((rows, size), generator=numbers)):
            stores[name].put(key(f"q{row}"), vector)
        stores[name].flush()
    return Samples(
        records(rows), LABELS, [*SIZES],
        transform=lambda record: {name: store.get(key(record["study"])) for name, store in stores.items()},
        cache=True,
    )  # fmt: skip


def key(study: str) -> bytes:
    return hashlib.sha256(study.encode()).digest()


def i2m2() -> I2M2:
    torch.manual_seed(0)
    heads = {name: FeatureHead(size, classes=CLASSES) for name, size in SIZES.items()}
    return I2M2(heads, READS, ProductOfExperts(), (1, CLASSES))


def epoch(model: I2M2, given: Samples) -> float:
    """CPU seconds of the project's loader, model, loss and optimiser."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    loss = Objective(MaskedNLL())
    began = time.process_time()
    for batch in loader(given, BATCH, seed=0):
        optimizer.zero_grad()
        loss(model(batch.inputs, batch.present), batch.target).backward()
        optimizer.step()
    return time.process_time() - began


def products(batches: int) -> float:
    """CPU seconds of the matrix products of such an epoch: two layers of each head, forward, and backward to weights and hidden states."""
    each = [
        (torch.randn(BATCH, size), torch.randn(size, HIDDEN), torch.randn(HIDDEN, CLASSES)) for size in SIZES.values()
    ]
    began = time.process_time()
    for _ in range(batches):
        for inputs, first, second in each:
            hidden = inputs @ first
            logits = hidden @ second
            hidden.T @ logits
            back = logits @ second.T
            inputs.T @ back
    return time.process_time() - began


def test_an_epoch_of_heads(benchmark: Any, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = 16 * BATCH
    given, model = samples(tmp_path, rows), i2m2()
    first = epoch(model, given)
    ours = benchmark.pedantic(lambda: epoch(model, given), rounds=1)
    bare = products(16)
    print(
        f"\nI2M2, 3 heads × 3,129 classes, batch 512: first epoch {first:.1f} s, later {ours:.1f} s, bare products {bare:.1f} s, "
        f"ratio {ours / bare:.2f} (at most 1.3); {ours / rows * TRAINING / 60:.1f} CPU minutes for {TRAINING:,} questions"
    )
