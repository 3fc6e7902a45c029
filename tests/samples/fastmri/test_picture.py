"""The picture of a prepared cohort: boxes lie on the anatomy that they were drawn for."""

from pathlib import Path

import polars as pl
import pytest

from i2m2_med.samples.fastmri.picture import chosen, panel, picture
from i2m2_med.simulate.knee import write as knee
from i2m2_med.simulate.knee.anatomy import KNEE
from i2m2_med.sources.fastmri.labels import PUBLISHED_RULES, read_boxes
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.source import Flow, Progress

SIZE = 48


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("knees") / "data"
    knee.simulate(folder, volumes=4, slices=3, matrix=f"{2 * SIZE}x61")
    return Source(Settings(root=folder))


@pytest.fixture(scope="module")
def records(source: Source, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    cache = tmp_path_factory.mktemp("cache")
    return source.ingest(cache, cache, Flow(), Progress())


def label_of(text: str) -> str:
    return next(
        (name for name, rule in PUBLISHED_RULES.items() if any(part.lower() in text.lower() for part in rule.contains)),
        "abnormal",
    )


def test_boxes_lie_where_the_finding_was_drawn(source: Source, records: pl.DataFrame) -> None:
    boxes, middle = read_boxes(source.annotations), (SIZE - 1) / 2
    placed = [box for record in records.iter_rows(named=True) for box in panel(record, boxes).boxes]
    assert placed
    for x, y, width, height, text in placed:
        u, v = (middle - (y + height / 2)) / (SIZE / 2), (x + width / 2 - middle) / (SIZE / 2)
        places = (KNEE.within[label_of(text)], KNEE.between[label_of(text)])
        assert min(abs(u - there[0]) + abs(v - there[1]) for there in places) < 0.25


def test_every_label_is_shown_and_nobody_is_named(source: Source, records: pl.DataFrame, tmp_path: Path) -> None:
    rows = chosen(records)
    labels = [name for name in records.columns if name.startswith("label_")]
    assert 1 <= len(rows) <= 6
    for name in labels:
        assert any(row[name] == 1 for row in rows) == (records[name] == 1).any()
    titles = [panel(row, read_boxes(source.annotations)).title for row in rows]
    assert not any(name in title for title in titles for name in [*records["patient"], *records["study"]])
    picture(read_boxes(source.annotations), records, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
