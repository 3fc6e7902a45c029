"""What a model saw in training, in a few ranges per modality, and in which of them a new sample lies outside."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Bound

Envelope = dict[str, dict[str, list[float]]]
"""By modality (or `record`) and measure: [least, greatest] over training samples."""

Bounds = Mapping[str, Bound]
"""As a `Source` declares them, by private column of records."""

SLACK = {"rms": 3.0, "filled": 3.0}
"""By measure of a tensor, how many times beyond what was seen is still taken for the same; its sizes must be those seen."""
SAMPLES = 256
"""Training samples that are measured."""


def fit_envelope(samples: Samples, bounds: Bounds) -> Envelope:
    """Ranges over training samples, evenly taken. bounds: which columns of their records count (`Source.bounds`)."""
    rows = np.unique(np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).astype(int)).tolist()
    envelope: Envelope = {}
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        for name, measure, value in measures(samples.__getitems__(part), samples.records[part].to_dicts(), bounds):
            low, high = envelope.setdefault(name, {}).get(measure, [value, value])
            envelope[name][measure] = [min(low, value), max(high, value)]
    return envelope


def measures(batch: Batch, records: Sequence[Mapping[str, Any]], bounds: Bounds) -> Iterator[tuple[str, str, float]]:
    """(modality, measure, value) of each sample's size per axis, root mean square, and share of entries that are not zero;
    ('record', 'column place', value) of each number in a bounded column."""
    for name, tensor in batch.inputs.items():
        there = batch.present[name].numpy()
        if not there.any():
            continue
        yield from ((name, f"axis {axis}", float(size)) for axis, size in enumerate(tensor.shape[1:]))
        flat = tensor.numpy()[there].reshape(int(there.sum()), -1)
        yield from ((name, "filled", float(share)) for share in (flat != 0).mean(axis=1))
        if flat.dtype.kind == "f":
            yield from (
                (name, "rms", float(value)) for value in np.sqrt(np.square(flat, dtype=np.float64).mean(axis=1))
            )
    for record in records:
        for column in bounds:
            values = np.atleast_1d(np.asarray(record.get(column, []), dtype=float))
            yield from (("record", f"{column} {place}", float(value)) for place, value in enumerate(values))


def outside(envelope: Envelope, batch: Batch, records: Sequence[Mapping[str, Any]], bounds: Bounds) -> list[str]:
    """What of a batch lies outside the envelope, each once, in words without a patient's values."""
    warnings: dict[str, None] = {}
    for name, measure, value in measures(batch, records, bounds):
        seen = envelope.get(name, {}).get(measure)
        if seen is None:
            continue
        words, slack = bound_of(measure, bounds) if name == "record" else bound_of_tensor(measure)
        if not seen[0] / slack <= value <= seen[1] * slack:
            warnings[f"{name}: {words} outside what the model saw"] = None
    return list(warnings)


def bound_of(measure: str, bounds: Bounds) -> tuple[str, float]:
    """A record's measure ('_shape 1') in words, and its slack."""
    column, _, place = measure.partition(" ")
    return bounds[column].names[int(place)], bounds[column].slack


def bound_of_tensor(measure: str) -> tuple[str, float]:
    """A tensor's measure in words, and its slack."""
    return {"rms": "scale", "filled": "amount of data"}.get(measure, measure), SLACK.get(measure, 1.0)
