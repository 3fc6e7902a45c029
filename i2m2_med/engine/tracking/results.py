"""What a run says of its results: about a dozen metrics for MLflow's pages, and every metric with its interval in a Parquet table.

MLflow groups metrics by what stands before the slash: `train/`, `valid/` (by epoch) and `test/` of a run; of a comparison the value
of each paradigm (`auroc/intra`) and the reference minus each other one (`auroc_difference/intra`). Runs of older releases have
all of their metrics as such (`test_auroc_macro`), and no table; they are read too.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.engine.tracking.events import metric_key
from i2m2_med.engine.tracking.store import Missing
from i2m2_med.predictions import Rows

if TYPE_CHECKING:
    from i2m2_med.engine.tracking.read import FoundRun

Values = dict[str, float]
"""Metrics by their keys."""
TABLE = "metrics.parquet"
"""The artifact that holds every row of metrics."""
BESIDE = ("nll", "ece", "accuracy", "average_precision")
"""What a run's page shows beside the metric that it is first judged by."""
ENDS = {"value": "", "low": "_low", "high": "_high"}
DIFFERENCE = "_difference"
"""The end of a metric's name in rows of the reference minus another paradigm."""


def metric_values(rows: Sequence[dict[str, Any]]) -> Values:
    """Return `test_auroc_macro` and its `_low`, `_high`, from rows of metrics; what is undefined is left out.

    The mean over one label is that label's, so that every task has the same names.
    """
    labels = {row["label"] for row in rows}
    values: Values = {}
    for row in rows:
        for label in (row["label"], *(("macro",) if len(labels) == 1 else ())):
            values |= ends(f"test_{row['metric']}_{label}", row)
    return values


def ends(name: str, row: dict[str, Any]) -> Values:
    """Return a row's value, and the ends of its interval, as far as they are defined."""
    found = {metric_key(name + end): row.get(column) for column, end in ENDS.items()}
    return {key: float(value) for key, value in found.items() if value is not None and value == value}


def comparison_values(rows: Sequence[dict[str, Any]]) -> Values:
    """Return `i2m2_test_auroc_macro` and so on: each paradigm's last row of a metric, which is its mean over seeds."""
    last = {(row["paradigm"], row["metric"], row["label"]): row for row in rows}
    values: Values = {}
    for paradigm in dict.fromkeys(row["paradigm"] for row in rows):
        own = [row for row in last.values() if row["paradigm"] == paradigm]
        values |= {metric_key(f"{paradigm}_{name}"): value for name, value in metric_values(own).items()}
    return values


def headline(rows: Sequence[dict[str, Any]], metric: str) -> Values:
    """Return what a run's page shows: `test/auroc` with its interval, and what stands beside it; means over labels."""
    every = metric_values(rows)
    shown = {f"test/{metric}{end}": f"test_{metric}_macro{end}" for end in ENDS.values()}
    shown |= {f"test/{name}": f"test_{name}_macro" for name in BESIDE}
    return {key: every[name] for key, name in shown.items() if name in every}


def comparison_headline(rows: Sequence[dict[str, Any]], metric: str) -> Values:
    """Return what a comparison's page shows: `metric` of each paradigm, and its difference to the reference with the interval."""
    labels = {row["label"] for row in rows}
    last = {(row["paradigm"], row["metric"]): row for row in rows if row["label"] == "macro" or len(labels) == 1}
    values: Values = {}
    for (paradigm, name), row in last.items():
        if name == metric:
            values |= ends(f"{metric}/{paradigm}", row | {"low": None, "high": None})
        if name == metric + DIFFERENCE:
            values |= ends(f"{metric}{DIFFERENCE}/{paradigm}", row)
    return values


def write_rows(rows: Rows, path: Path) -> Path:
    """Write rows of metrics as the table that a run keeps."""
    import pandas as pd

    from i2m2_med.files import replace_file

    with replace_file(path) as beside:
        pd.DataFrame(rows).to_parquet(beside, index=False)
    return path


def results_of(run: "FoundRun", named: Callable[[Rows], Values] = metric_values) -> Values:
    """Return every result of a run, under the names that `named` gives; of a run of an older release its metrics but the epochs'.

    Raises Missing if the table is damaged.
    """
    import pandas as pd

    from i2m2_med.engine.tracking.read import download

    try:
        path = download(run, TABLE)
    except Missing:
        return {name: value for name, value in run.metrics.items() if "test_" in name}
    try:
        return named(pd.read_parquet(path).to_dict("records"))  # pyright: ignore[reportArgumentType]  (names are texts)
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are the first or the second
        raise Missing(f"run {run.run_id}: {TABLE} is damaged; train again") from error


def is_older(run: "FoundRun") -> bool:
    """Whether an older release recorded the run: all of its metrics as such."""
    return not any("/" in name for name in run.metrics)


def epochs_of(run: "FoundRun") -> Values:
    """Return the last epoch's metrics of a run, under the names of this release."""
    named = {name: epoch_key(name) for name in run.metrics}
    return {key: run.metrics[name] for name, key in named.items() if key.startswith(("train/", "valid/"))}


def epoch_key(name: str) -> str:
    """Return the key in MLflow of an epoch's metric.

    >>> epoch_key("train_loss"), epoch_key("valid_average_precision")
    ('train/loss', 'valid/average_precision')
    """
    split, _, metric = name.partition("_")
    return f"{split}/{metric}" if split in ("train", "valid") else name


def shown_value(run: "FoundRun", metric: str) -> tuple[float | None, float | None, float | None]:
    """Return the mean of `metric` over labels, and the ends of its interval, as far as the run's metrics hold them."""
    value, low, high = (
        run.metrics.get(f"test/{metric}{end}", run.metrics.get(f"test_{metric}_macro{end}")) for end in ENDS.values()
    )
    return value, low, high
