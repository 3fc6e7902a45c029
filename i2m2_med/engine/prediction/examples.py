"""Examples of a run, with pictures: drawn by the data set as the model saw them, kept for reports that open neither."""

import io
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg

from i2m2_med.config.run import RunConfig
from i2m2_med.drawing import Figure
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.prediction.saliency import saliency_maps
from i2m2_med.errors import SourceError
from i2m2_med.examples import Example, choose, write_examples
from i2m2_med.samples.cohort import Cohort
from i2m2_med.samples.example import Look, Sight, Told
from i2m2_med.samples.preparing import open_source
from i2m2_med.sources.source import Source

SIZE = (7.5, 2.6)
"""Inches."""
DPI = 100
SIMULATED = "simulated data"


def draw_examples(predictor: Predictor, run: RunConfig, cohort: Cohort, table: pd.DataFrame, folder: Path) -> None:
    """Choose examples from a run's predictions and write them, with pictures where the data set draws any, into `folder`.

    run: the predictor's, with the places of its data.
    """
    source = open_source(run)
    synthetic = run.synthetic or bool(cohort.manifest["synthetic"])
    chosen = choose(table, cohort.labels.classes)
    made = [draw_one(one, source, predictor, cohort, synthetic=synthetic) for one in chosen]
    write_examples(folder, [one for one, _ in made], [picture for _, picture in made])


def draw_one(
    example: Example, source: Source, predictor: Predictor, cohort: Cohort, *, synthetic: bool
) -> tuple[Example, bytes]:
    """Return an example with its words, and its picture; without either where its data set draws none, or its files are gone."""
    if source.drawn_by is None or not predictor.run.evaluation.pictures:
        return example, b""
    figure = Figure(figsize=SIZE, layout="compressed")
    FigureCanvasAgg(figure)
    try:
        told: Told = import_module(source.drawn_by).draw_example(source, sight_of(example, predictor, cohort), figure)
    except SourceError:
        return example, b""
    if synthetic:
        figure.suptitle(SIMULATED, fontsize=8)
    held = io.BytesIO()
    figure.savefig(held, format="webp", dpi=DPI, bbox_inches="tight", pad_inches=0.05)
    return example.described(told.alt, told.text), held.getvalue()


def sight_of(example: Example, predictor: Predictor, cohort: Cohort) -> Sight:
    """Return the sample as the model reads it, and where each expert of images looks; an ensemble's models are not asked."""
    if predictor.members:  # samples of the whole cross-validation have no statistics of their own
        cohort = replace(cohort, state=predictor.state, opened={})
    where = (pl.col("study") == example.study) & (pl.col("item") == example.item)
    row = int(cohort.records.with_row_index("row").filter(where)["row"][0])
    samples = cohort.samples("test")
    batch = samples[int(samples.records.with_row_index("row").filter(where)["row"][0])]
    labels = predictor.labels
    answer = labels.names.index(example.label) * len(labels.classes) + example.shown
    maps = {} if predictor.members else saliency_maps(predictor, batch, [answer])
    reads = predictor.model.reads
    present = {name for name, there in batch.present.items() if bool(there[0])}
    return Sight(
        record=cohort.records.row(row, named=True),
        inputs={name: tensor[0].numpy() for name, tensor in batch.inputs.items() if name in present},
        arrays={name: np.asarray(array[row]) for name, array in cohort.arrays.items()},
        looks={
            name: Look(batch.inputs[reads[name][0]][0].numpy(), each[0, 0])
            for name, each in maps.items()
            if present.issuperset(reads[name])
        },
    )
