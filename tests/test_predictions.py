"""The prediction table: one declaration, held by what is built, written and read."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.predictions import (
    TablesOnDemand,
    build_table,
    check_table,
    column_names,
    data_dictionary,
    polars_schema,
    read_table,
    write_table,
)


def small(**columns: object) -> pd.DataFrame:
    """Two samples of one label with three classes, by two experts of which one is absent in the second sample."""
    content = {
        "patient": ["p1"] * 3 + ["p2"] * 3,
        "study": ["a"] * 3 + ["b"] * 3,
        "item": [0] * 3 + [4] * 3,
        "split": ["test"] * 6,
        "label": ["sick"] * 6,
        "class": [0, 1, 2] * 2,
        "p": [0.5, 0.25, 0.25, 0.1, 0.2, 0.7],
        "p_x": [0.5, 0.25, 0.25, 0.1, 0.2, 0.7],
        "p_y": [0.5, 0.25, 0.25, np.nan, np.nan, np.nan],
        "target": [1, 1, 1, -1, -1, -1],
        "group_site": ["north"] * 6,
    }
    return build_table(content | columns, ["x", "y"])


def test_the_data_dictionary_is_that_of_the_module():
    page = Path(__file__).parents[1] / "docs" / "data_dictionary.md"
    assert page.read_text(encoding="utf-8") == data_dictionary(), (
        "python -m i2m2_med.predictions > docs/data_dictionary.md"
    )


def test_built_written_and_read_is_the_same(tmp_path):
    table = small()
    assert list(table.columns) == column_names(["x", "y"], judged=True, groups=["group_site"])
    write_table(table, tmp_path / "t.parquet")
    assert pl.read_parquet_schema(tmp_path / "t.parquet") == polars_schema(table.columns)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    assert set(table["level"]) == {"item"}


def test_older_tables_are_read_with_a_level(tmp_path):
    old = pl.from_pandas(small()).drop(
        "level", "warning", "seconds", "patient", "split", "target", "fold", "group_site"
    )
    refused = old.head(1).with_columns(
        study=pl.lit("c"), status=pl.lit("refused"), **dict.fromkeys(("item", "label", "class", "p"))
    )
    whole = old.with_columns(item=pl.lit(-1, pl.Int32))
    pl.concat([old, whole, refused], how="vertical_relaxed").write_parquet(tmp_path / "old.parquet")
    read = read_table(tmp_path / "old.parquet")
    assert read["level"].tolist() == ["item"] * 6 + ["study"] * 7
    assert read.loc[read["level"] == "study", "item"].isna().all()
    assert list(read.columns) == column_names(["x", "y"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"p": pl.col("p") * 2}, "probability outside|do not add up"),
        ({"p": pl.col("p") * 0.9}, "do not add up"),
        ({"p": pl.lit(float("nan"))}, "probability outside"),
        ({"p": pl.lit(None, pl.Float64)}, "probability outside"),
        ({"p": -pl.col("p")}, "probability outside"),
        ({"p": pl.lit("much")}, "another type"),
        ({"class": pl.lit(0), "target": pl.lit(0)}, "several rows"),
        ({"class": pl.lit(None, pl.Int16)}, "without label or class"),
        ({"class": pl.col("class") - 1}, "negative class"),
        ({"class": pl.col("class").cast(pl.Int32) + 70_000}, "another type"),
        ({"level": pl.lit("volume")}, "`level` other"),
        ({"level": pl.lit("study")}, "an item where"),
        ({"status": pl.lit("fine")}, "`status` other"),
        ({"target": pl.lit(3)}, "target that is no class"),
        ({"target": pl.lit(-2)}, "target that is no class"),
        ({"study": pl.lit(None, pl.String)}, "no study"),
        ({"patient": pl.lit(None, pl.String)}, "no patient"),
        ({"probability": pl.lit(1.0)}, "'?probability'?.*no prediction table has"),
    ],
)
def test_what_is_no_prediction_table_is_refused_in_a_line(change, why):
    frame = pl.from_pandas(small()).with_columns(**change)
    with pytest.raises(SourceError, match=why) as caught:
        check_table(frame)
    assert "\n" not in str(caught.value)


def test_missing_columns_and_damaged_files_are_refused(tmp_path):
    for column in ("study", "p", "class", "target"):
        with pytest.raises(SourceError, match=f"lacks the column.*{column}"):
            check_table(pl.from_pandas(small()).drop(column))
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table PAR1")
    for path in (tmp_path / "t.parquet", tmp_path / "none.parquet", tmp_path):
        with pytest.raises(SourceError, match=r"damaged|no Parquet"):
            read_table(path)


def test_an_empty_table_has_every_column():
    assert list(small().head(0).columns) == list(check_table(pl.from_pandas(small()).head(0)).columns)


def test_a_text_that_some_samples_lack_is_null_there():
    group = np.array(["a", None], dtype=object)
    table = build_table({"study": ["x", "y"], "item": [0, 0], "label": ["l", "l"], "class": [0, 0], "group_g": group})
    assert table["group_g"].tolist()[0] == "a"
    assert table["group_g"].isna().tolist() == [False, True]


def test_tables_on_demand_hold_none_of_them():
    read: list[int] = []

    def reader(seed: int) -> pd.DataFrame:
        read.append(seed)
        return pd.DataFrame({"seed": [seed]})

    tables = TablesOnDemand({("i2m2", seed): partial(reader, seed) for seed in (0, 1)})
    assert (len(tables), list(tables), read) == (2, [("i2m2", 0), ("i2m2", 1)], [])
    assert [int(table["seed"][0]) for table in tables.values()] == [0, 1]
    assert tables["i2m2", 1]["seed"].tolist() == [1]
    assert read == [0, 1, 1]
