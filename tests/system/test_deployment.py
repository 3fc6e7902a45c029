"""The server of docker/compose.yaml behind a proxy's name, and its backup on a real PostgreSQL."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from tests.system.conftest import ADMIN, DATABASE_PASSWORD, PAGE, PROJECT, Server, postgres_programs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("origin", "status"), [(PAGE, 200), ("https://elsewhere.example", 403), (None, 200)])
def test_a_browser_behind_the_proxy_may_ask_and_another_page_may_not(
    server: Server, origin: str | None, status: int
) -> None:
    """Browsers send the page's address as Origin with every POST, and the proxy passes the page's name on as Host."""
    headers = {"Host": PAGE.removeprefix("https://"), **({"Origin": origin} if origin else {})}
    address = f"{server.uri}/api/2.0/mlflow/experiments/search"
    asked = requests.post(address, json={"max_results": 1}, headers=headers, auth=ADMIN, timeout=60)
    assert asked.status_code == status, asked.text
    assert requests.post(address, json={"max_results": 1}, headers=headers, timeout=60).status_code in {401, 403}


ENGINE = """#!/bin/sh
# What `docker compose … exec -T SERVICE COMMAND` does, on this machine.
shift 5 # compose --file FILE exec -T
service=$1; shift
if [ "$service" = db ]; then program=$1; shift; exec "$PROGRAMS/$program" --host=127.0.0.1 --port="$PGPORT" "$@"; fi
[ "$1" = sh ] && exec sh -c "$(printf %s "$3" | sed "s#/artifacts#$ARTIFACTS#g")"
exec tar --create --directory "$ARTIFACTS" .
"""


def test_a_backup_is_put_back_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(ENGINE, encoding="utf-8")
    (tmp_path / "bin" / "docker").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PROGRAMS": str(postgres_programs()),
        "PGPORT": server.database_port,
        "PGPASSWORD": DATABASE_PASSWORD,
        "ARTIFACTS": str(server.artifacts),
    }
    server.artifacts.mkdir(exist_ok=True)
    (server.artifacts / "kept.txt").write_text("kept", encoding="utf-8")
    server.query("CREATE TABLE kept AS SELECT generate_series(1, 100) AS number")
    for _ in range(2):  # the second would write over the first
        done = subprocess.run(
            ["sh", PROJECT / "docker" / "backup.sh", tmp_path / "backup"],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == _, done.stderr
    server.query("DELETE FROM kept WHERE number > 7")
    (server.artifacts / ".hidden").write_text("later", encoding="utf-8")
    (server.artifacts / "kept.txt").write_text("changed", encoding="utf-8")
    (server.artifacts / "later.txt").write_text("later", encoding="utf-8")
    restore = ["sh", PROJECT / "docker" / "restore.sh"]
    for name in ("artifacts.tar", "database.dump"):  # cut off: refused before anything is taken away
        shutil.copytree(tmp_path / "backup", tmp_path / name)
        content = (tmp_path / name / name).read_bytes()
        (tmp_path / name / name).write_bytes(content[: 1_100 if name == "artifacts.tar" else 99])
        refused = subprocess.run([*restore, tmp_path / name], env=environment, capture_output=True, text=True)
        assert refused.returncode == 1
        assert f"{name} is damaged; nothing was changed" in refused.stderr
        assert (server.artifacts / "later.txt").exists()
        assert server.query("SELECT count(*) FROM kept").strip() == "7"
    subprocess.run([*restore, tmp_path / "backup"], env=environment, check=True)
    assert server.query("SELECT count(*), sum(number) FROM kept").strip() == "100|5050"
    assert (server.artifacts / "kept.txt").read_text(encoding="utf-8") == "kept"
    assert not any((server.artifacts / name).exists() for name in ("later.txt", ".hidden"))
    assert requests.get(f"{server.uri}/health", timeout=60).status_code == 200
