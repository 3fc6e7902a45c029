"""Patients and studies are named by keyed hashes, outside the prepared data nobody sees who they are."""

import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from i2m2_med.errors import ConfigError


def project_key(workspace: Path) -> bytes:
    """Return the workspace's secret key (32 bytes, mode 0600), made at first use. It is never logged, and leaves only by hand."""
    path = workspace / "key"
    workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        beside = path.with_name(f".key.{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_text(secrets.token_hex(32), encoding="utf-8")
        with suppress(FileExistsError):  # another process was first: its key counts
            path.hardlink_to(beside)
        beside.unlink()
    text = path.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-f]{64}", text):
        raise ConfigError(
            f"{path}, the workspace's key, is damaged: it should hold 64 hexadecimal digits; put it back from a backup"
        )
    return bytes.fromhex(text.decode())


def pseudonym(key: bytes, kind: str, name: str) -> str:
    """Return a keyed hash (HMAC-SHA256, 16 hex digits) of a patient's or study's name; `kind` keeps the two apart.

    >>> pseudonym(b"k", "patient", "10006") == pseudonym(b"k", "study", "10006")
    False
    """
    return hmac.new(key, f"{kind}|{name}".encode(), hashlib.sha256).hexdigest()[:16]
