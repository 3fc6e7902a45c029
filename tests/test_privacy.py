"""A workspace's key is what it should be, or nothing is named by it."""

from pathlib import Path

import pytest

from i2m2_med.errors import ConfigError
from i2m2_med.privacy import project_key


@pytest.mark.parametrize("content", [b"", b"\n", b"ab", b"z" * 64, b"\xff\xfe" * 32, b"ab" * 31, b"ab" * 33])
def test_a_damaged_key_names_nobody(content: bytes, tmp_path: Path) -> None:
    """An empty one would make hashes that anybody can make again."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^[^\n]*key, is damaged[^\n]*; put it back from a backup$"):
        project_key(tmp_path)
    assert (tmp_path / "key").read_bytes() == content


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = project_key(tmp_path / "work")
    assert project_key(tmp_path / "work") == key
    assert len(key) == 32
    assert (tmp_path / "work" / "key").stat().st_mode & 0o777 == 0o600
