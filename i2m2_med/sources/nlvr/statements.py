"""The two releases of NLVR as statements: a sentence, its pictures, and whether it is true of them.

    nlvr/{train,dev,test,hidden}/<part>.json, images/<directory>/<part>-<identifier>-0.png      version 1: three boxes in one picture
    nlvr2/data/{train,dev,test1,test2}.json, images/<part>/<pair>-img{0,1}.png                  version 2: two pictures
                                             images/train/<directory>/<pair>-img{0,1}.png

Version 1's `hidden.json` names no directory: its pictures are looked for in all. Of version 2, pictures may also lie in `<part>/`
below the root, where the release's text files stand without `images/`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.json_lines import need, read_json_lines
from i2m2_med.sources.listed import Entry, home_above, plain, text_in

PARTS = {1: ("train", "dev", "test", "hidden"), 2: ("train", "dev", "test1", "test2")}
TRUTH = {"true": 1, "false": 0}


class Statement(NamedTuple):
    """One sentence about one choice of pictures."""

    part: str
    group: str
    """Who is kept together: version 1's presentation; version 2's set, whose pairs share their eight pictures."""
    sentence_of: str
    """The statements that make one judgement of consistency: those of a presentation, or of a set's sentence."""
    number: int
    sentence: str
    pictures: tuple[Path, ...]
    true: bool
    kind: str
    """Version 1: towers or scattered, from the scene's description; version 2: balanced, unbalanced or single (`subsets`)."""


def home_of(root: Path, version: int) -> Path:
    """The folder that holds the parts, where `root` is it, or holds it under its official name."""
    inner = root / ("nlvr" if version == 1 else "nlvr2")
    return inner if inner.is_dir() else root


def text_file(home: Path, version: int, part: str) -> Path:
    """Where a part's sentences stand."""
    return home / part / f"{part}.json" if version == 1 else home / "data" / f"{part}.json"


def read_part(home: Path, version: int, part: str) -> list[Statement]:
    """Return a part's statements in the order of the file. Raises SourceError for a broken line, or an identifier given twice."""
    path = text_file(home, version, part)
    examples = read_json_lines(path)
    for number, example in enumerate(examples, start=1):
        need(example, ("identifier", "sentence", "label"), f"{path.name} line {number}")
        if not text_in(example["sentence"], f"{path.name} line {number}"):
            raise SourceError(f"{path.name} line {number}: the sentence is empty")
        _truth(example["label"], f"{path.name} line {number}")
    twice = [name for name, count in Counter(str(one["identifier"]) for one in examples).items() if count > 1]
    if twice:
        raise SourceError(f"{path.name} holds {len(twice)} identifiers twice, such as {twice[0]:.40}")
    return _first(home, part, examples) if version == 1 else _second(home, part, examples)


def listed_statements(path: Path, version: int) -> list[Entry]:
    """Return a text file's statements as studies to score, labels not needed. Raises SourceError where one is ill-formed."""
    examples = read_json_lines(path)
    names: list[str] = []
    for number, example in enumerate(examples, start=1):
        need(example, ("identifier", "sentence"), f"{path.name} line {number}")
        names.append(plain(example["identifier"], "identifier", f"{path.name} line {number}"))
    within = ("images", *(PARTS[2] if version == 2 else ()))
    home = home_above(path, lambda folder: any((folder / name).is_dir() for name in within))
    pictures = _boxes(home, path.stem, examples) if version == 1 else _pairs(home, path.name, examples)
    texts = [text_in(each["sentence"], f"{path.name} line {at}") for at, each in enumerate(examples, start=1)]
    return [Entry(*one) for one in zip(names, texts, pictures, strict=True)]


def listed_truths(path: Path) -> pl.DataFrame:
    """Return whether a text file's statements are true, as labels. Raises SourceError where a line is ill-formed."""
    names, sets, truths = list[str](), list[str](), list[int]()
    for number, example in enumerate(read_json_lines(path), start=1):
        where = f"{path.name} line {number}"
        need(example, ("identifier", "label"), where)
        names.append(plain(example["identifier"], "identifier", where))
        sets.append("-".join(names[-1].split("-")[: 2 if names[-1].count("-") > 1 else 1]))
        truths.append(_truth(example["label"], where))
    return pl.DataFrame({"study": names, "patient": sets, "label_statement": pl.Series(truths, dtype=pl.Int8)})


def _truth(label: Any, where: str) -> int:
    """1 or 0. Raises SourceError for a label that is neither true nor false."""
    if (word := str(label).strip().lower()) not in TRUTH:
        raise SourceError(f"{where}: the label is {str(label)!r:.20}, not true or false")
    return TRUTH[word]


def _boxes(home: Path, part: str, examples: list[dict[str, Any]]) -> list[tuple[Path, ...]]:
    """By example of version 1, where its picture lies; home: the folder that holds `images`."""
    images = home / "images"
    found: dict[str, list[Path]] = {}
    if any("directory" not in example for example in examples):
        for path in sorted(images.glob("*/*.png")):
            found.setdefault(path.name, []).append(path)
    paths: list[tuple[Path, ...]] = []
    for example in examples:
        name = f"{part}-{plain(example['identifier'], 'identifier', part)}-0.png"
        inside = images / plain(example["directory"], "directory", part) / name if "directory" in example else None
        lying = found.get(name, [images / name])
        if inside is None and len(lying) > 1:
            raise SourceError(
                f"{part}: {name} lies in {len(lying)} folders of images, and no `directory` says which is meant"
            )
        paths.append((inside or lying[0],))
    return paths


def _pairs(below: Path, where: str, examples: list[dict[str, Any]]) -> list[tuple[Path, ...]]:
    """By example of version 2, where its two pictures lie; below: the folder that holds `images`, or the parts' folders of pictures."""
    inner = below / "images" if (below / "images").is_dir() else below
    paths: list[tuple[Path, ...]] = []
    for example in examples:
        steps = plain(example["identifier"], "identifier", where).split("-")
        if len(steps) != 4:
            raise SourceError(f"{where}: identifier {'-'.join(steps):.40} is not split-set-pair-sentence")
        folder = inner / steps[0]
        if "directory" in example:
            folder /= plain(example["directory"], "directory", where)
        paths.append(tuple(folder / f"{'-'.join(steps[:3])}-img{side}.png" for side in (0, 1)))
    return paths


def _first(home: Path, part: str, examples: list[dict[str, Any]]) -> list[Statement]:
    statements: list[Statement] = []
    for example, pictures in zip(examples, _boxes(home / part, part, examples), strict=True):
        group, _, number = str(example["identifier"]).partition("-")
        kind = _arrangement(example.get("structured_rep"))
        statements.append(_statement(part, (group, group, number), example, pictures, kind))
    return statements


def _second(home: Path, part: str, examples: list[dict[str, Any]]) -> list[Statement]:
    paths = _pairs(home, f"{part}.json", examples)
    pairs = [str(example["identifier"]).rpartition("-")[0] for example in examples]
    subset = subsets((pair, example["label"]) for pair, example in zip(pairs, examples, strict=True))
    statements: list[Statement] = []
    for example, pair, pictures in zip(examples, pairs, paths, strict=True):
        steps = str(example["identifier"]).split("-")
        if steps[0] != part:
            raise SourceError(
                f"{part}.json: identifier {str(example['identifier'])!r:.40} is of another part; get NLVR2 again"
            )
        places = ("-".join(steps[:2]), "-".join([*steps[:2], f"s{steps[3]}"]), steps[2])
        statements.append(_statement(part, places, example, pictures, subset[pair]))
    return statements


def _statement(
    part: str, places: tuple[str, str, str], example: dict[str, Any], pictures: tuple[Path, ...], kind: str
) -> Statement:
    group, sentence_of, number = places
    if not number.isdigit():
        raise SourceError(f"{part}.json: identifier {str(example['identifier'])!r:.40} does not end in a number")
    true = bool(_truth(example["label"], part))
    return Statement(part, group, sentence_of, int(number), str(example["sentence"]), pictures, true, kind)


def subsets(labels: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """By pair of pictures: `balanced` where it was seen with both labels (pictures alone say nothing), `unbalanced` with one label in
    several statements, `single` in one. As the official subsets.

    >>> subsets([("a", "True"), ("a", "False"), ("b", "True"), ("b", "True"), ("c", "True")])
    {'a': 'balanced', 'b': 'unbalanced', 'c': 'single'}
    """
    seen: dict[str, list[int]] = defaultdict(list)
    for pair, label in labels:
        seen[pair].append(_truth(label, pair))
    names = {True: "balanced", False: "unbalanced"}
    return {pair: names[len(set(each)) > 1] if len(each) > 1 else "single" for pair, each in seen.items()}


def _arrangement(scene: Any) -> str:
    """`towers`: every object stands in the middle of its box, one on the other; `scattered`."""
    boxes = scene if isinstance(scene, list) else []
    objects = [one for box in boxes if isinstance(box, list) for one in box if isinstance(one, dict)]
    return "towers" if objects and all(one.get("x_loc") == 40 for one in objects) else "scattered"
