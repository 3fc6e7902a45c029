"""The lock on an output folder: one scorer alone writes there, or the N parts of a shared run, each once."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from i2m2_med.disk_errors import writing
from i2m2_med.errors import UserError
from i2m2_med.files import private
from i2m2_med.object_store import ObjectPath
from i2m2_med.parts import Part, hold
from i2m2_med.scoring.remote import lease_output
from i2m2_med.scoring.results import ResultStore, ensure_out

PRIVATE = ".score"


@contextmanager
def lock_output(out: Path | ObjectPath, part: Part) -> Generator[ResultStore]:
    """Lock the output folder for this part and yield its result store. Raises UserError where another scorer works there."""
    if isinstance(out, ObjectPath):
        if not part.whole:
            raise UserError(
                "--num-parts shares a folder on a disk; into an object store, share by --engine ray or --processes"
            )
        with lease_output(out) as store:
            yield store
        return
    inside = out / PRIVATE
    own = inside / part.name
    busy = UserError(
        f"{out} is in use by another scorer; wait for it, name another folder,"
        " or share the work: --num-parts N --part-id i"
    )
    with private(), writing(out):
        ensure_out(out)
        with hold(inside, part, busy) as lock:
            lock.touch()  # `merge` goes by the latest
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir()
            try:
                yield ResultStore(out, own)
            finally:
                shutil.rmtree(own, ignore_errors=True)
