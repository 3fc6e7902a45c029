"""Versions, aliases, and every way to name a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from i2m2_med.engine.tracking.read import FoundRun, find_run
from i2m2_med.engine.tracking.registry import champion, give_name, model_folder, registered
from i2m2_med.engine.tracking.store import connect
from i2m2_med.errors import StoreError


@pytest.fixture
def trained(store: str, opening: Callable[..., Any], tmp_path: Path) -> FoundRun:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"w")
    with opening() as run:
        run.model(folder)
    return find_run(store, run.run_id)


def test_every_name_of_a_model_leads_to_the_same_folder(store: str, trained: FoundRun) -> None:
    made = give_name(trained, "knee", "champion", {"why": "first"})
    names = [
        "models:/knee@champion",
        f"models:/knee/{made.version}",
        f"runs:/{trained.run_id}/model",
        trained.run_id[:9],
    ]
    folders = {model_folder(store, name) for name in names}
    assert len(folders) == 1
    assert (folders.pop() / "weights.safetensors").read_bytes() == b"w"
    assert model_folder(store, str(Path(__file__).parent)) == Path(__file__).parent
    assert connect(store).get_model_version("knee", made.version).tags == {"why": "first"}


def test_a_second_version_takes_the_alias(store: str, trained: FoundRun) -> None:
    assert champion(store, "knee", "champion") is None
    give_name(trained, "knee", "champion", {})
    second = give_name(trained, "knee", "champion", {})
    found = champion(store, "knee", "champion")
    assert found
    assert (found.version, registered(store, "knee/1").version) == (second.version, "1")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("models:/knee@champion", "the alias 'champion' of 'knee' points nowhere"),
        ("models:/knee/7", "no version '7' of a model 'knee'"),
        ("runs:/ffffffffffff/model", "has no run"),
        ("no-such-folder", "has no run"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(store: str, reference: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as said:
        model_folder(store, reference)
    assert "\n" not in str(said.value)


def test_an_alias_of_a_model_that_lost_it(store: str, trained: FoundRun) -> None:
    give_name(trained, "knee", "champion", {})
    connect(store).delete_registered_model_alias("knee", "champion")
    with pytest.raises(StoreError, match="points nowhere"):
        model_folder(store, "models:/knee@champion")


def test_a_run_without_a_model_is_not_registered(store: str, opening: Callable[..., Any]) -> None:
    with opening() as run:
        pass
    with pytest.raises(StoreError, match="holds no model to register"):
        give_name(find_run(store, run.run_id), "knee", "champion", {})
