"""Splits that a data set or a table states: every study or patient gets the one that stands there, or it is an error."""

from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from i2m2_med.config.run import RunConfig, Split
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples.preparing import data_settings
from i2m2_med.samples.split import assign

PLACES = ["train", "train", "valid", "test"]


def records(official: list[str | None] | None = None) -> pl.DataFrame:
    """Four patients with two studies each."""
    frame = pl.DataFrame(
        {"patient": [f"p{i // 2}" for i in range(8)], "study": [f"file{i}" for i in range(8)], "item": 0}
    )
    return frame if official is None else frame.with_columns(_official=pl.Series(official, dtype=pl.String))


def table(tmp_path: Path, text: str) -> Split:
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    return Split(file=tmp_path / "mine.csv")


WORDS = {"train": "Train", "valid": "val", "test": "TEST"}
TABLES = {
    "by volume": "file,split\n" + "".join(f"file{i},{PLACES[i // 2]}\n" for i in range(8)),
    "other names": "which;age;Volume\n" + "".join(f"{WORDS[PLACES[i // 2]]};60;file{i}.h5\n" for i in range(8)),
    "with folders": "path,part\n" + "".join(f"singlecoil_train/file{i}.h5,{PLACES[i // 2]}\n" for i in range(8)),
    "by patient": "who,where\n" + "".join(f"p{i},{place}\n" for i, place in enumerate(PLACES)),
    "blank lines, more names": "who,where\np9,test\n"
    + "".join(f"p{i}, {p} \n" for i, p in enumerate(PLACES))
    + "\n,\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_by_volume_or_patient_with_any_column_names(tmp_path: Path, name: str) -> None:
    given = records()
    split, how = assign(given, table(tmp_path, TABLES[name]))
    assert split["split"].to_list() == [PLACES[i // 2] for i in range(8)]
    assert split.drop("split").equals(given)
    assert how.endswith("by mine.csv")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file,split\nfile0,train\n", "names neither every study nor every patient.*1 of 8 studies"),
        ("file,set\nfile0,a\n", "0 columns that hold nothing but train"),
        ("who,one,two\np0,train,test\n", "2 columns that hold nothing but train"),
        (TABLES["by patient"] + "p0,test\n", "1 of its names more than one split"),
        ("split\ntrain\n", "can't be read as CSV"),
    ],
)
def test_a_table_that_leaves_doubt_is_refused_without_values(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SourceError, match=why) as raised:
        assign(records(), table(tmp_path, text))
    assert "p0" not in str(raised.value)
    assert "file0" not in str(raised.value)


def test_official_parts() -> None:
    parts = ["train"] * 2 + ["train"] * 2 + ["val", "train"] + ["test", "test"]  # p2 is in train and val; p3 in test
    split, how = assign(records(parts), Split(official=True))
    places = split["split"].to_list()
    assert places[4:] == ["test", "unused", "unused", "unused"]
    assert {places[0], places[2]} == {"train", "valid"}
    assert places[0] == places[1]
    assert "(1 samples of train are unused" in how


def test_official_without_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"split\.official: these data come in no parts"):
        assign(records(), Split(official=True))
    with pytest.raises(SourceError, match="1 studies lie in no folder"):
        assign(records(["train"] * 4 + ["val"] * 3 + [None]), Split(official=True))


def test_official_in_a_word() -> None:
    assert Split.model_validate("official") == Split(official=True)
    with pytest.raises(ValidationError, match="two ways to split"):
        Split(official=True, file=Path("a.csv"))


def test_defaults_leave_the_fingerprint_as_it_was() -> None:
    def settings(**split: object) -> object:
        content = {"task": "t", "source": {}, "split": split, "experts": {"a": {"reads": ["x"], "network": {}}}}
        return data_settings(RunConfig.model_validate(content))["split"]

    assert settings() == {"salt": "i2m2", "valid": 0.15, "test": 0.15}
    assert settings(file="a.csv") == settings()
    assert settings(official=True) != settings()
