"""The picture that `i2m2 prepare` draws of a fastMRI cohort: a few slices with the annotators' boxes on the anatomy they were drawn for."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from i2m2_med.files import replace_file
from i2m2_med.samples.coils import reconstruct
from i2m2_med.samples.fastmri.transforms import IMAGES, choice_of, files_of
from i2m2_med.samples.physics import fit_centre, turned
from i2m2_med.samples.pictures import PARTS, Panel, draw_grid, place_of
from i2m2_med.sources.fastmri.labels import read_boxes, unflip
from i2m2_med.sources.fastmri.slices import read_image, read_kspace

SHOWN = 6
Box = tuple[float, float, float, float, str]


def picture(boxes: pl.DataFrame, records: pl.DataFrame, path: Path) -> None:
    """Write a PNG of slices that between them show every label, and one without a finding.

    boxes: of fastMRI+; records: of a prepared cohort. Slices are named by their number alone, not by whose they are. Boxes
    were drawn on images flipped up/down: here they are flipped back, the images are as reconstructed.
    """
    draw_grid(
        [panel(row, boxes) for row in chosen(records)], path, "Prepared slices: magnitude, phase, and fastMRI+ boxes"
    )


def chosen(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Up to six records: for each label one with as little else as there is, then one without any, then more findings."""
    labels = [name for name in records.columns if name.startswith("label_")]
    counted = records.with_row_index("row").with_columns(found=pl.sum_horizontal(pl.col(labels).clip(0)))
    rows: list[int] = []
    for name in labels:
        positive = counted.filter(pl.col(name) == 1).sort("found", maintain_order=True)
        rows += [row for row in positive["row"].to_list() if row not in rows][:1]
    rows += counted.filter(pl.col("found") == 0)["row"].to_list()[:1]
    rest = (
        counted.filter(~pl.col("row").is_in(rows)).sort("found", descending=True, maintain_order=True)["row"].to_list()
    )
    return [records.row(row, named=True) for row in (rows + rest)[:SHOWN]]


def panel(record: dict[str, Any], boxes: pl.DataFrame) -> Panel:
    """One record as an image over the field of view that annotators saw, with its boxes the right way up."""
    files, (height, width) = files_of(record), record["_recon"]
    index = int(record["_slice"])
    if record["_format"] in IMAGES:
        image = fit_centre(fit_centre(torch.from_numpy(read_image(files, index)), height, -2), width, -1)
    else:
        kspace = torch.from_numpy(read_kspace(files.paths[0], record["_format"], index, choice_of(record)))
        image = turned(
            reconstruct(kspace, height, width, step=(record["_step"][0], record["_step"][1])), record["_turn"]
        )
    drawn = boxes.filter((pl.col("file") == files.name) & (pl.col("slice") == index) & ~pl.col("study_level"))
    placed: list[Box] = [
        (x, unflip(y, high, height), wide, high, text)
        for x, y, wide, high, text in drawn.select("x", "y", "width", "height", "label").drop_nulls().iter_rows()
    ]
    findings = [
        name.removeprefix("label_") for name, value in record.items() if name.startswith("label_") and value == 1
    ]
    title = f"slice {index}: {', '.join(findings) or 'no finding'}"
    parts = tuple(part for part in PARTS if record[f"has_{part}"])
    return Panel(title, np.abs(image.numpy()), np.angle(image.numpy()), placed, place_of(record), parts)


def draw_prepared(source: Any, folder: Path) -> Path:
    """The picture of a prepared cohort, `picture.png` in its (private) folder; made once. source: a `fastmri.Source`."""
    path = folder / "picture.png"
    if not path.exists():
        boxes = read_boxes(source.annotations, source.settings.anatomy)
        with replace_file(path) as beside:
            picture(boxes, pl.read_parquet(folder / "records.parquet"), beside)
    return path
