"""Vectors kept by the content they were made from, in memory and (where a file is named) on disk."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np


class ContentCache:
    """Content hash → float32 vector. On disk one SQLite file, shared by runs and processes; a lost file only costs time."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.known: dict[bytes, np.ndarray] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self.opened()) as store:
                store.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def opened(self) -> sqlite3.Connection:
        """A connection that waits for other writers; transactions are begun by hand."""
        assert self.path is not None
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Those that are known, of `keys`."""
        missing = [key for key in keys if key not in self.known]
        if self.path is not None and missing:
            self.known |= self.read(missing)
        return {key: self.known[key] for key in keys if key in self.known}

    def read(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Those of `keys` that are on disk."""
        vectors: dict[bytes, np.ndarray] = {}
        with closing(self.opened()) as store:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = store.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", list(some))
                vectors |= {key: np.frombuffer(vector, np.float32) for key, vector in rows}
        return vectors

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep new vectors."""
        self.known |= vectors
        if self.path is not None and vectors:
            rows = [(key, vector.astype(np.float32).tobytes()) for key, vector in vectors.items()]
            with closing(self.opened()) as store:
                store.execute("BEGIN IMMEDIATE")
                store.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
                store.execute("COMMIT")
