"""MIMIC-III beside zcat, chunked pandas and the published training loop, each in the same run; and the memory of ours.

The real demo is replicated with shifted ids: $I2M2_BENCH_REPLICAS times (8; 50 is 41.7 million rows of CHARTEVENTS and LABEVENTS).
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from i2m2_med.combiners import ProductOfExperts
from i2m2_med.engine.prediction.loading import loader
from i2m2_med.engine.training.loss import MaskedNLL, Objective
from i2m2_med.experts import SeriesGRU, StaticMLP, StaticSeriesJoint
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.mimic3 import Settings
from i2m2_med.sources.mimic3.cohort import gather, keep_long_enough, select, with_times
from i2m2_med.sources.mimic3.grid import series
from i2m2_med.sources.mimic3.ingest import Ingested, ingest_table
from i2m2_med.sources.mimic3.items import all_item_ids
from i2m2_med.sources.mimic3.labels import label
from i2m2_med.sources.mimic3.measure import measured
from i2m2_med.sources.mimic3.static import static
from i2m2_med.sources.source import Flow, Labels, Progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
REPLICAS = int(os.environ.get("I2M2_BENCH_REPLICAS", "8"))
SMALL = ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "SERVICES", "DIAGNOSES_ICD")
EVENTS = ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")
TASKS: tuple[dict[str, Any], ...] = (
    {"task": "mortality"},
    {"task": "icd9", "icd9_group": 1},
    {"task": "icd9", "icd9_group": 7},
    {"task": "ihm48"},
)
ROWS, BATCH = 4_000, 40


def replicate(demo: Path, out: Path, times: int, names: tuple[str, ...]) -> Path:
    """The demo's tables again and again, ids shifted by millions, as single gzip streams."""
    for name in names:
        rows = pl.read_csv(demo / f"{name}.csv.gz", infer_schema=False)
        ids = [column for column in ("SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "ROW_ID") if column in rows.columns]
        with (out / f"{name}.csv.gz").open("wb") as file:
            packed = subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=file)
            assert packed.stdin is not None
            for k in range(times):
                by = {column: k * (10**9 if column == "ROW_ID" else 10**6) for column in ids}
                shifted = rows.with_columns((pl.col(c).cast(pl.Int64) + n).cast(pl.String) for c, n in by.items())
                shifted.write_csv(packed.stdin, include_header=k == 0)
            packed.stdin.close()
            assert packed.wait() == 0
    return out


@pytest.fixture(scope="module")
def replicas(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replicate(shared_data / "mimic3demo", tmp_path_factory.mktemp("replicas"), REPLICAS, (*SMALL, *EVENTS))


@pytest.fixture(scope="module")
def tables(replicas: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ingested]:
    cache = tmp_path_factory.mktemp("tables")
    return {name: ingest_table(replicas / f"{name}.csv.gz", name, cache, Progress()) for name in (*SMALL, *EVENTS)}


def cpu(work: Callable[[], object], who: int = resource.RUSAGE_SELF) -> float:
    """CPU seconds, of this process or of the ones it starts."""
    before = resource.getrusage(who)
    work()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def chunked_pandas(path: Path, name: str, out: Path) -> None:
    """The same filter and types by pandas, a million rows at a time."""
    items = set(all_item_ids(name))
    kinds = {"VALUE": str, "VALUEUOM": str, "ERROR": str, "FLAG": str, "RESULTSTATUS": str, "STOPPED": str}
    for number, chunk in enumerate(pd.read_csv(path, chunksize=1_000_000, dtype=kinds)):  # type: ignore[call-overload]
        kept = chunk[chunk["ITEMID"].isin(items)]
        kept.assign(CHARTTIME=pd.to_datetime(kept["CHARTTIME"])).to_parquet(out / f"{name}-{number}.parquet")


@pytest.mark.benchmark(group="mimic3 ingest")
def test_ingest_beside_zcat_and_pandas(benchmark: Any, replicas: Path, tmp_path: Path) -> None:
    files = {name: replicas / f"{name}.csv.gz" for name in ("CHARTEVENTS", "LABEVENTS")}
    spent: dict[str, float] = {}

    def ours() -> int:
        made: list[Ingested] = []
        spent["ours"] = cpu(
            lambda: made.extend(ingest_table(path, name, tmp_path, Progress()) for name, path in files.items())
        )
        return sum(table.counts["rows_read"] for table in made)

    rows = benchmark.pedantic(ours, rounds=1)
    spent["zcat"] = cpu(
        lambda: [subprocess.run(["zcat", path], stdout=subprocess.DEVNULL, check=True) for path in files.values()],
        resource.RUSAGE_CHILDREN,
    )
    spent["pandas"] = cpu(lambda: [chunked_pandas(path, name, tmp_path) for name, path in files.items()])
    ratios = {"zcat_ratio": spent["ours"] / spent["zcat"], "pandas_ratio": spent["pandas"] / spent["ours"]}
    benchmark.extra_info.update(rows=rows, rows_per_cpu_second=rows / spent["ours"], **ratios)
    print(
        f"\ningest {rows / 1e6:.1f} M rows, CPU seconds: ours {spent['ours']:.1f}, zcat {spent['zcat']:.1f} (ours is {ratios['zcat_ratio']:.2f} ×), "
        f"pandas {spent['pandas']:.1f} ({ratios['pandas_ratio']:.1f} × ours); {rows / spent['ours'] / 1e6:.2f} M rows per CPU second"
    )


def all_tensors(tables: dict[str, Ingested], root: Path) -> dict[str, np.ndarray]:
    """Series, static data and labels of every task; tasks of the same cohort share their inputs."""
    made: dict[str, np.ndarray] = {}
    for channels in ("saps12", "benchmark17"):
        tasks = [Settings(root=root, **task) for task in TASKS]
        tasks = [settings for settings in tasks if settings.channels == channels]
        cohort = select(tasks[0], *gather(tables, Flow()), Flow())
        values = measured(tables, cohort, tasks[0], Flow())
        span = values.group_by("row").agg(first=pl.col("seconds").min(), last=pl.col("seconds").max())
        timed = with_times(cohort.samples, tasks[0], span)
        made[f"{channels} series"] = series(values, timed.select("row", "start", "last"), tasks[0])
        samples = keep_long_enough(timed, tasks[0], Flow())
        made[f"{channels} static"] = static(tables, samples, tasks[0])
        for settings in tasks:
            made[f"{settings.task} {settings.icd9_group}"] = label(tables, samples, settings).to_numpy()
    return made


@pytest.mark.benchmark(group="mimic3 tensors")
def test_tensors_of_all_tasks(benchmark: Any, tables: dict[str, Ingested], replicas: Path) -> None:
    all_tensors(tables, replicas)
    rows = sum(tables[name].counts["rows_read"] for name in ("CHARTEVENTS", "LABEVENTS"))
    seconds = cpu(lambda: benchmark.pedantic(all_tensors, (tables, replicas), rounds=1))
    benchmark.extra_info.update(rows=rows, rows_per_cpu_second=rows / seconds)
    print(
        f"\nParquet → tensors of {len(TASKS)} tasks: {seconds:.1f} CPU seconds, {rows / seconds / 1e6:.1f} M source rows per CPU second"
    )


PEAK = """
import sys
from pathlib import Path
from i2m2_med.sources.mimic3.ingest import ingest_table
from i2m2_med.sources.source import Progress
ingest_table(Path(sys.argv[1]), "CHARTEVENTS", Path(sys.argv[2]), Progress())
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""  # not ru_maxrss, which begins with the parent's


def peak_megabytes(path: Path, cache: Path) -> int:
    said = subprocess.run([sys.executable, "-c", PEAK, path, cache], capture_output=True, check=True, text=True)
    return int(said.stdout) // 1024


@pytest.mark.benchmark(group="mimic3 memory")
def test_peak_memory_does_not_grow(benchmark: Any, shared_data: Path, replicas: Path, tmp_path: Path) -> None:
    few = replicate(shared_data / "mimic3demo", tmp_path, max(1, REPLICAS // 2), ("CHARTEVENTS",))
    half = peak_megabytes(few / "CHARTEVENTS.csv.gz", tmp_path / "half")
    whole = benchmark.pedantic(peak_megabytes, (replicas / "CHARTEVENTS.csv.gz", tmp_path / "whole"), rounds=1)
    benchmark.extra_info.update(half_megabytes=half, whole_megabytes=whole, ratio=whole / half)
    print(
        f"\npeak memory of ingest: {half} MB for {REPLICAS // 2} replicas, {whole} MB for {REPLICAS} ({whole / half:.2f} ×)"
    )


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {"static": StaticMLP(), "series": SeriesGRU(), "joint": StaticSeriesJoint()}


READS = {"static": ("static",), "series": ("series",), "joint": ("static", "series")}


def published_epoch(arrays: dict[str, np.ndarray], labels: np.ndarray) -> float:
    """A list of samples in float64, collated one by one in a worker process; log-softmax and logsumexp. CPU seconds of both."""
    rows = [
        (arrays["static"][row].astype(float), arrays["series"][row].astype(float), int(labels[row]))
        for row in range(ROWS)
    ]
    experts = networks()
    learnt = [parameter for network in experts.values() for parameter in network.parameters()]
    optimizer = torch.optim.RMSprop(learnt, lr=1e-3)

    def epoch() -> None:
        for still, moving, target in DataLoader(rows, batch_size=BATCH, shuffle=True, num_workers=1):  # type: ignore[arg-type]
            given: dict[str, Tensor] = {"static": still.float(), "series": moving.float()}
            said = [net(*(given[modality] for modality in READS[name]))[:, 0] for name, net in experts.items()]
            total = torch.stack([logits.log_softmax(-1) for logits in said]).sum(dim=0)
            optimizer.zero_grad()
            cross_entropy(total - total.logsumexp(-1, keepdim=True), target).backward()
            nn.utils.clip_grad_norm_(learnt, 8)
            optimizer.step()

    of_worker: list[float] = []
    own = cpu(lambda: of_worker.append(cpu(epoch, resource.RUSAGE_CHILDREN)))
    return own + of_worker[0]


def our_epoch(samples: Samples) -> float:
    """The project's loader, model and loss. CPU seconds."""
    model = I2M2(networks(), READS, ProductOfExperts(), (1, 6))
    learnt = list(model.parameters())
    optimizer, loss = torch.optim.RMSprop(learnt, lr=1e-3, foreach=True), Objective(MaskedNLL())
    start = time.process_time()
    for batch in loader(samples, BATCH, seed=0):
        optimizer.zero_grad()
        loss(model(batch.inputs, batch.present), batch.target).backward()
        nn.utils.clip_grad_norm_(learnt, 8)
        optimizer.step()
    return time.process_time() - start


def epochs() -> dict[str, float]:
    """Seconds of one epoch over 35,000 rows, scaled from fewer: of CPU on one thread, and on the clock in a default process."""
    rng = np.random.default_rng(0)
    shapes = {"static": (ROWS, 5), "series": (ROWS, 24, 12)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    labels = rng.integers(0, 6, ROWS)
    classes = ("beyond", "1 day", "2 days", "3 days", "1 week", "1 year")
    records = pl.DataFrame({"label_mortality": labels})
    samples = Samples(records, Labels(("mortality",), classes), ("static", "series"), arrays)
    ways = {"ours": lambda: our_epoch(samples), "published": lambda: published_epoch(arrays, labels)}
    torch.set_num_threads(1)
    our_epoch(samples)
    seconds = {name: way() for name, way in ways.items()}
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    for name, way in ways.items():
        start = time.perf_counter()
        way()
        seconds[f"{name}_wall_default_threads"] = time.perf_counter() - start
    return {name: 35_000 / ROWS * spent for name, spent in seconds.items()}


@pytest.mark.benchmark(group="mimic3 epoch")
def test_epoch_beside_the_published_loop(benchmark: Any) -> None:
    """In a process of its own: here every call's types are checked."""

    def apart() -> dict[str, float]:
        said = subprocess.run([sys.executable, __file__], capture_output=True, check=True, text=True)
        return json.loads(said.stdout)

    seconds = benchmark.pedantic(apart, rounds=1)
    ratio = seconds["published"] / seconds["ours"]
    benchmark.extra_info.update(seconds, ratio=ratio)
    print(
        f"\none epoch of I2M2 over 35,000 rows at batch 40 (scaled from {ROWS:,}), CPU seconds: "
        f"ours {seconds['ours']:.1f}, published loop {seconds['published']:.1f} ({ratio:.1f} ×); seconds in a default process: "
        f"ours {seconds['ours_wall_default_threads']:.1f}, published loop {seconds['published_wall_default_threads']:.1f}"
    )


if __name__ == "__main__":
    print(json.dumps(epochs()))
