"""MIMIC-IV in a real PostgreSQL, in mimic-code's schemas and types, gives what its csv.gz files give, by SQLAlchemy's address too."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.simulate.mimic4 import simulate
from i2m2_med.sources.mimic4 import Settings, Source
from i2m2_med.sources.source import Flow, Progress
from tests.system.conftest import DATABASE_PASSWORD

pytestmark = pytest.mark.slow
Ask = Callable[[str], str]
KINDS = {
    "icd_code": "CHAR(7)",
    "icd_version": "SMALLINT",
    "dod": "DATE",
    "gender": "CHAR(1)",
    "anchor_age": "SMALLINT",
    "anchor_year": "SMALLINT",
    "valuenum": "DOUBLE PRECISION",
    "los": "DOUBLE PRECISION",
    "hospital_expire_flag": "SMALLINT",
    "warning": "SMALLINT",
    "itemid": "INTEGER",
    "seq_num": "INTEGER",
    "note_seq": "INTEGER",
    "note_id": "VARCHAR(25)",
    "admit_provider_id": "VARCHAR(10)",
    "order_provider_id": "VARCHAR(10)",
}


def kind(table: str, column: str) -> str:
    """A column's type in mimic-code's mimic-iv/buildmimic/postgres/create.sql."""
    if (table, column) == ("outputevents", "value"):
        return "FLOAT"
    if column.endswith("time"):
        return "TIMESTAMP"
    return KINDS.get(column, "INTEGER" if column.endswith("_id") else "TEXT")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "mimic4"
    simulate(out, patients=60, seed=2)
    return out


@pytest.fixture(scope="module")
def address(postgres: tuple[str, Ask], tables: Path) -> str:
    import psycopg

    place = "mlflow@" + postgres[0].rsplit("@", 1)[1]
    with psycopg.connect(f"postgresql://{place}", password=DATABASE_PASSWORD) as connection:
        for module in ("hosp", "icu", "note"):
            connection.execute(f"CREATE SCHEMA mimiciv_{module}")  # pyright: ignore[reportArgumentType]
            for path in sorted((tables / module).iterdir()):
                name = path.name.removesuffix(".csv.gz")
                rows = pl.read_csv(path, infer_schema=False).drop("simulated")
                columns = ", ".join(f"{column} {kind(name, column)}" for column in rows.columns)
                connection.execute(f"CREATE TABLE mimiciv_{module}.{name} ({columns})")  # pyright: ignore[reportArgumentType]
                query = f"COPY mimiciv_{module}.{name} FROM STDIN WITH (FORMAT csv, HEADER)"
                with connection.cursor().copy(query) as copy:  # pyright: ignore[reportArgumentType]
                    copy.write(rows.write_csv().encode())
    return f"postgresql+psycopg2://{place}"


def ingest(root: object, work: Path, **asked: object) -> tuple[pl.DataFrame, dict[str, np.ndarray], Flow]:
    source, flow = Source(Settings.model_validate({"root": root, "notes": {}, **asked})), Flow()
    work.mkdir()
    records = source.ingest(work, work.parent / "cache", flow, Progress())
    return records, {name: np.array(array) for name, array in source.arrays(work).items()}, flow


@pytest.mark.usefixtures("work")
def test_a_database_gives_what_its_files_give(
    address: str, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", DATABASE_PASSWORD)
    straight, arrays, _ = ingest(tables, tmp_path / "files", task="icd9", icd9_group=7)
    around, again, flow = ingest(address, tmp_path / "database", task="icd9", icd9_group=7)
    assert around.equals(straight)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert flow.audits["diagnoses"]["ICD-10"] > 0
    monkeypatch.delenv("PGPASSWORD")
    ingest(address, tmp_path / "once_more", task="icd9", icd9_group=7)  # not asked again


@pytest.mark.usefixtures("work")
def test_notes_may_be_missing_in_part_but_not_in_whole(
    address: str, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setenv("PGPASSWORD", DATABASE_PASSWORD)
    with psycopg.connect("postgresql:" + address.split(":", 1)[1]) as connection:
        connection.execute("ALTER TABLE mimiciv_note.discharge RENAME TO elsewhere")
    without = tmp_path / "without"
    shutil.copytree(tables, without)
    (without / "note" / "discharge.csv.gz").unlink()
    assert ingest(address + "?application_name=a", tmp_path / "database")[0].equals(
        ingest(without, tmp_path / "files")[0]
    )
    with psycopg.connect("postgresql:" + address.split(":", 1)[1]) as connection:
        connection.execute("ALTER TABLE mimiciv_note.radiology RENAME TO gone")
    with pytest.raises(SourceError, match="lacks the tables DISCHARGE, RADIOLOGY"):
        ingest(address + "?application_name=b", tmp_path / "none")
