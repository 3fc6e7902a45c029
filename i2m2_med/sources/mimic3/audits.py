"""What the manifest says about the data: rejections per item, label counts, missingness, leaks."""

from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.grid import channel_names
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.tables import TABLES
from i2m2_med.sources.source import Flow


def audit_ingest(tables: dict[str, Ingested], files: dict[str, Path], flow: Flow) -> None:
    """Row counts of every table, held against the published ones where this is the full release."""
    flow.audits["tables"] = {name: table.counts for name, table in tables.items()}
    for name, table in tables.items():
        unit = "of mapped items" if TABLES[name].by_item else "all"
        read, kept = table.counts["rows_read"], table.counts["rows_kept"]
        flow.step(f"{name}: rows kept ({unit})", kept, read - kept, "other items, repeated rows" if read > kept else "")
    if tables["PATIENTS"].counts["rows_read"] == TABLES["PATIENTS"].rows:
        for name, table in tables.items():
            if table.counts["rows_read"] != TABLES[name].rows:
                found = f"{files[name].name} holds {table.counts['rows_read']:,} rows"
                flow.refuse(
                    files[name].name,
                    SourceError(f"{found}, MIMIC-III 1.4 has {TABLES[name].rows:,}; download it again"),
                )


def audit_samples(arrays: dict[str, np.ndarray], settings: Settings, flow: Flow) -> None:
    """Missingness of every channel over all samples."""
    flow.audits["missing"] = missing(arrays["series"], channel_names(settings))


def missing(series: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Share of samples in which a channel is never known, by channel."""
    never = ~np.isfinite(series).any(axis=1)
    return {name: round(float(share), 4) for name, share in zip(names, never.mean(axis=0), strict=True)}
