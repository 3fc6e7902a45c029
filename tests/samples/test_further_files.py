"""What transforms and plugins read is in the fingerprint, or found out and said."""

import sys
from pathlib import Path

import pytest

from i2m2_med.config.run import RunConfig
from i2m2_med.config.settings import Settings
from i2m2_med.samples.further_files import code_of, files_named, further_files, unannounced


def run_with(*transforms: dict[str, object], plugins: tuple[str, ...] = ()) -> RunConfig:
    experts = {"a": {"reads": ["a"], "network": {"_target_": "torch.nn.Linear"}}}
    content = {"task": "t", "source": Settings(), "experts": experts, "plugins": plugins}
    return RunConfig.model_validate(content | {"modalities": {"transforms": list(transforms)}})


def test_a_file_or_folder_that_a_transform_names_belongs_to_the_data(tmp_path: Path) -> None:
    table, masks = tmp_path / "table.csv", tmp_path / "masks"
    table.write_text("a", encoding="utf-8")
    masks.mkdir()
    (masks / "one.npy").write_text("b", encoding="utf-8")
    run = run_with({"_target_": "x", "options": [{"table": str(table)}]}, {"_target_": "y", "masks": str(masks)})
    assert further_files(run) == [masks / "one.npy", table]


@pytest.mark.parametrize("word", ["magnitude", "", "a\0b", "x" * 5000, "/no/such/file"])
def test_a_word_is_no_file(word: str) -> None:
    assert files_named(word) == []


def test_the_code_of_a_plugin_belongs_to_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mylab_plugin").mkdir()
    for name in ("__init__", "crop"):
        (tmp_path / "mylab_plugin" / f"{name}.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = code_of("mylab_plugin.crop.")
    assert [path.name for path in found] == ["crop.py"]
    assert [path.name for path in code_of("mylab_plugin.")] == ["__init__.py", "crop.py"]
    assert code_of("polars.") == []
    assert code_of("there_is_no_such_package.") == []
    assert further_files(run_with(plugins=("mylab_plugin.",))) == code_of("mylab_plugin.")


def test_what_is_read_unannounced_is_found(tmp_path: Path) -> None:
    known, lookup, kept_open, written = (tmp_path / name for name in ("a.csv", "b.csv", "c.bin", "d.txt"))
    for path in (known, lookup, kept_open):
        path.write_text("x", encoding="utf-8")
    handles = []

    def make() -> None:
        known.read_text(encoding="utf-8")
        lookup.read_text(encoding="utf-8")
        written.write_text("y", encoding="utf-8")
        handles.append(kept_open.open("rb"))

    try:
        assert unannounced(make, [known]) == [lookup, kept_open]
        assert unannounced(known.read_text, [known]) == []
        assert unannounced(Path(sys.executable).parent.resolve, []) == []
    finally:
        handles[0].close()
