"""NLVR v1 and NLVR2 as records: one per statement, with the paths of its pictures and its sentence."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from i2m2_med.config.settings import Settings as ClosedSettings
from i2m2_med.errors import SourceError
from i2m2_med.files import existing_folder
from i2m2_med.sources.formats.photograph import open_photograph
from i2m2_med.sources.listed import Entry, ListedSource
from i2m2_med.sources.nlvr.statements import (
    PARTS,
    Statement,
    home_of,
    listed_statements,
    listed_truths,
    read_part,
    text_file,
)
from i2m2_med.sources.source import Flow, Labels, Progress, Results, Study
from i2m2_med.sources.study_folder import picture_in, words_in

MOST_NAMED = 5
BOXES_SIZE = (400, 100)
"""Width and height of version 1's pictures."""


class Settings(ClosedSettings):
    """`source: {name: nlvr, …}`."""

    name: Literal["nlvr"] = "nlvr"
    root: Path
    """Folder of the release (or one that holds `nlvr` or `nlvr2`), with its pictures."""
    version: Literal[1, 2] = 1
    """1: drawn boxes, three in a picture; 2: photographs, two to a sentence."""
    test: Literal["dev", "test", "hidden", "test1", "test2"] = "test"
    """The part that is judged."""
    valid: Literal["dev", "test", "hidden", "test1", "test2"] | None = None
    """The part that validates; where not said, validation is cut from training (`split.valid`), by presentation or set."""
    train: tuple[Literal["train", "dev", "test", "hidden", "test1", "test2"], ...] | None = None
    """The parts that train: all others that lie there, where not said."""


def predictions_file(decided: Mapping[str, str]) -> str:
    """Return what NLVR2's evaluation reads: a line for each identifier, with True or False.

    >>> predictions_file({"dev-850-0-1": "true"})
    'dev-850-0-1,True\\n'
    """
    return "".join(f"{name},{truth.capitalize()}\n" for name, truth in decided.items())


class Source(ListedSource):
    """Label `statement` (false, true); modalities `picture` and `sentence`.

    A patient, whom splits and intervals keep together, is a presentation (version 1) or a set of pictures (2); a study is the
    statements that consistency is judged on; an item is one of them.
    """

    settings: Settings
    modalities = ("picture", "sentence")
    text = "sentence"
    results = Results("predictions.csv", re.compile(r"[a-z0-9]+(-[0-9]+){3}"), predictions_file)
    """Of version 2: version 1's evaluation wants six orders of the boxes of each picture."""
    pictured_by = "i2m2_med.samples.nlvr.picture"
    shifted_by = "i2m2_med.samples.nlvr.shifts"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.labels = Labels(("statement",), ("false", "true"))

    @property
    def home(self) -> Path:
        """The folder that holds the parts."""
        root = existing_folder(self.settings.root, "it should hold NLVR as released; set source.root")
        return home_of(root, self.settings.version)

    def parts(self) -> dict[str, str]:
        """By part: train, valid or test. Raises SourceError where a part that is asked for is not there, or none is left to train."""
        settings, home = self.settings, self.home
        there = [part for part in PARTS[settings.version] if text_file(home, settings.version, part).is_file()]
        roles = {settings.test: "test"} | ({settings.valid: "valid"} if settings.valid else {})
        train = settings.train or tuple(part for part in there if part not in roles)
        wanted = [*roles, *train]
        if lacking := [part for part in wanted if part not in there]:
            where = text_file(home, settings.version, lacking[0]).relative_to(home)
            raise SourceError(f"{home} lacks {', '.join(lacking)} ({where}); it holds {', '.join(there) or 'no part'}")
        if not train or set(train) & set(roles):
            raise SourceError(f"no part is left to train on (of {', '.join(there)}); set source.train")
        return {**dict.fromkeys(train, "train"), **roles}

    def files(self) -> list[Path]:
        """The parts' text files and every picture that they name. Raises SourceError where pictures are missing."""
        settings = self.settings
        texts = [text_file(self.home, settings.version, part) for part in self.parts()]
        pictures = dict.fromkeys(path for one in self._statements() for path in one.pictures if path.is_file())
        return [*texts, *pictures]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per statement, in the order of the files."""
        statements = self._statements()
        flow.step("statements", len(statements))
        bad = self._check_pictures(statements, flow, progress)
        kept = [one for one in statements if not bad & set(one.pictures)]
        flow.step("statements whose pictures can be read", len(kept), len(statements) - len(kept), "listed as refused")
        roles = self.parts()
        official = {"train": "train", "test": "val"}
        records = pl.DataFrame(
            {
                "patient": [f"{one.part} {one.group}" for one in kept],
                "study": [f"{one.part} {one.sentence_of}" for one in kept],
                "item": [one.number for one in kept],
                "label_statement": pl.Series([int(one.true) for one in kept], dtype=pl.Int8),
                "has_picture": True,
                "has_sentence": True,
                "group_kind": [one.kind for one in kept],
                "_pictures": [[str(path) for path in one.pictures] for one in kept],
                "_sentence": [one.sentence for one in kept],
            }
        )
        if self.settings.valid:
            return records.with_columns(pl.Series("split", [roles[one.part] for one in kept]))
        return records.with_columns(pl.Series("_official", [official[roles[one.part]] for one in kept]))

    def entries(self, path: Path) -> list[Entry]:
        """The statements of a text file (JSON lines) of this version."""
        return listed_statements(path, self.settings.version)

    def official_labels(self, path: Path, labels: Labels) -> pl.DataFrame:  # noqa: ARG002
        """Whether the statements of a text file (JSON lines) are true."""
        return listed_truths(path)

    def study_folder(self, folder: Path) -> Study:
        """Open a statement's folder: `sentence.txt`, and `picture.png` (version 1) or `left.png` and `right.png`; either may be absent."""
        names = ("picture",) if self.settings.version == 1 else ("left", "right")
        pictures, sentence = [picture_in(folder, name) for name in names], words_in(folder, "sentence")
        paths = [path for path in pictures if path is not None]
        if paths and len(paths) < len(names):
            raise SourceError(f"{folder.name} holds one picture; both left and right are needed")
        if not paths and not sentence:
            raise SourceError(f"{folder.name} holds neither {' and '.join(names)} nor sentence.txt.")
        for path in paths:
            self._check(path)
        row = {"patient": folder.name, "study": folder.name, "item": 0, "_sentence": sentence}
        there = {"has_picture": bool(paths), "has_sentence": bool(sentence)}
        columns = {**row, **there, "_pictures": [str(path) for path in paths]}
        return Study(pl.DataFrame([columns], schema_overrides={"_pictures": pl.List(pl.String)}))

    def _statements(self) -> list[Statement]:
        return [one for part in self.parts() for one in read_part(self.home, self.settings.version, part)]

    def _check_pictures(self, statements: Sequence[Statement], flow: Flow, progress: Progress) -> set[Path]:
        """The pictures that can't be used: refused with `skip_bad`, else one SourceError names them."""
        paths = list(dict.fromkeys(path for one in statements for path in one.pictures))
        missing = [path for path in paths if not path.is_file()]
        if missing and not flow.skip_bad:
            names = ", ".join(path.name for path in missing[:MOST_NAMED])
            raise SourceError(
                f"{len(missing)} of {len(paths)} pictures are missing, such as {names}; get them, or go on without: --skip-bad"
            )
        bad: set[Path] = set()
        for path in progress.track(paths, "opening pictures", len(paths)):
            try:
                self._check(path)
            except SourceError as error:
                flow.set_aside(path.name, error)
                bad.add(path)
        flow.stop_where_bad(len(paths))
        return bad

    def _check(self, path: Path) -> None:
        with open_photograph(path) as picture:
            if self.settings.version == 1 and picture.size != BOXES_SIZE:
                raise SourceError(
                    f"{path.name} is {picture.width} × {picture.height} pixels; three boxes in {BOXES_SIZE[0]} × {BOXES_SIZE[1]} are needed"
                )
