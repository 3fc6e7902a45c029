"""Times as text: every variant of ISO 8601, and what spreadsheets and databases write where it can be read in one way only.

A zone is taken off and noted: a record's times are its hospital's wall clock. Numbers (days since 1900, seconds since 1970) and
years of two digits are no times.
"""

import re
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

Order = Literal["day", "month"]
EARLIEST, LATEST = datetime(1700, 1, 1), datetime(2400, 1, 1)
"""De-identified years go far, but not beyond these: 0001 and 9999 stand for nothing known."""
ZONE = r"(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"
ISO = r"(?i)^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:T| +)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)? *" + ZONE + r"?$"
"""Year, month, day, hour, minute, second, fraction, zone."""
CLOCK = r"(?:(?:T|,? +|:)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)? *([AaPp]\.?[Mm]\.?)?)? *" + ZONE + "?"
BY_NUMBER = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})" + CLOCK, re.ASCII)
BY_YEAR = re.compile(r"(\d{4})([/.-])(\d{1,2})\2(\d{1,2})" + CLOCK, re.ASCII)
BY_NAME = re.compile(r"(\d{1,2})[ -]?([A-Za-z]{3,9})[ ,-]*(\d{4})" + CLOCK, re.ASCII)
NAME_FIRST = re.compile(r"([A-Za-z]{3,9})\.? +(\d{1,2}),? +(\d{4})" + CLOCK, re.ASCII)
BASIC = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?)?" + ZONE + "?", re.ASCII)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
AMBIGUOUS = r"^\s*(\d{1,2})[/.-](\d{1,2})[/.-]\d{4}"
UNDECIDED = "whether day or month comes first can't be told"
NUMBERS = "numbers stand where times should"


def order_of(cells: pl.LazyFrame, column: str) -> Order | None:
    """Which comes first in a whole column's dd/dd/dddd: what exceeds 12 is a day; None where nothing, or both, does."""
    parts = [pl.col(column).str.extract(AMBIGUOUS, group).cast(pl.Int32).max() > 12 for group in (1, 2)]
    first, second = cells.select(first=parts[0], second=parts[1]).collect(engine="streaming").row(0)
    return {(True, False): "day", (False, True): "month"}.get((bool(first), bool(second)))  # type: ignore[return-value]


def iso(texts: pl.Series) -> tuple[pl.Series, set[str], int]:
    """(datetimes, null where a text is not ISO; zones named in them; how many hold a date only)."""
    part = texts.str.extract_groups(ISO).struct.unnest()
    number = {name: part[str(place)] for place, name in enumerate(("y", "m", "d", "H", "M", "S", "f", "zone"), start=1)}
    frame = pl.DataFrame({**number})
    clock = [pl.col(name).fill_null("00").str.zfill(2) for name in "HMS"]
    text = pl.concat_str(
        pl.col("y"), pl.lit("-"), pl.col("m").str.zfill(2), pl.lit("-"), pl.col("d").str.zfill(2), pl.lit(" "),
        clock[0], pl.lit(":"), clock[1], pl.lit(":"), clock[2], pl.lit("."), pl.col("f").fill_null("0"),
    )  # fmt: skip
    times = frame.select(text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")).to_series()
    zones = {offset(zone) for zone in frame["zone"].drop_nulls().unique()}
    dates = int((frame["H"].is_null() & times.is_not_null()).sum())
    return times, zones, dates


def offset(zone: str) -> str:
    """A zone's spelling as +hh:mm."""
    if zone.upper() in ("Z", "UTC", "GMT"):
        return "+00:00"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"+{digits[:2]}:{digits[2:]}" if digits == "0000" else f"{zone[0]}{digits[:2]}:{digits[2:]}"


def time_of(text: str, order: Order | None) -> tuple[datetime, bool, str | None] | None:
    """(time, whether it holds a date only, zone) of what is not plain ISO; None if it can't be read in one way.

    >>> time_of("1/31/2150 9:05 PM", "month")[0].isoformat(), time_of("31JAN2150:21:05:00", None)[0].isoformat()
    ('2150-01-31T21:05:00', '2150-01-31T21:05:00')
    """
    if match := BY_NUMBER.fullmatch(text):
        first, mark, second, year, *clock = match.groups()
        comes_first = order or ("day" if mark == "." else None)
        if comes_first is None:
            return None
        day, month = (first, second) if comes_first == "day" else (second, first)
        return moment(year, month, day, clock)
    if match := BY_YEAR.fullmatch(text):
        year, _, month, day, *clock = match.groups()
        return moment(year, month, day, clock)
    if match := BY_NAME.fullmatch(text):
        day, name, year, *clock = match.groups()
        return moment(year, month_of(name), day, clock)
    if match := NAME_FIRST.fullmatch(text):
        name, day, year, *clock = match.groups()
        return moment(year, month_of(name), day, clock)
    if match := BASIC.fullmatch(text):
        year, month, day, *clock, zone = match.groups()
        return moment(year, month, day, [*clock, None, None, zone])
    return None


def moment(year: str, month: str | int, day: str, clock: list[str | None]) -> tuple[datetime, bool, str | None] | None:
    """A date and the parts of a clock (hour, minute, second, fraction, AM or PM, zone); None if there is no such time."""
    hour, minute, second, fraction, half, zone = clock
    h = int(hour or 0)
    if half:
        if not 1 <= h <= 12:
            return None
        h = h % 12 + 12 * (half[0].lower() == "p")
    micro = int((fraction or "0").ljust(6, "0")[:6])
    try:
        start = datetime(int(year), int(month), int(day))
        at = start + timedelta(hours=h, minutes=int(minute or 0), seconds=int(second or 0), microseconds=micro)
    except ValueError:
        return None
    if h > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        return None
    return at, hour is None, offset(zone) if zone else None


def month_of(name: str) -> int:
    """Number of an English month's name or its first three letters; 0 for what is none."""
    short = name.lower()
    full = {"january", "february", "march", "april", "june", "july", "august", "september", "sept", "october"}
    known = short in MONTHS or short in {*full, "november", "december"}
    return MONTHS.index(short[:3]) + 1 if known else 0
