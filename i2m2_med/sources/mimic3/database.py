"""MIMIC in PostgreSQL, as mimic-code builds it (lower-case tables in the schema `mimiciii`, or in MIMIC-IV's `mimiciv_hosp`,
`mimiciv_icu`, `mimiciv_note`) → NAME.csv.gz, once per table.

What follows reads those files as if they had been downloaded: same counts, same checks, same hashes in the manifest. All rows
of the kept columns are copied, so the row counts of the full release hold. A copied table is not asked for again: delete the
folder when the database has changed.
"""

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from i2m2_med.console import say
from i2m2_med.errors import SourceError, extra_hint
from i2m2_med.files import digest, replace_file
from i2m2_med.sources.mimic3.mimic4_columns import READ, made_columns
from i2m2_med.sources.mimic3.tables import FOUR_NOTES, table_named
from i2m2_med.workspace import workspace

ADDRESS = re.compile(r"^postgres(?:ql)?(?:\+\w+)?:")
"""As libpq has it, or as SQLAlchemy does, with a driver (`postgresql+psycopg2:`)."""
MADE_UP = "simulated"
"""The column that simulators mark their tables with: a copy keeps it."""
PASSWORD = "give the password as $PGPASSWORD or in ~/.pgpass"


def is_address(root: object) -> bool:
    """Whether `source.root` names a database."""
    return ADDRESS.match(str(root)) is not None


def plain(address: str) -> str:
    """An address without SQLAlchemy's driver, as libpq takes it.

    >>> plain("postgresql+psycopg2://me@here/mimic")
    'postgresql://me@here/mimic'
    """
    return ADDRESS.sub("postgresql:", address)


def copied_to(address: str, name: str) -> Path:
    """The folder of the workspace that a database's tables are copied to, for the source `name`. Raises ValueError for an address
    that holds a password."""
    if urlsplit(address).password or "password=" in address:
        raise ValueError(f"take the password out of the address; {PASSWORD}")
    return workspace() / "tables" / digest(address if name == "mimic3" else [name, address])[:12]


def copy_tables(address: str, names: Sequence[str], folder: Path, schemas: Sequence[str]) -> None:
    """Copy the tables that `folder` lacks. Raises SourceError where the database can't be reached, or lacks a table or column."""
    missing = [name for name in names if not (folder / f"{name}.csv.gz").exists()]
    if not missing:
        return
    try:
        import psycopg
    except ImportError as error:
        raise SourceError(f"reading PostgreSQL needs psycopg: {extra_hint('server')}") from error
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("SET datestyle TO ISO")
            path: Any = "SELECT set_config('search_path', %s || ',' || current_setting('search_path'), false)"
            connection.execute(path, [",".join(schemas)])
            for name in missing:
                if name in FOUR_NOTES and not is_there(connection, name):
                    continue  # one of the two will do; whoever reads them says if none is there
                say(f"copying {name} from PostgreSQL")
                copy_table(connection, name, folder / f"{name}.csv.gz")
    except psycopg.Error as error:
        raise SourceError(f"PostgreSQL: {first_lines(error)}. Check source.root, and {PASSWORD}.") from error


def copy_table(connection: Any, name: str, out: Path) -> None:
    """One table as csv.gz, whole or not at all, without the optional columns that it lacks; connection: psycopg's."""
    described = connection.execute(f"SELECT * FROM {name.lower()} LIMIT 0").description
    wanted = copied_columns(name, [column.name for column in described])
    columns = ", ".join(f'{column} AS "{column.upper()}"' for column in wanted)
    query = f"COPY (SELECT {columns} FROM {name.lower()}) TO STDOUT WITH (FORMAT csv, HEADER)"
    with (
        replace_file(out) as beside,
        gzip.open(beside, "wb", compresslevel=1) as file,
        connection.cursor() as cursor,
        cursor.copy(query) as rows,
    ):
        for block in rows:
            file.write(block)


def is_there(connection: Any, name: str) -> bool:
    """Whether the database has a table of that name; connection: psycopg's."""
    return connection.execute("SELECT to_regclass(%s)", [name.lower()]).fetchone()[0] is not None


def copied_columns(name: str, there: Sequence[str]) -> list[str]:
    """The columns (small letters) that are read of a table: MIMIC-IV's where it has its names, else MIMIC-III's without the
    optional ones that are not there."""
    if name in FOUR_NOTES or made_columns(name, {column.upper(): column for column in there}):
        return [column for column in (*READ[name], MADE_UP) if column in there]
    table = table_named(name)
    lacks = set(table.optional) - {column.upper() for column in there}
    kept = [column.lower() for column in table.columns if column not in lacks]
    return kept + [MADE_UP] * (MADE_UP in there)


def first_lines(error: Exception) -> str:
    """Return the server's message on one line, without the statement."""
    return " ".join(str(error).split("\nLINE")[0].split()).rstrip(".")
