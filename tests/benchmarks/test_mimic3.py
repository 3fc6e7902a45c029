"""MIMIC-III beside zcat, chunked pandas and the published training loop, each in the same run; and the memory of ours.

The real demo is replicated with shifted ids, up to 50 times: 37.9 million rows of CHARTEVENTS.
"""

import itertools
import subprocess
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
from tests.benchmarks.costs import PEAK, apart, cpu_seconds
from tests.benchmarks.figures import Figures

pytestmark = pytest.mark.timeout(900)
REPLICAS, GROWTH = 4, (1, 10, 50)
"""Of all tables; and of CHARTEVENTS, to see how cost grows."""
SMALL = ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "SERVICES", "DIAGNOSES_ICD")
EVENTS = ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS")
TASKS: tuple[dict[str, Any], ...] = (
    {"task": "mortality"},
    {"task": "icd9", "icd9_group": 1},
    {"task": "icd9", "icd9_group": 7},
    {"task": "ihm48"},
)
ROWS, BATCH = 2_000, 40


def replicate(demo: Path, out: Path, times: int, names: tuple[str, ...]) -> Path:
    """The demo's tables again and again, ids shifted by millions, as single gzip streams."""
    for name in names:
        rows = pl.read_csv(demo / f"{name}.csv.gz", infer_schema=False)
        ids = [column for column in ("SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "ROW_ID") if column in rows.columns]
        rows = rows.cast(dict.fromkeys(ids, pl.Int64))
        with (out / f"{name}.csv.gz").open("wb") as file:
            packed = subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=file)
            assert packed.stdin is not None
            for k in range(times):
                by = {column: k * (10**9 if column == "ROW_ID" else 10**6) for column in ids}
                shifted = rows.with_columns(pl.col(column) + shift for column, shift in by.items())
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


def chunked_pandas(path: Path, name: str, out: Path) -> None:
    """The same filter and types by pandas, a million rows at a time."""
    items = set(all_item_ids(name))
    kinds = {"VALUE": str, "VALUEUOM": str, "ERROR": str, "FLAG": str, "RESULTSTATUS": str, "STOPPED": str}
    for number, chunk in enumerate(pd.read_csv(path, chunksize=1_000_000, dtype=kinds)):  # type: ignore[call-overload]
        kept = chunk[chunk["ITEMID"].isin(items)]
        kept.assign(CHARTTIME=pd.to_datetime(kept["CHARTTIME"])).to_parquet(out / f"{name}-{number}.parquet")


def test_ingest_beside_zcat_and_pandas(figures: Figures, replicas: Path, tmp_path: Path) -> None:
    files = {name: replicas / f"{name}.csv.gz" for name in ("CHARTEVENTS", "LABEVENTS")}
    rows, caches = 0, (tmp_path / f"cache{number}" for number in itertools.count())

    def ours() -> float:
        nonlocal rows
        cache, made = next(caches), list[Ingested]()
        spent = cpu_seconds(
            lambda: made.extend(ingest_table(path, name, cache, Progress()) for name, path in files.items())
        )
        rows = sum(table.counts["rows_read"] for table in made)
        return spent

    def zcat() -> float:
        return cpu_seconds(
            lambda: [subprocess.run(["zcat", path], stdout=subprocess.DEVNULL, check=True) for path in files.values()]
        )

    def pandas() -> float:
        return cpu_seconds(lambda: [chunked_pandas(path, name, tmp_path) for name, path in files.items()])

    what = "reading, typing, filtering the rows of CHARTEVENTS and LABEVENTS (csv.gz)"
    found = figures.beside("zcat", what, ours, "zcat to nowhere", zcat)
    figures.add("pandas", what, [found.ours], "the same by pandas, a million rows at a time", [pandas()], "CPU s")
    per_row = "a million rows a CPU second and core, asked for (1.8 were measured once)"
    figures.add("rows", f"{what}: a million", [found.ours / rows * 1e6], per_row, [1.0], "CPU s", 1.0)


GROW = f"""
import json, sys
from pathlib import Path
from i2m2_med.sources.mimic3.ingest import ingest_table
from i2m2_med.sources.source import Progress
from tests.benchmarks.costs import cpu_seconds
spent = cpu_seconds(lambda: ingest_table(Path(sys.argv[1]), "CHARTEVENTS", Path(sys.argv[2]), Progress()))
print(json.dumps([spent, {PEAK}]))
"""


def test_rows_cost_time_and_no_memory(figures: Figures, shared_data: Path, tmp_path: Path) -> None:
    """Replicas of CHARTEVENTS, one to fifty."""
    costs, held, growth = [], [], GROWTH[:2] if figures.once else GROWTH
    for times in growth:
        (place := tmp_path / f"{times}").mkdir()
        path = replicate(shared_data / "mimic3demo", place, times, ("CHARTEVENTS",)) / "CHARTEVENTS.csv.gz"
        found = [apart(GROW, path, place / f"cache{again}") for again in range(2 if times == 1 else 1)]
        costs.append(min(spent for spent, _ in found))
        held.append(max(peak for _, peak in found))
        path.unlink()
    sizes = [758_355 * times for times in growth]
    figures.exponent("rows_time", "rows of CHARTEVENTS: CPU time of reading", sizes, [costs], at_most=1.1)
    what = f"rows of CHARTEVENTS: memory of reading {growth[-1]} times the demo's"
    figures.add("rows_memory", what, held[-1:], f"{growth[-2]} times", held[-2:-1], "GB", 1.15)
    figures.add("prepare_memory", what, held[-1:], "0.8 GB", [0.8], "GB", 1.0)


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


def test_tensors_of_all_tasks(figures: Figures, tables: dict[str, Ingested], replicas: Path) -> None:
    all_tensors(tables, replicas)
    events = [replicas / f"{name}.csv.gz" for name in ("CHARTEVENTS", "LABEVENTS")]
    figures.beside(
        "tensors",
        f"Parquet to tensors of {len(TASKS)} tasks",
        lambda: cpu_seconds(lambda: all_tensors(tables, replicas)),
        "zcat of the events",
        lambda: cpu_seconds(lambda: subprocess.run(["zcat", *events], stdout=subprocess.DEVNULL, check=True)),
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

    return cpu_seconds(epoch)


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


def epochs(repeats: int, clock: Callable[[Callable[[], float]], float]) -> dict[str, list[float]]:
    """Costs of one epoch over 35,000 rows, scaled from fewer. clock: turns a way, which returns its own CPU seconds, into a cost."""
    rng = np.random.default_rng(0)
    shapes = {"static": (ROWS, 5), "series": (ROWS, 24, 12)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    labels = rng.integers(0, 6, ROWS)
    classes = ("beyond", "1 day", "2 days", "3 days", "1 week", "1 year")
    records = pl.DataFrame({"label_mortality": labels})
    samples = Samples(records, Labels(("mortality",), classes), ("static", "series"), arrays)
    ways = {"published": lambda: published_epoch(arrays, labels), "ours": lambda: our_epoch(samples)}
    our_epoch(samples)
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            costs[name].append(35_000 / ROWS * clock(way))
    return costs


WHAT, THEIRS = "MIMIC-III I2M2: an epoch of 35,000 rows at batch 40", "the published loop"


@pytest.mark.quick
def test_epoch_beside_the_published_loop(figures: Figures) -> None:
    torch.set_num_threads(1)
    seconds = epochs(1 if figures.once else 3, lambda way: way())
    figures.add("epoch", WHAT, seconds["ours"], THEIRS, seconds["published"], "CPU s")


DEFAULT = """
import json, os
import torch
from tests.benchmarks.costs import wall_seconds
from tests.benchmarks.test_mimic3 import epochs
torch.set_num_threads(len(os.sched_getaffinity(0)))
print(json.dumps(epochs(2, wall_seconds)))
"""


def test_epoch_in_a_default_process(figures: Figures) -> None:
    """By the clock, with as many threads as there are cores."""
    seconds = apart(DEFAULT)
    what = f"{WHAT}, threads as a default process has them"
    figures.add("epoch_wall", what, seconds["ours"], THEIRS, seconds["published"], "s")
