"""The part that an image file shows, by its name: BIDS entities (`part-mag`), dcm2niix suffixes (`_ph`), or a word of its own.

Words count whole: `ses-phase2` is no phase, `part-imag` no `mag`.
"""

import re
from pathlib import Path

SUFFIXES = (".nii.gz", ".nii", ".img", ".mgz", ".mgh")
"""As nibabel reads them; `.img` comes with a `.hdr` of the same name."""
PARTS = {"mag": "magnitude", "phase": "phase", "real": "real", "imag": "imaginary"}
"""Values of the BIDS entity `part`."""
WORDS = {**PARTS, "magnitude": "magnitude", "imaginary": "imaginary", "ph": "phase"}
_BIDS = re.compile(r"sub-[a-zA-Z0-9]+(_|$)")


def is_nifti(path: Path) -> bool:
    """Whether a file is an image of these formats, by name."""
    return path.name.lower().endswith(SUFFIXES)


def stem_of(path: Path) -> str:
    """The name without its suffix."""
    return next((path.name[: -len(end)] for end in SUFFIXES if path.name.lower().endswith(end)), path.stem)


def part_of(path: Path) -> str | None:
    """`magnitude`, `phase`, `real` or `imaginary`, as the name says; None where it says none, or more than one."""
    match = _place(stem_of(path)) if is_nifti(path) else None
    return None if match is None else WORDS[match[1].lower()]


def volume_name(path: Path) -> str:
    """Return the name that the files of one volume share: `sub-01_part-mag_T2w.nii.gz` → `sub-01_T2w`."""
    stem = stem_of(path)
    match = _place(stem)
    if match is not None:
        stem = stem[: match.start()] + stem[match.end() :]
    return re.sub(r"_{2,}", "_", stem).strip("_-. ") or "image"


def _place(stem: str) -> re.Match[str] | None:
    """Return the match of the word in a name that says the part; None where there is none, or words say several parts."""
    words = "|".join(sorted(WORDS, key=len, reverse=True))
    if _BIDS.match(stem):
        entity = re.search(r"_part-([a-zA-Z0-9]+)(?=_|$)", stem)
        if entity:
            return entity if entity[1].lower() in PARTS else None
        return re.search(rf"_({words})$", stem, re.IGNORECASE)
    matches = list(re.finditer(rf"(?:^|[_\-. ])({words})(?=[_\-. ]|$)", stem, re.IGNORECASE))
    return matches[0] if len({WORDS[one[1].lower()] for one in matches}) == 1 else None
