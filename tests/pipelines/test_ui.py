"""`i2m2 ui`: the page is opened with a real browser, as a reviewer would. Pictures of it are kept for people to look at."""

import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from i2m2_med.pipelines.ui import main

from i2m2_med.errors import StoreError
from tests.services import running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_taken_port_is_one_line(work: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StoreError, match=f"port {port} of 127.0.0.1 is taken; name another with --port"):
            main(port=port)
    assert work.exists()


def test_a_server_has_its_own_page() -> None:
    with pytest.raises(StoreError, match="has its page there"):
        main(uri="http://127.0.0.1:9")


@pytest.fixture
def address(compared: Any, tmp_path: Path) -> Iterator[str]:
    """`i2m2 ui` as a process."""
    port = free_port()
    environment = os.environ | {"I2M2_WORK": str(compared.workspace)}
    command = [str(Path(sys.executable).with_name("i2m2")), "ui", "--port", str(port)]
    log = tmp_path / "log"
    with running(command, log, environment):
        for _ in range(240):
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok:
                    break
            except requests.RequestException:
                time.sleep(0.5)
        else:
            raise AssertionError(log.read_text(encoding="utf-8")[-2000:])
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: $I2M2_PICTURES, or the test's own folder."""
    folder = Path(os.environ.get("I2M2_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a headless Chromium."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (it is in requirements.lock)"
    )
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_reviewer_finds_the_comparison_its_runs_and_its_report(
    page: Any, compared: Any, address: str, pictures: Path
) -> None:
    page.goto(address)
    page.goto(f"{address}/#/experiments")
    page.get_by_text("knee_demo", exact=True).first.wait_for()
    page.screenshot(path=pictures / "1-experiments.png")

    experiment = requests.get(
        f"{address}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "knee_demo"}, timeout=30
    ).json()["experiment"]["experiment_id"]
    page.goto(f"{address}/#/experiments/{experiment}/runs")
    page.get_by_text("knee_demo comparison seed 0").first.wait_for()
    page.locator(".ag-cell", has_text="knee_demo comparison seed 0").get_by_role("button").first.click()  # unfold it
    for paradigm in ("left", "right"):
        page.get_by_text(f"knee_demo {paradigm} seed 0").first.wait_for()
    page.screenshot(path=pictures / "2-runs.png")

    page.get_by_text("knee_demo comparison seed 0").first.click()
    page.wait_for_url(re.compile(compared.parent))
    page.get_by_text("comparison on fastMRI knee").first.wait_for()
    for paradigm in ("left", "right"):
        page.get_by_role("link", name=f"knee_demo {paradigm} seed 0").first.wait_for()
    page.screenshot(path=pictures / "3-comparison.png")

    page.goto(f"{address}/#/experiments/{experiment}/runs/{compared.parent}/artifacts")
    page.get_by_text("report", exact=True).first.click()
    page.get_by_text("report.html").first.click()
    frame = page.frame_locator("iframe").first
    frame.get_by_text("synthetic", exact=False).first.wait_for()
    page.screenshot(path=pictures / "4-report.png")

    page.goto(f"{address}/#/experiments/{experiment}/runs/{compared.runs['left']}")
    page.get_by_text("left on fastMRI knee").first.wait_for()
    page.screenshot(path=pictures / "5-run.png")
    assert len(list(pictures.glob("*.png"))) == 5
