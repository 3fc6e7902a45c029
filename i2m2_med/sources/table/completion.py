"""What a config leaves unsaid of a table, filled in from its cells and files: kinds of columns, sizes of images, transforms, experts.

The recorded config holds all of it, so that a model never depends on what a later table looks like.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.table.columns import looks_dated, looks_numeric
from i2m2_med.sources.table.images import Facts, facts
from i2m2_med.sources.table.paths import file_of, located
from i2m2_med.sources.table.reading import column, read_table
from i2m2_med.sources.table.series import items_of
from i2m2_med.sources.table.settings import MADE, Columns, Image, KSpace, Series, Settings, Signal, Text
from i2m2_med.sources.table.signals import stored_signal

LOOKED_AT = 16
"""Files of a modality that are looked at, evenly taken over the table."""
SIDES = {2: (32, 256), 3: (16, 96)}
"""Least and largest side of an image as experts read it, by dimensions; multiples of 16."""
AUTO = "auto"


def complete(content: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The config with what it leaves unsaid. settings: of its source, typed. Raises SourceError where the table can't say it.

    A table that is not there leaves the config as it is, unless experts are asked for.
    """
    made: dict[str, Any] = deepcopy(dict(content))
    path = settings.root / settings.table
    auto = made.get("experts") == AUTO
    if unsaid(settings) or wants_transforms(made, settings):
        if not path.is_file() and not auto:
            return made
        fill_in(made, settings, read_table(path, settings.sheet))
        settings = Settings.model_validate(made["source"])
    if standard := dict.fromkeys(settings.of_kind(Series), "standard"):
        modalities = dict(made.get("modalities") or {})
        made["modalities"] = {**modalities, "normalise": {**standard, **(modalities.get("normalise") or {})}}
    return {**made, "experts": experts(settings)} if auto else made


def fill_in(made: dict[str, Any], settings: Settings, table: pl.DataFrame) -> None:
    """Fill in what the modalities leave to the table, and the transforms of images where there are none."""
    blocks, sizes = made["source"]["modalities"], dict[str, tuple[int, ...]]()
    bare = wants_transforms(made, settings)
    for name, modality in settings.modalities.items():
        known = missing_facts(table, settings, name)
        if isinstance(modality, Image) and (bare or modality.dimensions is None or modality.channels is None):
            sizes[name], known = image_facts(table, settings, name)
        blocks[name] = {**blocks[name], **known}
    if bare:
        whole = Settings.model_validate(made["source"])
        made["modalities"] = {**(made.get("modalities") or {}), "transforms": transforms(whole, sizes)}


def unsaid(settings: Settings) -> bool:
    """Whether a modality leaves something to the table."""
    return any(
        None in (getattr(each, "dimensions", 0), getattr(each, "channels", 0), getattr(each, "categories", 0))
        or None in (getattr(each, "items", 0), getattr(each, "files", 0))
        for each in settings.modalities.values()
    )


def wants_transforms(content: Mapping[str, Any], settings: Settings) -> bool:
    """Whether there are images, and no transforms that read them."""
    return bool(settings.of_kind(Image) or settings.of_kind(KSpace)) and not (content.get("modalities") or {}).get(
        "transforms"
    )


def missing_facts(table: pl.DataFrame, settings: Settings, name: str) -> dict[str, Any]:
    """What a modality's block lacks, from the table's cells."""
    modality = settings.modalities[name]
    if isinstance(modality, Columns) and modality.categories is None:
        cells = [column(table, one, settings.table) for one in modality.columns]
        return {"categories": [one.name for one in cells if not looks_numeric(one) and not looks_dated(one)]}
    if isinstance(modality, Series) and modality.items is None:
        return {"items": list(items_of(settings, modality))}
    if isinstance(modality, Text) and modality.files is None:
        return {"files": holds_paths(column(table, modality.text, settings.table), homes(settings), settings.root)}
    if isinstance(modality, Signal) and modality.channels is None:
        cell, path = some_files(table, settings, modality.signal)[0]
        return {"channels": len(stored_signal(cell, path))}
    return {}


def homes(settings: Settings) -> list[Path]:
    """The folders from which cells name files."""
    return list(dict.fromkeys((settings.root / Path(settings.table).parent, settings.root)))


def holds_paths(cells: pl.Series, homes: Sequence[Path], root: Path) -> bool:
    """Whether the first cells of a column name files that are there."""
    some = cells.drop_nulls().head(LOOKED_AT).to_list()
    return bool(some) and all(names_file(cell, homes, root) for cell in some)


def names_file(cell: str, homes: Sequence[Path], root: Path) -> bool:
    """Whether a cell names a file below the root."""
    try:
        located(cell, homes, root)
    except SourceError:
        return False
    return True


def some_files(table: pl.DataFrame, settings: Settings, name: str) -> list[tuple[str, Path]]:
    """A few files of a column of paths, with their cells. Raises SourceError where no cell names one that is there."""
    cells = column(table, name, settings.table).drop_nulls()
    at = np.unique(np.linspace(0, max(cells.len() - 1, 0), min(LOOKED_AT, max(cells.len(), 1))).astype(int))
    some = cells.gather(at).to_list() if cells.len() else []
    found = [
        (cell, located(cell, homes(settings), settings.root))
        for cell in some
        if names_file(cell, homes(settings), settings.root)
    ]
    if not found:
        why = (
            "the column is empty"
            if not some
            else f"of {len(some)} cells none names a file below {settings.root.name or 'the root'}"
        )
        raise SourceError(f"{settings.table}: '{name}' should hold paths, but {why}")
    return found


def image_facts(table: pl.DataFrame, settings: Settings, name: str) -> tuple[tuple[int, ...], dict[str, int]]:
    """The size that images of a modality are brought to, and their dimensions and channels: those of most files."""
    image: Image = settings.modalities[name]  # type: ignore[assignment]
    known: list[Facts] = []
    for cell, path in some_files(table, settings, image.image):
        try:
            known.append(facts(cell, Path(file_of(str(path))), image.dimensions))
        except SourceError:  # `prepare` lists every bad one
            continue
    if not known:
        raise SourceError(
            f"{settings.table}: none of the files of '{image.image}' that were looked at can be read as an image"
        )
    pairs = [(one.dimensions, one.channels) for one in known]
    dimensions, channels = max(sorted(set(pairs)), key=pairs.count)
    shapes = np.array([one.shape for one in known if one.dimensions == dimensions])
    low, high = SIDES[dimensions]
    middle = np.median(shapes, axis=0) * min(1.0, high / np.median(shapes, axis=0).max())
    sides = np.clip(np.ceil(middle / 16) * 16, low, high).astype(int)
    return tuple(sides.tolist()), {"dimensions": dimensions, "channels": channels}


def transforms(settings: Settings, sizes: Mapping[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Load, turn to RAS, bring to one size, scale the 1st to the 99th percentile to 0 … 1; of k-space make magnitude and phase."""
    made: list[dict[str, Any]] = []
    for name, image in settings.of_kind(Image).items():
        common = {"keys": [name], "allow_missing_keys": True}
        made.append({"_target_": "i2m2_med.samples.LoadFiled", "keys": [name], "dimensions": image.dimensions})
        if image.dimensions == 3:
            made.append({"_target_": "monai.transforms.Orientationd", **common, "axcodes": "RAS"})
        mode = "trilinear" if image.dimensions == 3 else "bilinear"
        made.append({"_target_": "monai.transforms.Resized", **common, "spatial_size": list(sizes[name]), "mode": mode})
        scale = {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True, "channel_wise": True}
        made.append({"_target_": "monai.transforms.ScaleIntensityRangePercentilesd", **common, **scale})
    for scan in settings.of_kind(KSpace).values():
        made.append({"_target_": "i2m2_med.samples.LoadSliced"})
        made.append({"_target_": "i2m2_med.samples.Reconstructd", "size": list(scan.size)})
        made.append({"_target_": "i2m2_med.samples.Modalitiesd", "keys": list(MADE)})
    return made


def experts(settings: Settings) -> dict[str, Any]:
    """One expert per modality, and, of several, the joint one."""
    seen = {name: modality for name, modality in settings.modalities.items() if not isinstance(modality, KSpace)}
    if settings.of_kind(KSpace):
        seen |= dict.fromkeys(MADE, Image(image="", dimensions=2, channels=1))
    encoders = {name: encoder(modality) for name, modality in seen.items()}
    made = {name: expert([name], [block]) for name, block in encoders.items()}
    return made if len(made) < 2 else {**made, "joint": expert(list(encoders), list(encoders.values()))}


def expert(reads: list[str], encoders: list[dict[str, Any]]) -> dict[str, Any]:
    """An expert's block: encoders and a small head."""
    return {"reads": reads, "network": {"_target_": "i2m2_med.experts.Joint", "encoders": deepcopy(encoders)}}


def encoder(modality: Any) -> dict[str, Any]:
    """An encoder's block for a modality, by its kind and shape."""
    if isinstance(modality, Image):
        network = {
            "_target_": "monai.networks.nets.ResNet",
            "block": "basic",
            "layers": [1, 1, 1, 1],
            "block_inplanes": [8, 16, 32, 64],
            "spatial_dims": modality.dimensions,
            "n_input_channels": modality.channels,
            "conv1_t_size": 3,
            "conv1_t_stride": 2,
            # volumes of one kind are all but alike: norms of each by itself kept that common part, and a few hundred were learnt by heart
            "norm": "batch",
        }
        return {"_target_": "i2m2_med.experts.ImageEncoder", "network": network}
    if isinstance(modality, Columns):
        shape = {
            "numbers": len(modality.numbers),
            "categories": len(modality.categories or ()),
            "levels": modality.levels,
        }
        return {"_target_": "i2m2_med.experts.ColumnsEncoder", **shape}
    if isinstance(modality, Series):
        shape = {"channels": len(modality.items or ()), "hours": modality.hours}
        return {"_target_": "i2m2_med.experts.SeriesTransformerEncoder", **shape}
    if isinstance(modality, Text):
        if modality.tokenizer is not None:
            return {"_target_": "i2m2_med.experts.HuggingFaceEncoder", "folder": str(modality.tokenizer)}
        return {"_target_": "i2m2_med.experts.NotesEncoder", "vocabulary": modality.vocabulary}
    return {"_target_": "i2m2_med.experts.SignalEncoder", "channels": modality.channels}
