"""The envelope: a few ranges per modality of what a model saw in training, and those that a new sample lies outside of."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from i2m2_med.files import digest
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Bound, Kind

Envelope = dict[str, dict[str, list[float]]]
"""By modality (or `record`) and measure: [least, greatest] over training samples; words that records held stand as 'column #hash'."""

Bounds = Mapping[str, Bound]
"""As a `Source` declares them, by private column of records."""
Kinds = Mapping[str, Kind]
"""As a `Source` declares them, by column of records."""

SLACK = {"rms": 3.0, "filled": 3.0}
"""By measure of a tensor, how many times beyond what was seen is still taken for the same; its sizes must be those seen."""
SAMPLES = 256
"""Training samples that are measured."""


def fit_envelope(samples: Samples, bounds: Bounds, kinds: Kinds = MappingProxyType({})) -> Envelope:
    """Ranges over training samples, evenly taken, and the words of all. bounds, kinds: which columns of their records count."""
    rows = np.unique(np.linspace(0, len(samples) - 1, min(SAMPLES, len(samples))).astype(int)).tolist()
    envelope: Envelope = {}
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        for name, measure, value in measures(samples.__getitems__(part), samples.records[part].to_dicts(), bounds):
            low, high = envelope.setdefault(name, {}).get(measure, [value, value])
            envelope[name][measure] = [min(low, value), max(high, value)]
    for column in kinds:
        words = samples.records[column].drop_nulls().unique() if column in samples.records.columns else ()
        for word in words:
            envelope.setdefault("record", {})[measure_of(column, word)] = [1.0, 1.0]
    return envelope


def measure_of(column: str, word: str) -> str:
    """Return the envelope's name for a word in a column: a digest, as what files say of themselves is not handed on with a model.

    >>> measure_of("_plane", "axial")
    '_plane #cbd13dd6'
    """
    return f"{column} #{digest(word)[:8]}"


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
            cell = record.get(column)
            values = np.atleast_1d(np.asarray([] if cell is None else cell, dtype=float))
            yield from (("record", f"{column} {place}", float(value)) for place, value in enumerate(values))


def outside(
    envelope: Envelope,
    batch: Batch,
    records: Sequence[Mapping[str, Any]],
    bounds: Bounds,
    kinds: Kinds = MappingProxyType({}),
) -> list[str]:
    """Return what of a batch lies outside the envelope, each once, in words without a patient's values."""
    warnings: dict[str, None] = {}
    for name, measure, value in measures(batch, records, bounds):
        seen = envelope.get(name, {}).get(measure)
        if seen is None:
            continue
        words, slack = bound_of(measure, bounds) if name == "record" else bound_of_tensor(measure)
        if not seen[0] / slack <= value <= seen[1] * slack:
            warnings[f"{name}: {words} outside what the model saw"] = None
    seen_words = envelope.get("record", {})
    warnings |= dict.fromkeys(text for record in records for text in unheard(seen_words, record, bounds, kinds))
    return list(warnings)


def unheard(seen: Collection[str], record: Mapping[str, Any], bounds: Bounds, kinds: Kinds) -> Iterator[str]:
    """Words of a record that training never saw, and bounded columns that training always had and it has not.

    seen: measures of the envelope; a column that it says nothing of (an older model's) is passed over.
    """
    for column, kind in kinds.items():
        word = record.get(column)
        known = any(measure.startswith(f"{column} #") for measure in seen)
        if known and word is not None and measure_of(column, word) not in seen:
            yield f"record: {kind.name}{f' {word}' if kind.plain else ''} was never seen in training"
    for column, bound in bounds.items():
        if column in record and record[column] is None and f"{column} 0" in seen:
            yield f"record: {bound.names[0]} is not known"


def bound_of(measure: str, bounds: Bounds) -> tuple[str, float]:
    """A record's measure ('_shape 1') in words, and its slack."""
    column, _, place = measure.partition(" ")
    return bounds[column].names[int(place)], bounds[column].slack


def bound_of_tensor(measure: str) -> tuple[str, float]:
    """A tensor's measure in words, and its slack."""
    return {"rms": "scale", "filled": "amount of data"}.get(measure, measure), SLACK.get(measure, 1.0)
