"""The MLflow server of docker/compose.yaml behind docker/nginx.conf, with a real nginx that ends TLS and a real browser that logs in."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.services import running
from tests.system.conftest import ADMIN, PAGE, PROJECT, SECRETS, free_port, mlflow_server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAME = PAGE.removeprefix("https://")


def program(name: str, package: str) -> str:
    """A program of the machine; the test is skipped where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return path


@dataclass
class Proxy:
    """nginx with TLS before an MLflow server, whose log it is."""

    port: int
    certificate: Path
    log: Path
    answers: list[Any] = field(default_factory=list[Any])


def composed_origins() -> str:
    """The origins that compose.yaml names where `docker/.env` names none."""
    text = (PROJECT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    composed = yaml.safe_load(text)["services"]["mlflow"]["environment"]["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]
    return re.sub(r"^\$\{MLFLOW_ORIGINS:-|\}$", "", composed)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for the page's name, and its key."""
    certificate, key = folder / "mlflow.pem", folder / "mlflow.key"
    request = [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*request, *names, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def write_site(folder: Path, port: int, server: int, certificate: Path, key: Path) -> Path:
    """docker/nginx.conf with this machine's ports and certificate, inside the main file that Debian's package brings."""
    site = (PROJECT / "docker" / "nginx.conf").read_text(encoding="utf-8")
    for there, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/certs/mlflow.pem": str(certificate),
        "/etc/ssl/private/mlflow.key": str(key),
        "http://127.0.0.1:5000": f"http://127.0.0.1:{server}",
    }.items():
        assert site.count(there) == 1, there
        site = site.replace(there, here)
    (folder / "site.conf").write_text(site, encoding="utf-8")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    main = f"pid {folder}/pid; events {{}} http {{ access_log {folder}/access; {places} include {folder}/site.conf; }}"
    (folder / "main.conf").write_text(main, encoding="utf-8")
    return folder / "main.conf"


@contextmanager
def behind_nginx(folder: Path, origins: str) -> Iterator[Proxy]:
    """A server that knows `origins`, behind nginx."""
    nginx = program("nginx", "nginx-light")
    port, server = free_port(), free_port()
    certificate, key = self_signed(folder)
    main = write_site(folder, port, server, certificate, key)
    settings = {"DATABASE": "", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origins}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_BACKEND_STORE_URI", f"sqlite:///{folder / 'mlflow.db'}")
        with mlflow_server(folder, server, settings, SECRETS) as log:
            command = [nginx, "-e", str(folder / "errors"), "-g", "daemon off;", "-c", str(main)]
            with running(command, folder / "nginx.log"):
                wait_until(lambda: is_up(port, certificate), "nginx", folder / "nginx.log")
                yield Proxy(port, certificate, log)


def is_up(port: int, certificate: Path) -> bool:
    """Whether nginx passes the server's answer on."""
    try:
        return client(certificate).get(f"https://127.0.0.1:{port}/health", timeout=5).ok
    except requests.RequestException:
        return False


def client(certificate: Path) -> requests.Session:
    """What asks as MLflow's client would: by the page's name, and with the certificate checked."""
    session = requests.Session()
    session.trust_env = False  # $REQUESTS_CA_BUNDLE would go before `verify`
    session.headers["Host"], session.verify, session.auth = NAME, str(certificate), ADMIN
    adapter: Any = session.get_adapter(PAGE)
    adapter.init_poolmanager(1, 1, server_hostname=NAME)
    return session


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with behind_nginx(tmp_path_factory.mktemp("proxy"), PAGE) as made:
        yield made


@contextmanager
def browser_page(proxy: Proxy, password: str = ADMIN[1]) -> Iterator[Any]:
    """A page of a headless Chromium that finds the page's name at nginx; answers are noted in `proxy`."""
    chromium = shutil.which("chromium-browser") or program("chromium", "chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (it is in requirements.lock)"
    )
    words = ["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{proxy.port}"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=words)
        login = {"username": ADMIN[0], "password": password}
        page = browser.new_context(ignore_https_errors=True, http_credentials=login).new_page()
        page.set_default_timeout(120_000)
        proxy.answers.clear()
        page.on("response", lambda answer: proxy.answers.append(answer))
        try:
            yield page
        finally:
            browser.close()


def posts(proxy: Proxy) -> dict[str, int]:
    """The status of each POST that bore the page's address as Origin, by path."""
    asked = [(answer.request, answer.status) for answer in list(proxy.answers) if answer.request.method == "POST"]
    named = [(request, status) for request, status in asked if request.all_headers().get("origin") == PAGE]
    return {request.url.removeprefix(PAGE): status for request, status in named}


def test_a_user_logs_in_through_the_proxy_and_reads_the_experiments(proxy: Proxy) -> None:
    with browser_page(proxy) as page:
        first = page.goto(PAGE)
        assert (first.status, first.security_details()["subjectName"]) == (200, NAME)
        page.goto(f"{PAGE}/#/experiments")
        page.get_by_text("Default", exact=True).first.wait_for()
        page.goto("about:blank")  # else only the part after # changes, and the page may be on its way elsewhere
        with page.expect_response(lambda answer: "runs/search" in answer.url) as searched:
            page.goto(f"{PAGE}/#/experiments/0/runs")
        assert (searched.value.request.method, searched.value.status) == ("POST", 200)
        assert posts(proxy)
        assert set(posts(proxy).values()) == {200}
        assert 403 not in {answer.status for answer in proxy.answers}


def test_a_wrong_password_opens_nothing(proxy: Proxy) -> None:
    with browser_page(proxy, "guessed") as page:
        answer = page.goto(PAGE)
        assert answer.status == 401
        assert page.get_by_text("Default", exact=True).count() == 0


def test_clients_reach_the_server_through_the_proxy(proxy: Proxy) -> None:
    """MLflow's own client sends no Origin; an artifact larger than nginx takes by default goes through."""
    session, address = client(proxy.certificate), f"https://127.0.0.1:{proxy.port}/api/2.0"
    large = session.put(f"{address}/mlflow-artifacts/artifacts/large.bin", data=b"1" * (3 << 20), timeout=60)
    search, wanted = f"{address}/mlflow/experiments/search", {"max_results": 1}
    elsewhere = session.post(search, json=wanted, headers={"Origin": "https://elsewhere.example"}, timeout=60)
    found = session.post(search, json=wanted, timeout=60)
    assert (large.status_code, elsewhere.status_code, found.status_code) == (200, 403, 200), large.text


def test_without_its_origin_named_the_page_is_refused(tmp_path: Path) -> None:
    """So that the tests above can fail: with the origins of compose.yaml alone a browser's POSTs are answered 403."""
    with behind_nginx(tmp_path, composed_origins()) as proxy, browser_page(proxy) as page:
        page.goto(PAGE)
        page.goto("about:blank")  # else only the part after # changes, and the page may be on its way elsewhere
        with page.expect_response(lambda answer: "runs/search" in answer.url) as searched:
            page.goto(f"{PAGE}/#/experiments/0/runs")
        assert searched.value.status == 403
        assert 403 in posts(proxy).values()
