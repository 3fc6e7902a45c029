"""Shared rooms know no data set by name: a new one touches none of them.

What a data set offers it declares (`sources/source.py`); its own rooms are `sources/<name>`, `simulate/<name>`, `samples/<name>`.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from pkgutil import iter_modules

import pytest

from i2m2_med import samples, simulate
from i2m2_med.config.reader import source_names
from i2m2_med.samples import ROOMS

ROOT = Path(__file__).parents[2]
SHAPES = {"table", "cells", "folder"}
"""Sources of a stranger's files of some shape: they are no data set, and their names are words."""
NAMES = sorted(
    {"fastmri", "mimic", "av-mnist", "im.pk", "nlvr", "nlvr2", "vqa", "mnist"}
    | (
        set(source_names())
        | {room.__name__.rpartition(".")[2] for room in ROOMS}
        | {module.name for module in iter_modules(simulate.__path__) if module.ispkg}
    )
    - SHAPES
)
NAMED = re.compile(rf"(?<![a-z0-9])({'|'.join(map(re.escape, NAMES))})s?(?![a-z])", re.IGNORECASE)

VERBS = {
    "i2m2_med/cli.py": "lists the verbs, two of which are of one data set",
    "pipelines/compare_impk.py": "a verb of one data set",
    "pipelines/demo.py": "runs the whole story on three simulated data sets",
    "pipelines/export_meds.py": "a verb of one data set",
    "pipelines/reconstruct.py": "a verb of k-space",
}
LIBRARIES = {
    "i2m2_med/samples/coils.py": "cites the masks of the package fastmri",
    "i2m2_med/samples/physics.py": "cites functions of the package fastmri",
    "i2m2_med/samples/undersampling.py": "takes its masks from the package fastmri",
    "pipelines/doctor.py": "lists the package fastmri among those installed",
}
CITED = {
    "i2m2_med/experts/fusion.py": "the paper's networks are known by the task that they were made for",
    "i2m2_med/experts/lenet.py": "the same",
    "i2m2_med/experts/preact_resnet.py": "the same",
    "i2m2_med/experts/static_series.py": "the same",
}
"""Files whose docstrings may name a data set, and why; their code may not."""


def shared() -> list[str]:
    """Every file of the package but the data sets' own: their rooms in samples, or a module there that is called as they are."""
    own = {f"i2m2_med/samples/{room.__name__.rpartition('.')[2]}/" for room in ROOMS}
    own |= {f"i2m2_med/samples/{name}.py" for name in source_names()} | {"i2m2_med/sources/", "i2m2_med/simulate/"}
    paths = [path for top in ("i2m2_med", "pipelines") for path in (ROOT / top).rglob("*.py")]
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    return sorted(name for name in names if not name.startswith(tuple(own)))


def test_every_folder_of_code_is_a_package():
    """setup.py finds packages by their `__init__.py`: a folder without one is missing from the wheel."""
    folders = {path.parent for part in ("i2m2_med", "pipelines", "configs") for path in (ROOT / part).rglob("*.py")}
    assert [folder.name for folder in folders if not (folder / "__init__.py").is_file()] == []


def pieces(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line, text, whether it is prose: a docstring or comment) of every token."""
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.NL, tokenize.COMMENT}:
            yield token.start[0], token.string, True
            continue
        starts = before in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
        yield token.start[0], token.string, token.type == tokenize.STRING and starts
        before = token.type


def named(text: str, *, prose: bool) -> list[str]:
    """'line: name' of every data set that code names, or prose where `prose` is asked for too."""
    return [
        f"{line}: {match[0]}"
        for line, piece, is_prose in pieces(text)
        if prose or not is_prose
        for match in NAMED.finditer(piece)
    ]


@pytest.mark.parametrize("name", shared())
def test_a_shared_room_names_no_data_set(name):
    if name in VERBS or name in LIBRARIES:
        return
    found = named((ROOT / name).read_text(encoding="utf-8"), prose=name not in CITED)
    assert not found, f"{name} names a data set, which declares itself in its Source: {found}"


def test_every_exemption_is_used():
    for name in VERBS | LIBRARIES | CITED:
        assert named((ROOT / name).read_text(encoding="utf-8"), prose=True), name


def test_names_are_found_in_code_strings_and_prose():
    assert named('suites = {"fastmri": knee}', prose=False) == ["1: fastmri", "1: knee"]
    assert named('def f():\n    """Of MIMIC-III."""\n', prose=True) == ["2: MIMIC"]
    assert named('def f():\n    """Of MIMIC-III."""\n', prose=False) == []
    assert named("x = 1  # knees\n", prose=True) == ["1: knees"]
    assert named("mimicked, medsam, i2m2_med, kneel = 1, 2, 3, 4\n", prose=True) == []
    assert samples.TRANSFORMS["LoadSliced"] == "i2m2_med.samples.fastmri.transforms"
