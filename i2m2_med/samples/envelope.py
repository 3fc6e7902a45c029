"""What a model saw in training, in a few ranges per modality, and in which of them a new sample lies outside."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples

Envelope = dict[str, dict[str, list[float]]]
"""By modality (or `record`) and measure: [least, greatest] over training samples."""

MEASURED_RECORD = ("_shape", "_scale", "_hours")
"""Private columns of records that say how a study was acquired, before transforms make all samples alike."""
SLACK = {"rms": 3.0, "_scale": 3.0, "filled": 3.0}
"""By measure, how many times beyond what was seen is still taken for the same; sizes get a quarter, channels nothing."""
SAMPLES = 256
"""Training samples that are measured."""


def fit_envelope(samples: Samples) -> Envelope:
    """Ranges over training samples, evenly taken."""
    rows = np.unique(np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).astype(int)).tolist()
    envelope: Envelope = {}
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        for name, measure, value in measures(samples.__getitems__(part), samples.records[part].to_dicts()):
            low, high = envelope.setdefault(name, {}).get(measure, [value, value])
            envelope[name][measure] = [min(low, value), max(high, value)]
    return envelope


def measures(batch: Batch, records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """(modality, measure, value) of each sample's size per axis, root mean square, and share of entries that are not zero."""
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
        for column in MEASURED_RECORD:
            values = np.atleast_1d(np.asarray(record.get(column, []), dtype=float))
            yield from (("record", f"{column} {place}", float(value)) for place, value in enumerate(values))


def outside(envelope: Envelope, batch: Batch, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of a batch lies outside the envelope, each once, in words without a patient's values."""
    said: dict[str, None] = {}
    for name, measure, value in measures(batch, records):
        seen = envelope.get(name, {}).get(measure)
        if seen is not None and not within(measure, value, seen):
            said[f"{name}: {WORDS.get(measure, measure)} outside what the model saw"] = None
    return list(said)


WORDS = {
    "rms": "scale",
    "filled": "amount of data",
    "_shape 0": "number of slices",
    "_shape 1": "number of coils",
    "_shape 2": "size (readout)",
    "_shape 3": "size (phase)",
    "_scale 0": "scale",
    "_hours 0": "hours",
}


def within(measure: str, value: float, seen: Sequence[float]) -> bool:
    """Whether a value is as those that were seen, within the measure's slack."""
    low, high = seen
    slack = SLACK.get(measure.split()[0], 1.25 if measure.startswith(("_shape", "_hours")) else 1.0)
    return low / slack <= value <= high * slack
