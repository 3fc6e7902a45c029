"""Events of a hospital's own codes → events of the codes that are read (`codes.py`), by the user's mapping.

Measurements are read by the mapping alone: a hospital's number is no item of MIMIC's. Events that the mapping doesn't name pass if
their code is one of `codes.py`. What is left is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.meds import codes
from i2m2_med.sources.meds.mapping import EVENTS, MEASURED, Row, concept_of
from i2m2_med.sources.mimic3.units import unit_of

ARTERIAL = f"{codes.RESULT}52033//{codes.UNKNOWN}"
"""The code of a sample's type, which says of which blood a `pao2` is."""
NAMED = 5
SEXES = {"male": "M", "female": "F"}


@dataclass
class Translation:
    """How each code is read, and what is to be said of it."""

    table: pl.DataFrame
    """`code`, `read_as`, `factor`, `offset`, `arterial`; one row per code that is read."""
    remarks: list[str] = field(default_factory=list[str])
    called: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    """By item, the hospital's codes that are read as it."""


def translate(events: pl.LazyFrame, rows: Sequence[Row], name: str) -> Translation:
    """Match every code of the data set with the rows, the first that fits. name: the mapping's file.

    Raises SourceError with the list where codes' own units are others than the mapping says, or no code fits.
    """
    counted = events.group_by("code", "unit").agg(pl.len()).collect(engine="streaming").sort("code", "unit")
    of_code = dict(counted.group_by("code").agg(pl.col("len").sum()).sort("code").iter_rows())
    exact, open_ended = {row.code: row for row in rows}, [row for row in rows if "*" in row.code]
    matched = {code: fit for code in of_code if (fit := match(code, exact, open_ended)) is not None}
    native = {code for code in of_code if code not in matched and is_event(code)}
    if not matched:
        raise SourceError(
            f"no code of the data set is in {name}; its codes are like {', '.join(list(of_code)[:NAMED])}"
        )
    refuse_other_units(counted, {code: row for code, (row, _) in matched.items()}, name)
    made = Translation(
        pl.DataFrame([*(entry(code, *fit) for code, fit in matched.items()), *map(kept, sorted(native))])
    )
    for code, (row, _) in matched.items():
        if row.concept in MEASURED:
            made.called.setdefault(MEASURED[row.concept][1], []).append(code)
    made.remarks += [*unmapped(of_code, set(matched) | native, name), *unused(rows, matched, name)]
    return made


def match(code: str, exact: dict[str, Row], open_ended: Sequence[Row]) -> tuple[Row, str] | None:
    """The first row that fits a code, and the text that its `*` stands for. exact: rows by code; open_ended: those with a `*`."""
    fits = [(row, "") for row in (exact.get(code),) if row is not None]
    fits += [(row, rest) for row in open_ended if (rest := row.rest(code)) is not None][:1]
    return min(fits, key=lambda fit: fit[0].line, default=None)


def is_event(code: str) -> bool:
    """Whether a code is one of `codes.py` for anything but a measurement."""
    return any(code == start or (start.endswith("//") and code.startswith(start)) for start in EVENTS.values())


def entry(code: str, row: Row, rest: str) -> dict[str, object]:
    """How one code is read."""
    if row.concept in EVENTS:
        word = rest.strip("/ ") or codes.UNKNOWN
        word = codes.UNKNOWN if row.concept == "icu_discharge" else word  # it says whereto, not from which unit
        word = SEXES.get(word.lower(), word) if row.concept == "gender" else word
        word = word.split("//")[0] if row.concept.startswith("diagnosis") else word
        read_as = EVENTS[row.concept] + (word if EVENTS[row.concept].endswith("//") else "")
        return {"code": code, "read_as": read_as, "factor": 1.0, "offset": 0.0, "arterial": False}
    prefix, item = MEASURED[row.concept]
    concept = concept_of(row.concept)
    factor, offset = concept.units[row.unit]
    own = next(iter(concept.units))
    read_as = f"{prefix}{item}//{own}"
    return {
        "code": code,
        "read_as": read_as,
        "factor": float(factor),
        "offset": float(offset),
        "arterial": row.concept == "pao2",
    }


def kept(code: str) -> dict[str, object]:
    """A code that stays as it is."""
    return {"code": code, "read_as": code, "factor": 1.0, "offset": 0.0, "arterial": False}


def refuse_other_units(counted: pl.DataFrame, matched: dict[str, Row], name: str) -> None:
    """Raise SourceError where events say a unit of their own that is not the mapping's."""
    wrong: list[str] = []
    for code, unit, _ in counted.drop_nulls("unit").iter_rows():
        row = matched.get(code)
        if (
            row is not None
            and row.concept in MEASURED
            and unit.strip()
            and unit_of(unit) != (row.unit or unit_of(unit))
        ):
            wrong.append(f"{code} is in {unit[:20]}, not {row.unit} (line {row.line})")
    if wrong:
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise SourceError(f"units of the data set are others than {name} says: {'; '.join(wrong[:NAMED])}{more}")


def unmapped(of_code: dict[str, int], read: set[str], name: str) -> list[str]:
    """How many events and codes are not read, and the most frequent of them."""
    left = {code: count for code, count in of_code.items() if code not in read}
    if not left:
        return []
    frequent = sorted(left, key=lambda code: -left[code])[:NAMED]
    return [
        f"{sum(left.values()):,} of {sum(of_code.values()):,} events ({len(left):,} of {len(of_code):,} codes) are in no row of {name} "
        f"and not read; the most frequent are {', '.join(frequent)}."
    ]


def unused(rows: Sequence[Row], matched: dict[str, tuple[Row, str]], name: str) -> list[str]:
    """Rows of the mapping that no event has."""
    used = {row.line for row, _ in matched.values()}
    idle = [row.code for row in rows if row.line not in used]
    more = f" and {len(idle) - NAMED} more" if len(idle) > NAMED else ""
    return [f"No event has the codes {', '.join(idle[:NAMED])}{more} of {name}."] if idle else []


def write_translated(events: pl.LazyFrame, table: pl.DataFrame, out: Path) -> pl.LazyFrame:
    """The events that are read, under the codes they are read as and in the concepts' own units, written once; scanned again."""
    read = events.join(table.lazy(), on="code").with_columns(
        code="read_as",
        unit=pl.lit(None, pl.String),
        numeric_value=pl.col("numeric_value") * pl.col("factor") + pl.col("offset"),
    )
    called = read.filter("arterial").with_columns(
        code=pl.lit(ARTERIAL), text_value=pl.lit("ART."), numeric_value=pl.lit(None, pl.Float64)
    )
    columns = events.collect_schema().names()
    pl.concat([read.select(columns), called.select(columns)]).sink_parquet(out, row_group_size=1_000_000)
    return pl.scan_parquet(out)
