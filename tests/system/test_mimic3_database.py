"""MIMIC-III in a real PostgreSQL, typed as mimic-code builds it, gives what its csv.gz files give; the password is never told."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.sources.mimic3 import Settings, Source
from i2m2_med.sources.mimic3.ingest import ingest_table
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Progress
from tests.system.conftest import DATABASE_PASSWORD

pytestmark = pytest.mark.slow
Ask = Callable[[str], str]
INTEGERS = ("_ID", "ITEMID", "SEQ_NUM", "ERROR", "FLAG", "CGID", "WARDID", "WARNING")


def kind(table: str, column: str) -> str:
    """A column's type in mimic-code's schema."""
    if column.endswith(("TIME", "DATE")) or column.startswith("DO"):
        return "TIMESTAMP(0)"
    if column in ("VALUENUM", "LOS") or (table, column) == ("OUTPUTEVENTS", "VALUE"):
        return "DOUBLE PRECISION"
    whole = column.endswith(INTEGERS) and column not in ("ISERROR", "FLAG")
    return "INT" if whole else "TEXT"


def load(address: str, tables: dict[str, Path]) -> None:
    """The tables as mimic-code loads them."""
    import psycopg

    with psycopg.connect(address, password=DATABASE_PASSWORD) as connection:
        connection.execute("CREATE SCHEMA mimiciii")
        for name, path in tables.items():
            rows = pl.read_csv(path, infer_schema=False)
            columns = ", ".join(f"{column.lower()} {kind(name, column)}" for column in rows.columns)
            connection.execute(f"CREATE TABLE mimiciii.{name.lower()} ({columns})")  # pyright: ignore[reportArgumentType]
            query = f"COPY mimiciii.{name.lower()} FROM STDIN WITH (FORMAT csv, HEADER)"
            with connection.cursor().copy(query) as copy:  # pyright: ignore[reportArgumentType]
                copy.write(rows.write_csv().encode())


@pytest.fixture(scope="module")
def demo(shared_data: Path) -> dict[str, Path]:
    return {name: shared_data / "mimic3demo" / f"{name}.csv.gz" for name in TABLES}


@pytest.fixture(scope="module")
def address(postgres: tuple[str, Ask], demo: dict[str, Path]) -> str:
    place = "postgresql://mlflow@" + postgres[0].rsplit("@", 1)[1]
    load(place, demo)
    return place


def test_every_table_is_what_its_file_gives(
    address: str, demo: dict[str, Path], work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", DATABASE_PASSWORD)
    source = Source(Settings(root=address, notes={}))  # pyright: ignore[reportArgumentType]
    files = source.tables()
    assert files["CHARTEVENTS"].is_relative_to(work)
    for name, path in files.items():
        ours, theirs = (ingest_table(one, name, tmp_path / "cache", Progress()) for one in (path, demo[name]))
        assert ours.counts == theirs.counts, name
        assert pl.read_parquet(ours.path).equals(pl.read_parquet(theirs.path)), name
    written = {path: path.stat().st_mtime_ns for path in files.values()}
    monkeypatch.delenv("PGPASSWORD")
    assert {path: path.stat().st_mtime_ns for path in source.files()} == written  # not asked again
    told = str(source.settings.model_dump(mode="json")) + repr(source.settings)
    assert "mlflow@" not in told


def test_what_is_wrong_is_one_line_without_the_password(
    address: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong, and secret")
    with pytest.raises(SourceError, match=r"^PostgreSQL: .*password authentication failed.*\$PGPASSWORD") as caught:
        Source(Settings(root=address)).files()  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("PGPASSWORD", DATABASE_PASSWORD)
    with pytest.raises(SourceError, match=r'relation "patients" does not exist'):
        Source(Settings(root=address.removesuffix("mlflow") + "postgres")).files()  # pyright: ignore[reportArgumentType]
    assert not list(work.rglob("*.part"))


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="take the password out of the address") as caught:
        load_config("mimic3_mortality", ["source.root=postgresql://me:secret@here/mimic"])
    assert "secret" not in str(caught.value)
