"""The item map against the release's own dictionaries, and the units of what it converts."""

from pathlib import Path

import polars as pl
import pytest

from i2m2_med.sources.mimic3.items import CHANNELS, all_item_ids, converted, items_of, read_items
from i2m2_med.sources.mimic3.measure import RAW_SAPS

URINE_BY_MISTAKE = 40086
"""The published views count it as urine; D_ITEMS calls it 'Drain Out #2 Pigtail'."""
OTHER_FLUIDS = {51491: "Urine", 51094: "Urine", 51478: "Urine", 50831: "Other Body Fluid"}
"""mimic3-benchmarks lets them into blood pH and glucose."""


@pytest.fixture(scope="module")
def dictionary(shared_data: Path) -> pl.DataFrame:
    read = {
        name: pl.read_csv(shared_data / "mimic3demo" / f"{name}.csv.gz", infer_schema=False)
        for name in ("D_ITEMS", "D_LABITEMS")
    }
    charted = read["D_ITEMS"].select("ITEMID", "LABEL", FLUID=pl.lit(""), LINKSTO=pl.col("LINKSTO").str.to_uppercase())
    labs = read["D_LABITEMS"].select("ITEMID", "LABEL", "FLUID", LINKSTO=pl.lit("LABEVENTS"))
    return pl.concat([charted, labs]).with_columns(item=pl.col("ITEMID").cast(pl.Int64))


def test_every_item_is_what_the_dictionary_says(dictionary: pl.DataFrame) -> None:
    joined = (
        read_items()
        .filter(~pl.col("source").is_in(["MIMIC-IV", "MEDS mapping"]))
        .join(dictionary, on="item", how="left")
    )
    assert joined.filter(pl.col("LABEL").is_null())["item"].to_list() == []
    wrong = joined.filter(
        (pl.col("LABEL").str.strip_chars() != pl.col("label"))
        | (pl.col("LINKSTO") != pl.col("table"))
        | (pl.col("FLUID").str.to_lowercase() != pl.col("fluid").fill_null("").str.to_lowercase())
    )
    assert wrong["item"].to_list() == []


def test_checked_items_are_of_one_fluid_and_unit() -> None:
    for channels in CHANNELS:
        items = items_of(channels, "checked")
        assert items["item"].is_unique().all()
        assert set(items["fluid"].drop_nulls()) <= {"Blood"}
        assert (items.group_by("concept").agg(pl.col("unit").n_unique())["unit"] == 1).all()


def test_published_mistakes_are_in_published_only() -> None:
    for item in (URINE_BY_MISTAKE, *OTHER_FLUIDS):
        assert item not in [*items_of("saps12", "checked")["item"], *items_of("benchmark17", "checked")["item"]]
    assert URINE_BY_MISTAKE in items_of("saps12", "published")["item"]
    published = dict(items_of("benchmark17", "published").select("item", "fluid").iter_rows())
    assert {item: published[item] for item in OTHER_FLUIDS} == OTHER_FLUIDS


def test_channels_have_items() -> None:
    built = {"gcs", "pao2", "fio2"}
    assert set(RAW_SAPS) - built <= set(items_of("saps12", "checked")["concept"])
    of_benchmark = set(items_of("benchmark17", "checked")["concept"])
    assert set(CHANNELS["benchmark17"]) == of_benchmark - {"so2", "specimen"}  # which decide what is an SpO2
    assert len(items_of("benchmark17", "published")) == 114  # the ready items of mimic3-benchmarks
    assert len(all_item_ids("OUTPUTEVENTS")) == 38


@pytest.mark.parametrize(
    ("converter", "charted", "value"),
    [
        ("fahrenheit", 98.6, 37.0),
        ("fraction", 40, 0.4),
        ("fraction", 0.4, 0.4),
        ("fio2_fraction", 0.5, 50),
        ("fio2_any", 0.5, 50),
        ("fio2_any", 50, 50),
        ("fio2_any", 15, None),
        ("negative", 300, -300),
        ("inch", 70, 177.8),
        ("pound", 150, 68.04),
        ("ounce", 1000, 28.35),
        (None, 7, 7),
    ],
)
def test_converters(converter: str | None, charted: float, value: float | None) -> None:
    frame = pl.DataFrame(
        {"converter": [converter], "number": [float(charted)]}, schema_overrides={"converter": pl.String}
    )
    found = frame.select(converted()).item()
    assert found == (None if value is None else pytest.approx(value, abs=0.01))


def test_urine_ph_would_have_moved_blood_ph(demo: Path) -> None:
    """As measured in the specification: urine mean 5.9, blood 7.38, all together 7.23."""
    labs = pl.read_csv(demo / "LABEVENTS.csv.gz").filter(pl.col("ITEMID").is_in([51491, 51094, 50820]))
    mean = dict(labs.group_by(urine=pl.col("ITEMID") != 50820).agg(pl.col("VALUENUM").mean()).iter_rows())
    assert mean == {True: pytest.approx(5.9, abs=0.1), False: pytest.approx(7.38, abs=0.01)}
