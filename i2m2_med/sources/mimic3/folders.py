"""Which data set a folder holds, by the names in it: another one than was asked for is called by its name."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.scanning import columns_of

THREE, FOUR, EVENTS = "MIMIC-III", "MIMIC-IV", "a MEDS data set"
DEEP, MANY = 5, 2000
"""Folders are looked into so deep, and so many of them."""
ENDINGS = (".csv.gz", ".csv", ".parquet", ".pq")
PACKED = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar")
DATABASES = (".db", ".sqlite", ".sqlite3", ".duckdb")
SIGNS: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = (
    ("MIMIC-IV 1.0 or older (core, hosp, icu)", (frozenset({"core/", "hosp/", "icu/"}),)),
    (FOUR, (frozenset({"hosp/", "icu/"}),)),
    ("hosp of MIMIC-IV without icu", (frozenset({"hosp/"}),)),
    ("icu of MIMIC-IV without hosp", (frozenset({"icu/"}),)),
    ("MIMIC-IV's folder hosp itself", tuple(frozenset({name, "labevents"}) for name in ("omr", "emar", "hcpcsevents"))),
    ("MIMIC-IV's folder icu itself", (frozenset({"icustays", "ingredientevents"}), frozenset({"icustays", "caregiver"}))),
    ("eICU", (frozenset({"vitalperiodic"}), frozenset({"patient", "apachepatientresult"}))),
    ("HiRID", (frozenset({"raw_stage/"}), frozenset({"observation_tables/"}), frozenset({"hirid_variable_reference"}))),
    ("MIMIC-IV-ED", (frozenset({"edstays"}), frozenset({"ed/"}))),
    ("MIMIC-IV-Note", (frozenset({"note/"}), frozenset({"discharge", "radiology"}))),
    ("MIMIC-IV-ECG", (frozenset({"machine_measurements"}),)),
    ("MIMIC-CXR", (frozenset({"mimic-cxr-2.0.0-metadata"}), frozenset({"cxr-record-list"}))),
    ("AmsterdamUMCdb", (frozenset({"numericitems"}),)),
    (EVENTS, (frozenset({"data/", "metadata/"}),)),
    (THREE, (frozenset({"patients", "admissions", "icustays"}),)),
)  # fmt: skip
"""By data set, sets of names of which one is there whole: of folders with a slash, of tables in small letters without ending.
The first that fits is meant."""
ADVICE = {
    THREE: "read it by source.name=mimic3",
    FOUR: "read it by source.name=mimic4",
    EVENTS: "read it by source.name=meds",
    "eICU": "convert it to MEDS and read that by source.name=meds with source.codes",
    "HiRID": "convert it to MEDS and read that by source.name=meds with source.codes",
    "AmsterdamUMCdb": "convert it to MEDS and read that by source.name=meds with source.codes",
    "hosp of MIMIC-IV without icu": "download icu too, and put it beside hosp",
    "icu of MIMIC-IV without hosp": "download hosp too, and put it beside icu",
    "MIMIC-IV's folder hosp itself": "name the folder above it, which holds icu too",
    "MIMIC-IV's folder icu itself": "name the folder above it, which holds hosp too",
    "MIMIC-IV 1.0 or older (core, hosp, icu)": "download MIMIC-IV 2.2 or 3.1",
}
ELSE = "that is a release of its own; name the folder of the ICU tables"


def refuse_other(root: Path, wanted: str) -> None:
    """Raise SourceError where `root` is packed, or holds another data set than `wanted`, or holds it deeper down."""
    if root.is_file():
        raise SourceError(f"{root} is {packed(root.name) or 'a file'}, not a folder; {remedy(root.name)}")
    if not root.is_dir():
        return  # whoever looks for the tables says so
    held = data_set(root)
    if held == wanted:
        return
    if held is not None:
        raise SourceError(f"{root} holds {held}, not {wanted}; {ADVICE.get(held, ELSE)}")
    deeper = nested(root, wanted)
    if deeper is not None:
        raise SourceError(f"{root} holds {wanted} deeper down; give source.root={root / deeper}")
    files = [path.name for path in sorted(root.iterdir()) if packed(path.name)]
    if files and not tables_in(root):
        raise SourceError(f"{root} holds {files[0]}, {packed(files[0])}, and no tables; {remedy(files[0])}")


def data_set(folder: Path) -> str | None:
    """The data set that a folder's names are those of; None for names of none. MIMIC-IV's tables without their folders have
    MIMIC-III's names, and are known by the anchor age."""
    names = names_in(folder)
    held = next((name for name, signs in SIGNS if any(sign <= names for sign in signs)), None)
    return FOUR if held == THREE and has_anchor(folder) else held


def has_anchor(folder: Path) -> bool:
    """Whether the table of patients has an anchor age."""
    files = {path.name.lower(): path for path in folder.iterdir()}
    path = next((files[name] for ending in ENDINGS if (name := f"patients{ending}") in files), None)
    if path is None or not path.is_file() or not path.stat().st_size:
        return False
    try:
        return "anchor_age" in columns_of(path)
    except (SourceError, OSError, pa.ArrowException):
        return False  # whoever reads it says what is wrong with it


def names_in(folder: Path) -> set[str]:
    """Names of folders (with a slash) and tables (without ending), in small letters."""
    held = list(folder.iterdir())
    return {f"{path.name.lower()}/" for path in held if path.is_dir()} | tables_in(folder)


def tables_in(folder: Path) -> set[str]:
    """Names of tables, in small letters without ending."""
    names = [path.name.lower() for path in folder.iterdir()]
    return {name.removesuffix(ending) for name in names for ending in ENDINGS if name.endswith(ending)}


def nested(root: Path, wanted: str) -> Path | None:
    """The nearest folder under `root` that holds `wanted`, by its path from there; None where none of those looked into does."""
    level, seen = [root], 0
    for _ in range(DEEP):
        level = [
            path for folder in level for path in sorted(folder.iterdir()) if path.is_dir() and not path.is_symlink()
        ]
        seen += len(level)
        if seen > MANY:
            return None
        for folder in level:
            if data_set(folder) == wanted:
                return folder.relative_to(root)
    return None


def packed(name: str) -> str | None:
    """Return a name for packed files and databases; None for other files."""
    small = name.lower()
    if small.endswith(PACKED):
        return "a packed archive"
    return "a database file" if small.endswith(DATABASES) else None


def remedy(name: str) -> str:
    """Return the advice on a file that stands where a folder of tables should."""
    if packed(name) == "a database file":
        return "export its tables as csv.gz, or name a PostgreSQL address"
    return "unpack it and name the folder" if packed(name) else "name the folder that it lies in"


def modules(root: Path, names: Collection[str]) -> list[Path]:
    """Where tables lie: in those of the named folders that are there, or else in `root` itself."""
    there = [root / name for name in names if (root / name).is_dir()]
    return there or [root]
