"""Judge cells and units that could not be read: refused above a share, reported below it."""

from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.cells.forms import form_of
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.items import UNKNOWN_UNIT, items_of, rules_of, unit_fits, units_of
from i2m2_med.sources.mimic3.settings import Settings
from i2m2_med.sources.mimic3.tables import HOURLY, ID, MARK, NUMBER, TIME, table_named
from i2m2_med.sources.source import Flow

KINDS = {str(TIME): "a time", str(NUMBER): "a number", str(ID): "a whole number", str(MARK): "a mark of 0 or 1"}
UTC = "+00:00"


def judge_table(name: str, path: Path, table: Ingested, allowed: float, flow: Flow) -> None:
    """Every column of one table: refuse those of which more than `allowed` of the cells can't be read, remark on the others.

    Raises SourceError with table, column, share and the form of an example; with `flow.skip_bad` it is listed.
    """
    for column, report in table.counts["columns"].items():
        share = report["unreadable"] / max(report["cells"], 1)
        kind = KINDS.get(str(table_named(name).columns[column]), "text")
        if share > allowed:
            flow.refuse(path.name, SourceError(f"{path.name}: {complaint(column, share, kind, report)}; {REMEDY}"))
        elif report["unreadable"]:
            flow.remarks.append(f"{name}: {complaint(column, share, kind, report)}; they count as empty.")
        if column in HOURLY and report["dates"] > report["cells"] / 2:
            held = f"{report['dates']:,} of {report['cells']:,} cells of {column} hold a date without an hour"
            flow.refuse(path.name, SourceError(f"{path.name}: {held}; export it again with its hours"))
    if table.counts["headers"]:
        flow.remarks.append(f"{name}: {table.counts['headers']} repeated header lines were left out.")
    if table.counts["duplicates"]:
        flow.remarks.append(f"{name}: {table.counts['duplicates']:,} rows that stand there twice count once.")
    if table.counts["reused_ids"]:
        flow.remarks.append(
            f"{name}: {table.counts['reused_ids']:,} rows share a ROW_ID with another row; all are read."
        )


REMEDY = "export it again, or allow more by source.unreadable"


def complaint(column: str, share: float, kind: str, report: dict[str, Any]) -> str:
    """Return the message on a column that can't be read: its name, share, form of an example, and why where that says more."""
    form = f"form {report['form']}" if report["form"] else "no example"
    why = f", {report['why']}" if report["why"] else ""
    return f"{column} can't be read as {kind} in {percent(share)} of its cells ({form}{why})"


def percent(share: float) -> str:
    """A share as a percentage with as many digits as it needs.

    >>> percent(0.5), percent(0.0004), percent(0.999)
    ('50 %', '0.04 %', '99.9 %')
    """
    return f"{100 * share:.3g} %" if share < 0.995 else f"{100 * share:.4g} %"


def judge_zones(tables: dict[str, Ingested], flow: Flow) -> None:
    """Times with a zone: all of one (UTC beside none is how databases write wall clocks); others are refused, since hours
    between them can't be counted."""
    named = {
        f"{name}.{column}": report["zones"]
        for name, table in tables.items()
        for column, report in table.counts["columns"].items()
        if report["zones"]
    }
    zones = {zone for each in named.values() for zone in each}
    if not zones:
        return
    if len(zones) > 1 or (zones != {UTC} and len(named) < time_columns(tables)):
        where = ", ".join(sorted(named)[:4])
        others = "" if len(zones) > 1 else " and others have none"
        raise SourceError(
            f"times in {where} name the zones {', '.join(sorted(zones))}{others}; export all tables in one zone"
        )
    flow.remarks.append(f"Times name the zone {zones.pop()}; they are read as the wall clock that they show.")


def time_columns(tables: dict[str, Ingested]) -> int:
    """How many columns of times the tables have."""
    held = [
        column
        for name, table in tables.items()
        for column, kind in table_named(name).columns.items()
        if kind == TIME and column not in table.counts["absent"] and table.counts["rows_kept"]
    ]
    return len(held)


def judge_units(name: str, path: Path, table: Ingested, settings: Settings, flow: Flow) -> None:
    """Refuse an item of which more than the allowed share is charted in a unit that no table knows, or that is not the item's.

    Raises SourceError with item, share, and the unit's form; with `flow.skip_bad` it is listed.
    """
    items = items_of(settings.channels, settings.items).filter(pl.col("table") == name)
    charted = table.scan().group_by("ITEMID", "VALUEUOM").agg(pl.len()).collect(engine="streaming")
    judged = (
        charted.with_columns(UNIT=units_of(charted["VALUEUOM"]))
        .join(rules_of(items).collect(), on="ITEMID")
        .with_columns(fits=unit_fits(), share=pl.col("len") / pl.col("len").sum().over("ITEMID"))
        .filter(~pl.col("fits"))
    )
    for item, rows in sorted(judged.group_by("ITEMID"), key=lambda group: str(group[0])):
        share, first = float(rows["share"].sum()), rows.sort("len", "VALUEUOM", descending=True).row(0, named=True)
        unknown = first["UNIT"] == UNKNOWN_UNIT
        unit = f"an unknown unit (form {form_of(first['VALUEUOM'])})" if unknown else f"{first['UNIT']}"
        charted_in = f"item {item[0]} ({first['concept']}) is charted in {unit} in {percent(share)} of its rows"
        expected = f"it should be in {' or '.join(first['accepted'])}"
        if share > settings.unreadable:
            remedy = "export it in that, or allow more by source.unreadable"
            flow.refuse(path.name, SourceError(f"{path.name}: {charted_in}; {expected}; {remedy}"))
        else:
            flow.remarks.append(f"{name}: {charted_in}; {expected}; they are left out.")


def name_unseen(series: dict[str, bool], static: dict[str, bool], flow: Flow) -> None:
    """Name the channels that nobody has. series, static: by channel, whether anybody has a value.

    Raises SourceError where nobody has any series at all.
    """
    if not any(series.values()):
        raise SourceError(
            "no stay has a single value of the series: no row of CHARTEVENTS, LABEVENTS and OUTPUTEVENTS fits a channel, "
            "a stay and its time; see the counts of the tables' items"
        )
    unseen = [name for name, seen in {**series, **static}.items() if not seen]
    if unseen:
        flow.remarks.append(f"Nobody has a value of {', '.join(unseen)}.")


def name_unknown(records: pl.DataFrame, flow: Flow) -> None:
    """Say how many samples have no label that could be known; they count neither in training nor in metrics."""
    labels = [name for name in records.columns if name.startswith("label_")]
    unknown = int(records.select(pl.all_horizontal(pl.col(name) == -1 for name in labels)).to_series().sum())
    if unknown:
        flow.remarks.append(f"{unknown:,} of {records.height:,} samples have no label that can be known.")
