"""Files that were there when a folder was last prepared and are not any more: a smaller cohort must not come unnoticed."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from i2m2_med.errors import SourceError
from i2m2_med.files import digest, write_json
from i2m2_med.sources.source import Flow


def refuse_vanished(root: Path, absent: Iterable[str], cache: Path, flow: Flow) -> None:
    """Refuse each volume of `absent` (listed, without a file) that had one when `root` was last prepared."""
    kept = _kept(root, cache)
    known: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    gone = [known[name] for name in absent if name in known]
    more = f" So are {len(gone) - 1} more." if len(gone) > 1 else ""
    for file in gone:
        why = f"{file} is gone from {root}: it was there when this folder was last prepared.{more}"
        flow.refuse(file, SourceError(f"{why} Put it back, or go on without it: --skip-bad."))


def remember_files(root: Path, files: Mapping[str, str], cache: Path) -> None:
    """Keep which volumes (name → file) a cohort was made of."""
    write_json(_kept(root, cache), dict(files))


def _kept(root: Path, cache: Path) -> Path:
    return cache / "seen" / f"{digest(str(root.absolute()))[:32]}.json"
