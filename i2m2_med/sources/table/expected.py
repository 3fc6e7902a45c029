"""How a study of a table's model has to look, in words: the columns of a table, and the files of a folder."""

from collections.abc import Iterator
from typing import Any

from i2m2_med.sources.table.references import path_column
from i2m2_med.sources.table.settings import Columns, Image, KSpace, Series, Settings, Signal, Text
from i2m2_med.sources.table.study import ROW, input_columns


def described(settings: Settings) -> str:
    """The text of `i2m2 score --expects`."""
    lines = [
        "A table (CSV, TSV, Parquet, Excel) with a row per study and these columns; empty cells are absent, labels aren't needed:"
    ]
    lines.append("  " + ", ".join(input_columns(settings)))
    lines += [
        f"  beside it {each.series}, the long table of '{name}'" for name, each in settings.of_kind(Series).items()
    ]
    lines.append("or a folder of study folders, each with any of:")
    for name, modality in settings.modalities.items():
        lines += [f"  {line}" for line in files_of(name, modality)]
    lines.append(
        f"Cells may also stand in {ROW} ({{column: value}}); study.yaml may name files of other names ({{modality: file}})."
    )
    return "\n".join(lines)


def files_of(name: str, modality: Any) -> Iterator[str]:
    """The files that give a modality in a study folder."""
    column = path_column(modality)
    stems = " or ".join(dict.fromkeys(filter(None, (name, column))))
    if isinstance(modality, Image):
        yield f"{stems}.nii.gz, .png, .npy, …, or a folder of DICOM files: {modality.dimensions}-D, channels: {modality.channels}"
    elif isinstance(modality, Columns):
        yield f"{name}.json: {{{', '.join(modality.columns)}}}"
    elif isinstance(modality, Series):
        start = "" if modality.start is None else f"; hours count from {modality.start} in {ROW}"
        yield f"{name}.csv with {modality.time}, {modality.name}, {modality.value}, the first {modality.hours} hours{start}"
    elif isinstance(modality, Text):
        yield f"{name}.txt"
    elif isinstance(modality, KSpace):
        said = f"; the slice as {modality.slice} in {ROW}" if isinstance(modality.slice, str) else ""
        yield f"{stems}.h5 (fastMRI, ISMRMRD), .cfl with .hdr, or .npy: k-space{said}"
    elif isinstance(modality, Signal):
        yield f"{stems}.npy, .npz or .h5: (channel, time), channels: {modality.channels}"
