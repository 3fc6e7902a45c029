"""One column of a table, read batch by batch, and what could not be read of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from i2m2_med.sources.cells import numbers, times
from i2m2_med.sources.cells.empties import emptied
from i2m2_med.sources.cells.forms import form_of

TRUE, FALSE = ("1", "1.0", "true", "t", "y", "yes"), ("0", "0.0", "false", "f", "n", "no")
MANY, HOURS_SEEN = 50, 8
"""A column of so many times, in so many different hours, none of them 0 or above 12, is a 12-hour clock without AM and PM."""
HALF_CLOCK = "its hours go from 1 to 12 without AM or PM"
LOOKED_AT = 1000


@dataclass
class CellReader:
    """Reads one column into its polars type and counts. Batches may come one after another, of any size."""

    name: str
    kind: Any
    """The polars type wanted."""
    whole: Callable[[str], pl.LazyFrame]
    """The column as text from first row to last, for what a single batch can't decide."""
    cells: int = 0
    """Cells that are not empty."""
    unreadable: int = 0
    dates: int = 0
    """Times that hold a date only."""
    zones: set[str] = field(default_factory=set[str])
    why: str = ""
    """Why cells can't be read, where the form alone does not say it."""
    forms: Counter[str] = field(default_factory=Counter[str])
    hours: set[int] = field(default_factory=set[int])
    decided: dict[str, Any] = field(default_factory=dict[str, Any])

    def read(self, cells: pl.Series) -> pl.Series:
        """A batch in its type, null where empty or unreadable (a mark: false)."""
        if self.kind == pl.String:
            return self.texts(cells)
        if self.kind == pl.Boolean:
            return self.marks(cells)
        return self.times(cells) if self.kind == pl.Datetime else self.numbers(cells)

    def report(self) -> dict[str, Any]:
        """Cells, unreadable ones with the commonest form among the first, and what else is to be judged."""
        half = self.cells >= MANY and len(self.hours) >= HOURS_SEEN and self.hours <= set(range(1, 13))
        form = self.forms.most_common(1)[0][0] if self.forms else None
        return {
            "cells": self.cells,
            "unreadable": self.cells if half else self.unreadable,
            "form": form or ("dd:dd" if half else None),
            "why": HALF_CLOCK if half else self.why if self.unreadable else "",
            "dates": self.dates,
            "zones": sorted(self.zones),
        }

    def texts(self, cells: pl.Series) -> pl.Series:
        """Texts; a spelling of nothing is null."""
        read = emptied(cells.cast(pl.String), typed=False)
        self.cells += read.len() - read.null_count()
        return read

    def marks(self, cells: pl.Series) -> pl.Series:
        """Yes or no; empty is no. The usual spelling is read first: it is a tenth of the work."""
        if cells.dtype == pl.String and (cells.is_null() | (cells == "0") | (cells == "1")).all():
            self.cells += cells.len() - cells.null_count()
            return (cells == "1").fill_null(False)
        text = emptied(cells.cast(pl.String), typed=True)
        small = text.str.to_lowercase()
        yes = small.is_in(TRUE)
        self.cells += text.len() - text.null_count()
        self.lose(text.filter(~yes & ~small.is_in(FALSE)))
        return yes.fill_null(False)

    def times(self, cells: pl.Series) -> pl.Series:
        """Datetimes in microseconds, zones taken off."""
        if cells.dtype == pl.String:
            read = cells.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
            if read.null_count() > cells.null_count():
                read = self.other_times(read, cells, read.is_null() & cells.is_not_null())
        elif isinstance(cells.dtype, pl.Datetime):
            zone = cells.dtype.time_zone
            self.zones |= {"+00:00" if zone in ("UTC", "Etc/UTC", "GMT") else zone} if zone else set()
            read = (cells.dt.replace_time_zone(None) if zone else cells).cast(self.kind)
        elif isinstance(cells.dtype, pl.Date | pl.Null):
            read = cells.cast(self.kind)
            self.dates += cells.len() - cells.null_count()
        else:
            self.why = times.NUMBERS
            read = self.none_of(cells)
        self.cells += read.len() - read.null_count()
        low, high = read.min(), read.max()
        if low is not None and (low < times.EARLIEST or high > times.LATEST):  # type: ignore[operator]
            beyond = ((read < times.EARLIEST) | (read > times.LATEST)).fill_null(False)
            self.cells -= int(beyond.sum())
            self.lose(cells.filter(beyond).cast(pl.String))
            read = read.set(beyond, None)
        if len(self.hours) < 24 and self.cells < LOOKED_AT * MANY:
            self.hours |= set(read.drop_nulls().head(LOOKED_AT * MANY).dt.hour().unique())
        return read

    def other_times(self, read: pl.Series, cells: pl.Series, rest: pl.Series) -> pl.Series:
        """`read`, filled where `rest` says that the usual form did not fit."""
        text = emptied(cells.filter(rest), typed=True)
        parsed, zones, dates = times.iso(text)
        self.zones |= zones
        self.dates += dates
        odd = text.filter(parsed.is_null() & text.is_not_null()).unique()
        if odd.len():
            order = self.decide(times.order_of) if odd.str.contains(times.AMBIGUOUS).any() else None
            known = {t: time for t in odd if (time := times.time_of(t, order)) is not None}
            self.zones |= {zone for _, _, zone in known.values() if zone}
            self.dates += int(text.is_in([t for t, (_, date, _) in known.items() if date]).sum())
            at = {t: time for t, (time, _, _) in known.items()}
            parsed = parsed.fill_null(text.replace_strict(at, default=None, return_dtype=pl.Datetime("us")))
            if order is None and odd.str.contains(times.AMBIGUOUS).any():
                self.why = times.UNDECIDED
            elif odd.str.contains(r"^\d+(\.\d+)?$").any():
                self.why = times.NUMBERS
        self.lose(text.filter(parsed.is_null() & text.is_not_null()))
        return read.scatter(rest.arg_true(), parsed)

    def numbers(self, cells: pl.Series) -> pl.Series:
        """Floats, or whole numbers; what is infinite or has a fraction where none may be is unreadable."""
        if cells.dtype == pl.String:
            read = cells.cast(self.kind, strict=False)
            infinite = self.kind.is_float() and not read.is_finite().all()
            if infinite or read.null_count() > cells.null_count():
                odd = read.is_null() & cells.is_not_null()
                odd = odd | ~read.is_finite().fill_null(True) if infinite else odd
                read = self.other_numbers(read, cells, odd)
        elif cells.dtype.is_integer():
            read = cells.cast(self.kind)
        elif cells.dtype.is_numeric() or cells.dtype == pl.Null:
            number = cells.cast(pl.Float64) if cells.dtype.is_decimal() else cells
            fits = number.is_finite() if number.dtype.is_float() else number.is_not_null()
            if number.dtype.is_float() and self.kind.is_integer():
                fits &= number == number.floor()
            empty = number.is_null() | (number.is_nan() if number.dtype.is_float() else False)
            self.lose(cells.filter(~fits.fill_null(True) & ~empty).cast(pl.String))
            read = number.set(~fits.fill_null(False), None).cast(self.kind)
        else:
            read = self.none_of(cells)
        self.cells += read.len() - read.null_count()
        return read

    def other_numbers(self, read: pl.Series, cells: pl.Series, rest: pl.Series) -> pl.Series:
        """`read`, filled where `rest` says that a plain cast did not do."""
        text = emptied(cells.filter(rest), typed=True)
        odd = text.drop_nulls().unique()
        commas = odd.str.contains(r"[,，]").any()
        comma = self.decide(numbers.comma_of) if commas else None
        number_by_text = {t: number for t in odd if (number := numbers.number_of(t, comma)) is not None}
        if self.kind.is_integer():
            number_by_text = {
                t: int(number) for t, number in number_by_text.items() if number.is_integer() and abs(number) < 2**63
            }
        if commas and comma is None:
            self.why = numbers.UNDECIDED
        filled = text.replace_strict(number_by_text, default=None, return_dtype=self.kind)
        self.lose(text.filter(filled.is_null() & text.is_not_null()))
        return read.scatter(rest.arg_true(), filled)

    def decide(self, how: Callable[[pl.LazyFrame, str], Any]) -> Any:
        """Return the verdict of `how` on all cells of the column, asked once and kept."""
        if how.__name__ not in self.decided:
            self.decided[how.__name__] = how(self.whole(self.name), self.name)
        return self.decided[how.__name__]

    def none_of(self, cells: pl.Series) -> pl.Series:
        """No cell of a type that can't be what is wanted."""
        self.lose(cells.drop_nulls().cast(pl.String, strict=False))
        return pl.Series(cells.name, [None] * cells.len(), dtype=self.kind)

    def lose(self, texts: pl.Series) -> None:
        """Count cells that can't be read, and keep the form of the first ones."""
        self.cells += texts.len()
        self.unreadable += texts.len()
        if sum(self.forms.values()) < LOOKED_AT:
            self.forms.update(form_of(text) for text in texts.head(LOOKED_AT).drop_nulls())
