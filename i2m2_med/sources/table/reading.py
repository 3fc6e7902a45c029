"""A table of any of the usual formats → columns of text, null where a cell is empty. Nothing is typed here."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.documents import NotPlain, read_json
from i2m2_med.errors import SourceError, extra_hint
from i2m2_med.sources.cells.empties import emptied
from i2m2_med.sources.cells.parts import WORDS

TEXT, PARQUET, EXCEL, DATALIST = (".csv", ".tsv", ".txt"), (".parquet", ".pq"), (".xlsx", ".xlsm"), (".json",)
FORMATS = (*TEXT, *PARQUET, *EXCEL, *DATALIST)
LARGEST = 4 * 2**30
"""Bytes of a table."""
MOST_CELLS = 200_000_000
LONGEST_CELL = 1 << 20
"""Characters of a cell: a text of more is no sentence or report."""
CHECKED = 1 << 26
"""Bytes of separated text of which each line's cells are counted; of larger ones a short line is filled up with empty cells."""
SPLIT = "split"
"""The column that a datalist's lists become."""


def read_table(path: Path, sheet: str | None = None) -> pl.DataFrame:
    """Columns of text, blanks around cells taken off. Raises SourceError for what is no table, or can be read in two ways."""
    if not path.is_file():
        raise SourceError(
            f"{path} is not there; name the table where it lies (in a config: source.root and source.table)"
        )
    if path.stat().st_size > LARGEST:
        raise SourceError(f"{path.name} has {path.stat().st_size / 2**30:.1f} GiB; a table has {LARGEST >> 30} at most")
    kind = path.suffix.lower()
    if kind in TEXT:
        table = read_text(path)
    elif kind in PARQUET:
        table = read_parquet(path)
    elif kind in EXCEL:
        table = read_excel(path, sheet)
    elif kind in DATALIST:
        table = read_datalist(path)
    else:
        raise SourceError(f"{path.name} is no table; {', '.join(FORMATS)} are read")
    return tidied(table, path.name)


def tidied(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """The table with cells stripped and empty ones null, without lines that hold nothing."""
    if not table.width or not table.height:
        raise SourceError(f"{name} holds no row below its header")
    longest = table.select(pl.all().str.len_chars().max()).row(0)
    for column, length in zip(table.columns, longest, strict=True):
        if (length or 0) > LONGEST_CELL:
            raise SourceError(f"{name}: a cell of '{column}' has {length:,} characters; put long texts into files")
    table = table.select(emptied(table[column].str.strip_chars(), typed=False) for column in table.columns)
    return table.with_row_index("__row", offset=2).filter(~pl.all_horizontal(pl.exclude("__row").is_null()))


def row_numbers(table: pl.DataFrame) -> pl.Series:
    """The number of each row as a spreadsheet shows it: the header is row 1."""
    return table["__row"]


def read_text(path: Path) -> pl.DataFrame:
    """CSV or TSV, separated by comma, semicolon or tab, as its header says; UTF-8, with or without a byte order mark."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in start:
        raise SourceError(f"{path.name} is not UTF-8 text (UTF-16, or no text); save it as CSV in UTF-8")
    try:
        first = start.decode("utf-8-sig", errors="strict" if len(start) < 1 << 16 else "ignore").splitlines()
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not UTF-8 text; save it as CSV in UTF-8") from error
    if not first:
        raise SourceError(f"{path.name} is empty")
    separator = separator_of(first[0])
    try:
        names = pl.read_csv(path, infer_schema=False, separator=separator, has_header=False, n_rows=1).row(0)
        header = [str(name or "").strip() for name in names]
        refuse_header(header, path.name)
        table = pl.read_csv(path, infer_schema=False, separator=separator)
        if table.height and table[:, -1].null_count() and path.stat().st_size <= CHECKED:
            refuse_short(path, separator, len(header))
    except (pl.exceptions.PolarsError, OSError) as error:
        why = "a line has more cells than the header" if "more fields" in str(error) else "a quote or a sign is wrong"
        why = "it is not UTF-8 text" if "utf-8" in str(error).lower() else why
        raise SourceError(
            f"{path.name} can't be read as separated text: {why}; save it again as CSV in UTF-8"
        ) from error
    return table.rename(dict(zip(table.columns, header, strict=True)))


def refuse_short(path: Path, separator: str, width: int) -> None:
    """Raise SourceError for a line with fewer cells than the header: often the rest of a text that a line break cut in two."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=separator)
        try:
            short = next((lines.line_num for cells in lines if 0 < len(cells) < width and width > 1), None)
        except csv.Error:  # a cell longer than Python's reader takes; polars has read it
            return
    if short is not None:
        raise SourceError(
            f"{path.name}: line {short} has fewer cells than the header; put texts with line breaks into quotes, and write empty cells out"
        )


def separator_of(header: str) -> str:
    """Tab, semicolon or comma: what parts the header into most cells."""
    counts = {sign: len(next(csv.reader([header], delimiter=sign))) for sign in ("\t", ";", ",")}
    return max(counts, key=lambda sign: counts[sign])


def refuse_header(names: Sequence[str], table: str) -> None:
    """Raise SourceError for columns without a name, or two of one name."""
    if not all(names):
        raise SourceError(f"{table}: column {list(names).index('') + 1} has no name in the header")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SourceError(f"{table} has two columns '{twice[0]}'; rename one")


def read_parquet(path: Path) -> pl.DataFrame:
    """Parquet, its numbers and dates as text."""
    try:
        table = pl.read_parquet(path)
        floats = [name for name, kind in table.schema.items() if kind.is_float()]
        return table.select(
            as_text(table[name]) if name in floats else table[name].cast(pl.String) for name in table.columns
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{path.name} can't be read as Parquet with plain columns; write it again") from error


def as_text(numbers: pl.Series) -> pl.Series:
    """Floats as text, whole ones without a point as `cell_text` writes them: a name that a missing one beside it made 7.0 is 7."""
    whole = (numbers == numbers.round()) & (numbers.abs() < 2**53)
    exact = numbers.set(~whole | ~numbers.is_finite(), None).cast(pl.Int64).cast(pl.String)
    return exact.zip_with(exact.is_not_null(), numbers.cast(pl.String))


def read_excel(path: Path, sheet: str | None) -> pl.DataFrame:
    """The one sheet of a workbook that holds something, or the one that is named. Values as they were last computed."""
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise SourceError(f"Excel sheets need openpyxl: {extra_hint('tables')}; or save the sheet as CSV") from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, OSError, KeyError, ValueError, EOFError) as error:
        raise SourceError(f"{path.name} is no whole workbook; save it again, or as CSV") from error
    except Exception as error:  # zipfile and its XML parser raise kinds of their own
        raise SourceError(f"{path.name} is no whole workbook ({type(error).__name__}); save it as CSV") from error
    try:
        names = [name for name in book.sheetnames if hasattr(book[name], "iter_rows")]
        held = {name: rows_of(book[name]) for name in names if sheet in (None, name)}
    finally:
        book.close()
    held = {name: rows for name, rows in held.items() if rows}
    refuse_uncomputed(path, held)
    if len(held) != 1:
        wanted = (
            f"no sheet '{sheet}' with cells" if sheet else f"{len(held)} sheets with cells; set source.sheet to one"
        )
        raise SourceError(f"{path.name} has {wanted} (it has {', '.join(names)})")
    header, *rows = next(iter(held.values()))
    width = max((at + 1 for at, name in enumerate(header) if name is not None), default=0)
    refuse_header([name or "" for name in header[:width]], path.name)
    if any(cell is not None for row in rows for cell in row[width:]):
        raise SourceError(f"{path.name}: a cell stands right of the header's last column; give it a name or clear it")
    columns = [[row[at] if at < len(row) else None for row in rows] for at in range(width)]
    return pl.DataFrame(
        {str(name).strip(): pl.Series(column, dtype=pl.String) for name, column in zip(header, columns, strict=False)}
    )


def refuse_uncomputed(path: Path, held: Mapping[str, list[list[str | None]]]) -> None:
    """Raise SourceError for an empty column that holds formulas: a program wrote them that computes nothing."""
    from openpyxl import load_workbook

    for name, (header, *rows) in held.items():
        empty = [at for at, title in enumerate(header) if title and not any(row[at : at + 1] != [None] for row in rows)]
        if not empty:
            continue
        book = load_workbook(path, read_only=True)
        try:
            for row in book[name].iter_rows(min_row=2, values_only=True):
                wrong = [at for at in empty if at < len(row) and str(row[at]).startswith("=")]
                if wrong:
                    raise SourceError(
                        f"{path.name}: '{header[wrong[0]]}' holds formulas that were never computed; open and save it in Excel"
                    )
        finally:
            book.close()


def rows_of(sheet: Any) -> list[list[str | None]]:
    """A sheet's rows as text, without empty ones at its end."""
    rows: list[list[str | None]] = []
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        rows.append([cell_text(value) for value in row])
        cells += len(row)
        if cells > MOST_CELLS // 10:
            raise SourceError(f"the sheet '{sheet.title}' has more than {MOST_CELLS // 10:,} cells; save it as CSV")
    while rows and not any(rows[-1]):
        rows.pop()
    return rows


def cell_text(value: Any) -> str | None:
    """A cell's value as text: dates in ISO 8601, whole numbers without a point.

    >>> cell_text(3.0), cell_text(datetime(2150, 1, 2)), cell_text(True)
    ('3', '2150-01-02', 'true')
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def read_datalist(path: Path) -> pl.DataFrame:
    """MONAI's datalist: `{"training": [{"image": …, "label": …}], "validation": […]}`, or one list; the list's name becomes `split`."""
    try:
        content: Any = read_json_file(path)
    except NotPlain as error:
        raise SourceError(f"{path.name} is not JSON: {error}") from error
    lists = {"": content} if isinstance(content, list) else content if isinstance(content, Mapping) else {}
    parts = {
        str(name): part
        for name, part in lists.items()
        if isinstance(part, list) and part and (not name or name in WORDS)
    }
    rows = [
        ({SPLIT: WORDS[name]} if name else {}) | dict(item)
        for name, part in parts.items()
        for item in items(part, path.name)
    ]
    if not rows:
        raise SourceError(
            f"{path.name} holds no list of rows; MONAI's datalist has 'training', 'validation' and 'test'"
        )
    names = list(dict.fromkeys(key for row in rows for key in row))
    return pl.DataFrame({name: pl.Series([row.get(name) for row in rows], dtype=pl.String) for name in names})


def read_json_file(path: Path) -> Any:
    """A JSON document; one of rows may be longer than a config."""
    data = path.read_bytes()
    try:
        return json.loads(data) if len(data) > 1 << 20 else read_json(data)
    except (ValueError, RecursionError) as error:
        raise NotPlain("it can't be parsed") from error


def items(rows: Sequence[Any], name: str) -> Iterator[Mapping[str, str | None]]:
    """Each row as text. Raises SourceError for a row that is no plain mapping."""
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or any(isinstance(value, list | dict) for value in row.values()):
            raise SourceError(f"{name}: row {number} is no mapping of names to single values (one path per name)")
        yield {str(key): cell_text(value) for key, value in row.items()}


def column(table: pl.DataFrame, name: str, where: str) -> pl.Series:
    """A column. Raises SourceError that names the nearest one where it is missing."""
    if name in table.columns and name != "__row":
        return table[name]
    known = [each for each in table.columns if each != "__row"]
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f" (it has {', '.join(known[:30])})"
    raise SourceError(f"{where} lacks the column '{name}'{hint}")
