"""Screenshots for README and documentation, from a demo's folder and workspace: `python docs/pictures/make.py i2m2_demo`.

Needs Chromium (Debian: apt-get install chromium). The pictures show synthetic data and say so.
"""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
COLOURS = 128
"""Of a picture's palette: screenshots of text stay below 150 kB."""


def main(demo: Path) -> None:
    """report.png: the head of the knee report; mlflow.png: the runs in MLflow's page."""
    port = free_port()
    page_of_mlflow = subprocess.Popen([str(Path(sys.executable).with_name("i2m2")), "ui", "--port", str(port)])
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1100, "height": 1150}, color_scheme="light")
            page.goto((demo / "knee" / "report.html").absolute().as_uri())
            page.wait_for_function("document.body.dataset.drawn !== undefined")
            keep(page, "report.png")
            wait_for(f"http://127.0.0.1:{port}/health")
            page.set_viewport_size({"width": 1280, "height": 700})
            asked = {"experiment_name": "knee_demo"}
            address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name"
            experiment = requests.get(address, params=asked, timeout=20).json()["experiment"]["experiment_id"]
            page.goto(f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?viewStateShareKey=review")
            page.locator(".ag-row button").first.wait_for(timeout=60_000)
            page.locator('button[aria-label="Close"]').first.click()  # the assistant's panel
            page.locator(".ag-row button").first.click()  # the comparison's runs
            page.wait_for_timeout(3000)
            keep(page, "mlflow.png")
            browser.close()
    finally:
        page_of_mlflow.terminate()


def keep(page: Page, name: str) -> None:
    """Take a screenshot, with a small palette."""
    page.screenshot(path=HERE / name)
    with Image.open(HERE / name) as picture:
        picture.convert("RGB").quantize(COLOURS).save(HERE / name, optimize=True)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(address: str) -> None:
    """Return when a server answers; raises TimeoutError after two minutes."""
    for _ in range(240):
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise TimeoutError(address)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
