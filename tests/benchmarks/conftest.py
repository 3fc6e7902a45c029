"""The fixture that benchmarks hand their figures to, and what pytest-benchmark's JSON holds beside them.

A benchmark is a test with the argument `figures`; those marked `quick` are the ones of `make bench-quick`.
"""

import os
from collections.abc import Generator
from importlib.metadata import version
from typing import Any

import pytest

from tests.benchmarks.figures import Figures

VERSIONS = ("i2m2-med", "torch", "monai", "numpy", "scipy", "polars", "pyarrow", "h5py", "mlflow")
MISSING = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: a benchmark of `make bench-quick`")
    config.stash[MISSING] = {}


@pytest.fixture
def figures(benchmark: Any, request: pytest.FixtureRequest) -> Generator[Figures]:
    """Measures by itself; pytest-benchmark keeps what was found. Without `--benchmark-enable` everything is called once."""
    found = Figures(request.path.stem.removeprefix("test_"), once=benchmark.disabled)
    yield found
    benchmark.extra_info["figures"] = found.record()
    benchmark.pedantic(lambda: None, rounds=1)  # only what it ran itself does it keep


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Remember what was not measured, and why: a table must not look whole when it is not."""
    report = (yield).get_result()
    if report.skipped or report.failed:
        said = report.longrepr[-1] if isinstance(report.longrepr, tuple) else f"failed: {report.when}"
        item.config.stash[MISSING][item.name] = said


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Figures side by side at the top; the rest of what pytest-benchmark says of a call is of no use here."""
    benchmarks = output_json.pop("benchmarks")
    cpu = output_json["machine_info"].pop("cpu", {})
    output_json["machine_info"]["cpu"] = {key: cpu.get(key) for key in ("brand_raw", "count", "arch")}
    output_json["load"] = os.getloadavg()[2]  # about 1 where nothing else runs
    output_json["versions"] = {name: version(name) for name in VERSIONS}
    output_json["figures"] = [figure for each in benchmarks for figure in each["extra_info"].get("figures", [])]
    output_json["missing"] = config.stash[MISSING]
