"""Heads of VQA-VS's size on frozen features: an epoch beside its bare matrix products; predictions and evaluation of many classes; memory.

Features are random numbers of the true sizes, in the store and the samples that a run has. Ratios are of one run on one thread.
"""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.training.devices import bfloat16, fused
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.experts import FeatureHead
from i2m2_med.experts.feature_store import FeatureStore
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels
from i2m2_med.sources.text.answers import SCORES
from tests.benchmarks.figures import Figures

CLASSES, BATCH, HIDDEN = 3129, 512, 1536
BATCHES = 4
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


def epoch(model: I2M2, given: Samples, training: Training) -> float:
    """CPU seconds of the project's loader, model, loss and optimiser."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, **fused(training, ()))
    loss = Objective(MaskedNLL())
    began = time.process_time()
    for batch in loader(given, BATCH, seed=0):
        optimizer.zero_grad()
        with bfloat16(training, "cpu"):
            said = model(batch.inputs, batch.present)
        loss(said, batch.target).backward()
        optimizer.step()
    return time.process_time() - began


def products(batches: int, kind: torch.dtype) -> float:
    """CPU seconds of the matrix products of such an epoch: two layers of each head, forward, and backward to weights and hidden states."""
    shapes = [((BATCH, size), (size, HIDDEN), (HIDDEN, CLASSES)) for size in SIZES.values()]
    each = [[torch.randn(shape, dtype=kind) for shape in shapes_of_head] for shapes_of_head in shapes]
    began = time.process_time()
    for _ in range(batches):
        for inputs, first, second in each:
            hidden = inputs @ first
            logits = hidden @ second
            hidden.T @ logits
            back = logits @ second.T
            inputs.T @ back
    return time.process_time() - began


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_an_epoch_of_heads(figures: Figures, tmp_path: Path, precision: Any, kind: torch.dtype) -> None:
    torch.set_num_threads(1)
    given, model, training = samples(tmp_path, BATCHES * BATCH), i2m2(), Training(precision=precision)
    epoch(model, given, training)
    products(1, kind)
    found = figures.beside(
        f"heads_{precision}",
        f"an epoch of {BATCHES * BATCH:,} questions, 3 heads × {CLASSES:,} answers, {precision}",
        lambda: epoch(model, given, training),
        "its bare matrix products",
        lambda: products(BATCHES, kind),
        at_most=1.3,
    )
    print(f"{found.ours / (BATCHES * BATCH) * TRAINING / 60:.1f} CPU minutes for {TRAINING:,} questions")


MAKE = """
import sys
from pathlib import Path
import numpy as np
from i2m2_med.predictions import KEPT, build_table, write_table

folder, rows, classes = Path(sys.argv[1]), *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
each = KEPT + 1
steps = rng.integers(1, classes // each, (rows, each))
cls = steps.cumsum(axis=1) - 1
p = rng.dirichlet(np.full(each, 0.2), rows) * 0.95
target = np.where(rng.random(rows) < 0.6, cls[np.arange(rows), p.argmax(axis=1)], cls[:, 0])
of_row = lambda values: np.repeat(values, each)
names = lambda kind, count: np.array([f"{kind}{at}" for at in range(count)], dtype=object)
content = {
    "patient": of_row(names("p", rows // 2 + 1)[np.arange(rows) // 2]), "study": of_row(names("q", rows)), "item": of_row(np.zeros(rows, np.int64)),
    "split": of_row(np.full(rows, "test", object)), "label": of_row(np.full(rows, "answer", object)), "class": cls.ravel(), "p": p.ravel(),
    "p_picture": p.ravel(), "p_question": p.ravel(), "p_joint": p.ravel(), "target": of_row(target), "uncalibrated": p.ravel(),
    "log_rest": of_row(np.full(rows, np.log(0.05))), "classes": of_row(np.full(rows, classes)),
    "score": (cls == target[:, None]).ravel() * 1.0, "pattern": of_row(np.full(rows, "picture+question", object)),
    **{f"group_{at}": of_row(np.where(rng.random(rows) < 0.15, "tail", None)) for at in range(9)},
}
write_table(build_table(content, ["picture", "question", "joint"]), folder / "predictions.parquet")
"""
JUDGE = """
import resource, sys, time
from collections.abc import Mapping
from pathlib import Path
from i2m2_med.predictions import read_table
from i2m2_med.report.pages.named_sets import AUDIT, named_sets_table
from i2m2_med.report.statistics.compare import compare_tables
from i2m2_med.report.statistics.paired_predictions import pair_predictions

class Stored(Mapping):
    def __init__(self, path, names):
        self.path, self.names = path, names
    def __getitem__(self, name):
        return read_table(self.path)
    def __iter__(self):
        return iter(self.names)
    def __len__(self):
        return len(self.names)

folder, paradigms, draws = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
manifest = {"audits": {AUDIT: {str(at): 1 for at in range(9)}}}
tables = Stored(folder / "predictions.parquet", [(f"paradigm {at}", 0) for at in range(paradigms)])
began, used = time.perf_counter(), time.process_time()
compare_tables(tables, reference="paradigm 0", replicates=draws)
found = named_sets_table(pair_predictions(tables), manifest, "test", draws)
assert found["set"].nunique() == 11
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(time.process_time() - used, time.perf_counter() - began, peak)
"""
PARADIGMS, DRAWS = 1, 1000
"""What `I2M2_WHOLE=1` makes five, of 2,000 draws, as a whole comparison has."""


def test_evaluation_of_many_classes(figures: Figures, tmp_path: Path) -> None:
    """Paradigms' predictions of the IID test, and their evaluation on it and on nine sets, in a process of its own."""
    paradigms, draws = (5, 2000) if os.environ.get("I2M2_WHOLE") else (PARADIGMS, DRAWS)

    def run(script: str, *arguments: object) -> str:
        (tmp_path / "script.py").write_text(script, encoding="utf-8")
        call = [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), str(tmp_path), *map(str, arguments)]
        return subprocess.run(call, check=True, capture_output=True, text=True).stdout

    run(MAKE, TESTED, CLASSES)
    size = (tmp_path / "predictions.parquet").stat().st_size / 1e6
    _, wall, peak = map(float, run(JUDGE, paradigms, draws).split())
    what = f"{TESTED:,} questions × {CLASSES:,} answers"
    judged = f"{what}, IID and nine sets, {paradigms} paradigms, {draws:,} draws"
    figures.add("many_classes_stored", f"{what}: predictions of a paradigm", [size], "200 MB", [200.0], "MB", 1)
    figures.add("many_classes_time", f"{judged}: each", [wall / paradigms], "two minutes", [120.0], "s", 1)
    figures.add("many_classes_memory", f"{judged}: peak", [peak], "4 GB", [4e9 / 2**30], "GiB", 1)
