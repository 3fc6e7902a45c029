"""Vectors kept by the content they were made from: safetensors shards, which every process writes for itself and all of them map.

A shard is renamed into its place when it is whole: a process that is killed loses the vectors of its last minute, and nothing is
left half written. A lost folder only costs time.
"""

import os
import time
from bisect import bisect_right
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from uuid import uuid4

import torch
from jaxtyping import Float
from torch import Tensor

from i2m2_med.disk_errors import writing
from i2m2_med.files import remove
from i2m2_med.kept_tensors import read_tensors, write_tensors

MOST_WAITING, LONGEST_WAIT = 4096, 60.0
"""Vectors, and seconds, after which those that are in memory only become a shard."""
Vector = Float[Tensor, "features"]


class FeatureStore:
    """Content hash (bytes of one length) → float32 vector (of one length). Of a folder there is one per process: `store_in`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[bytes, Vector] = {}
        self.since = 0.0
        """When the first of those that wait came, on the monotonic clock."""
        self.rows: dict[bytes, int] = {}
        """Where a vector lies: its number among the rows of all open shards."""
        self.starts: list[int] = []
        self.shards: list[Float[Tensor, "row features"]] = []
        self.seen: set[str] = set()
        self.changed = -1
        """The folder's time when it was last looked at."""
        self.process = -1
        """Who writes what waits at its end: a forked process is not its parent."""

    def get(self, key: bytes) -> Vector | None:
        """Return a vector, which stays on disk until its numbers are read; None where nobody has made it yet."""
        if key in self.waiting:
            return self.waiting[key]
        if key not in self.rows:
            self.refresh()
        row = self.rows.get(key)
        if row is None:
            return None
        shard = bisect_right(self.starts, row) - 1
        return self.shards[shard][row - self.starts[shard]]

    def put(self, key: bytes, vector: Vector) -> None:
        """Keep a new vector; now and then those that wait become a shard."""
        if self.process != os.getpid():
            self.process, self.waiting = os.getpid(), {}
            Finalize(None, self.flush, exitpriority=0)  # unlike atexit, also at the end of a DataLoader's workers
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting[key] = vector
        if len(self.waiting) >= MOST_WAITING or time.monotonic() - self.since > LONGEST_WAIT:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a shard."""
        if not self.waiting:
            return
        path = self.folder / f"{uuid4().hex}.safetensors"
        beside = path.with_suffix(".part")
        keys = torch.frombuffer(bytearray(b"".join(self.waiting)), dtype=torch.uint8).view(len(self.waiting), -1)
        try:
            with writing(path):
                self.folder.mkdir(parents=True, exist_ok=True)
                write_tensors(beside, {"keys": keys, "vectors": torch.stack([*self.waiting.values()])})
                beside.rename(path)
        finally:
            remove(beside)
        self.waiting = {}
        self.refresh()

    def refresh(self) -> None:
        """Open the shards that have come since the folder was last looked at."""
        try:
            changed = self.folder.stat().st_mtime_ns
        except FileNotFoundError:  # nothing was kept yet
            return
        if changed == self.changed:
            return
        self.changed = changed
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name not in self.seen:
                self.seen.add(path.name)
                self.open(path)

    def open(self, path: Path) -> None:
        """Map a shard. One that is gone or damaged is as if it had never been: its vectors are made again."""
        shard = read_tensors(path)
        if shard is None:
            return
        keys, vectors = shard["keys"], shard["vectors"]
        start = self.starts[-1] + len(self.shards[-1]) if self.starts else 0
        self.starts.append(start)
        self.shards.append(vectors)
        self.rows.update((key.tobytes(), start + at) for at, key in enumerate(keys.numpy()))


@cache
def store_in(folder: Path) -> FeatureStore:
    """Return this process's store of a folder, whoever asks for it."""
    return FeatureStore(folder)
