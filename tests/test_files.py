"""Nothing half-written, also when the power fails."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from i2m2_med.errors import UserError
from i2m2_med.files import replace_file, replace_folder, sole_user


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that were waited for, each while it was not yet in its place."""
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    rename = Path.rename
    replace = Path.replace
    monkeypatch.setattr(Path, "rename", lambda self, target: (sizes.append(-1), rename(self, target))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (sizes.append(-1), replace(self, target))[1])
    return sizes


def test_content_is_on_the_disk_before_the_name(tmp_path: Path, synced: list[int]) -> None:
    with replace_file(tmp_path / "one.json") as beside:
        beside.write_text("seven b", encoding="utf-8")
    assert synced == [7, -1]
    synced.clear()
    with replace_folder(tmp_path / "model") as beside:
        (beside / "inner").mkdir()
        (beside / "inner" / "weights").write_text("12345", encoding="utf-8")
        (beside / "config").write_text("123", encoding="utf-8")
    assert (sorted(synced[:-1]), synced[-1]) == ([3, 5], -1)


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), replace_file(tmp_path / "one") as beside:
        beside.write_text(f"half{1 / 0}", encoding="utf-8")
    with pytest.raises(UserError, match="already holds something"), replace_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_text(encoding="utf-8") == "old"


def test_a_folder_in_use_is_an_error_or_waited_for(tmp_path: Path) -> None:
    told, order = threading.Event(), list[str]()

    def hold() -> None:
        with sole_user(tmp_path, waiting=lambda: None):  # who looks whether it is held holds it for a moment
            told.wait(10)
            order.append("first")

    with ThreadPoolExecutor() as threads:
        holder = threads.submit(hold)
        while not is_held(tmp_path):
            time.sleep(0.01)
        with sole_user(tmp_path, waiting=told.set):
            order.append("second")
        holder.result()
    assert order == ["first", "second"]


def is_held(folder: Path) -> bool:
    try:
        with sole_user(folder):
            return False
    except UserError:
        return True
