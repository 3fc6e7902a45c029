"""Files of k-space that a table names: all that belongs to one, and the columns that transforms read of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.damaged import blamed_on
from i2m2_med.sources.formats.kspace import ENDINGS, behind_of, header_of, inspect_kspace, slice_columns
from i2m2_med.sources.formats.volume import Volume


def scan_files(path: Path) -> list[Path]:
    """A file of k-space, its header, and the files that it is put together from. Raises SourceError for another kind of file."""
    if path.is_dir() or path.suffix.lower() not in ENDINGS:
        raise SourceError(f"is no k-space ({', '.join(ENDINGS)})")
    header = header_of(path)
    return [path, *([header] if header else []), *behind_of(path)]


def scan_columns(
    cells: Sequence[str | None], slices: Sequence[int | None], refuse: Callable[[int, SourceError], None]
) -> pl.DataFrame:
    """A row of columns for each cell, without k-space where it is empty or `refuse` (place, error) lets a bad file pass.

    A file is read whole once, whichever rows name it, and checked.
    """
    known: dict[str, Volume] = {}
    made = [columns_of(Path(), EXAMPLE, 0).clear()]  # gives the columns their types
    for at, cell in enumerate(cells):
        made.append(pl.DataFrame({"has_magnitude": [False], "has_phase": [False], "has_rss": [False]}))
        if cell is None:
            continue
        path = Path(cell)
        try:
            if cell not in known:
                with blamed_on(path.name):
                    known[cell] = inspect_kspace(path)
            made[-1] = columns_of(path, known[cell], slices[at])
        except SourceError as error:
            refuse(at, error)
    return pl.concat(made, how="diagonal")


EXAMPLE = Volume(format="npy", n_slices=1, n_coils=1, readout=1, phase=1, recon=(1, 1), energies=(1.0,))


def columns_of(path: Path, volume: Volume, index: int | None) -> pl.DataFrame:
    """One row for a slice of a file. index: the middle one where not given. Raises SourceError where there is no such slice."""
    index = volume.n_slices // 2 if index is None else index
    if index >= volume.n_slices:
        raise SourceError(f"{path.name} has {volume.n_slices} slices, not a slice {index}")
    columns = {
        "has_magnitude": pl.lit(True),
        "has_phase": pl.lit(True),
        "has_rss": pl.lit(volume.has_rss or volume.n_coils > 1),
        "_data": pl.lit(str(path)),
        "_phase": pl.lit(None, pl.String),
        "_imaginary": pl.lit(None, pl.String),
        "_slice": pl.lit(index, pl.Int64),
        **slice_columns(volume),
    }
    return pl.select([expression.alias(name) for name, expression in columns.items()])
