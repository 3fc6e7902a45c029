"""VQA-VS as records: one per question, with its picture's path, its text, and ten annotators' answers as soft scores."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from i2m2_med.config.settings import Settings as ClosedSettings
from i2m2_med.errors import SourceError
from i2m2_med.files import existing_folder, write_json
from i2m2_med.sources.formats.photograph import check_photograph
from i2m2_med.sources.listed import Entry
from i2m2_med.sources.question_study import ANSWERS, QuestionSource
from i2m2_med.sources.source import Flow, Labels, Progress
from i2m2_med.sources.text.answers import answer_columns, scores_of, vocabulary
from i2m2_med.sources.vqa_vs.questions import (
    PARTS,
    Question,
    home_of,
    listed_answers,
    listed_questions,
    part_files,
    picture_of,
    read_questions,
    shift_files,
    shifted,
)

MOST_NAMED = 5


class Settings(ClosedSettings):
    """`source: {name: vqa_vs, …}`."""

    name: Literal["vqa_vs"] = "vqa_vs"
    root: Path
    """Folder that holds `VQA-VS` and COCO 2014's `train2014` and `val2014`."""
    least: Annotated[int, Field(ge=1)] = 9
    """Questions of training that have to have an answer for it to be a class (official: 9)."""
    most: Annotated[int, Field(ge=2, le=30_000)] | None = None
    """No more classes than so many, the most frequent ones (VQA v2's vocabulary has 3,129)."""


class Source(QuestionSource):
    """Label `answer`, whose classes are a result of the training part; modalities `picture` and `question`.

    A patient, whom intervals keep together, is a picture; a study is a question. `group_<shift>` is `tail` for the questions of
    a shifted set; the test split as a whole is the IID test.
    """

    settings: Settings

    @property
    def home(self) -> Path:
        """The folder that holds the parts."""
        return home_of(
            existing_folder(self.settings.root, "it should hold VQA-VS and COCO's pictures; set source.root")
        )

    def files(self) -> list[Path]:
        """Every list, and every picture that is there. Raises SourceError where a part's list is missing."""
        lists = [path for part in PARTS for path in part_files(self.home, part)]
        if missing := [path for path in lists if not path.is_file()]:
            raise SourceError(f"{self.home} lacks {missing[0].relative_to(self.home)}; get VQA-VS again")
        more = [path for lists in shift_files(self.home).values() for path in lists if path.is_file()]
        pictures = {
            picture_of(self.settings.root, one.image_id) for part in PARTS for one in read_questions(self.home, part)
        }
        return [*lists, *more, *sorted(path for path in pictures if path.is_file())]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per question, in the order of training, validation and IID test."""
        parts = {part: read_questions(self.home, part) for part in PARTS}
        asked = Counter(one.question_id for each in parts.values() for one in each)
        if twice := sum(count > 1 for count in asked.values()):
            raise SourceError(f"{twice} questions stand in more than one of {', '.join(PARTS)}; get VQA-VS again")
        answers = vocabulary((one.answer for one in parts["train"]), self.settings.least, self.settings.most)
        if len(answers) < 2:
            raise SourceError(
                f"{len(answers)} answers were given {self.settings.least} times in training; lower source.least"
            )
        write_json(folder / ANSWERS, answers)
        flow.step("questions", sum(map(len, parts.values())))
        paths = self._pictures(parts, flow, progress)
        kept = {part: [one for one in each if one.image_id in paths] for part, each in parts.items()}
        flow.step("questions whose picture can be read", *_counts(parts, kept), "listed as refused")
        classes = {answer: at for at, answer in enumerate(answers)}
        scores = [scores_of(one.given, classes) for each in kept.values() for one in each]
        outside = sum(not one for one in scores)
        flow.audits["answers that are classes"] = len(answers)
        flow.audits["questions whose answers are all outside of them (count 0)"] = outside
        tails = shifted(self.home, parts["test"])
        flow.audits["shifted test sets"] = {name: len(ids) for name, ids in tails.items()}
        rows = [(part, one) for part, each in kept.items() for one in each]
        records = pl.DataFrame(
            {
                "patient": [f"picture {one.image_id}" for _, one in rows],
                "study": [f"question {one.question_id}" for _, one in rows],
                "item": 0,
                "split": [part for part, _ in rows],
                "has_picture": True,
                "has_question": True,
                "group_answer_type": pl.Series([one.answer_type for _, one in rows], dtype=pl.String),
                "_pictures": [[str(paths[one.image_id])] for _, one in rows],
                "_question": [one.text for _, one in rows],
            }
        )
        ids = pl.Series([one.question_id if part == "test" else -1 for part, one in rows])
        groups = {
            f"group_{name}": pl.Series(["tail" if one in tail else None for one in ids], dtype=pl.String)
            for name, tail in tails.items()
        }
        return records.with_columns(**groups).hstack(answer_columns(scores, "answer"))

    def entries(self, path: Path) -> list[Entry]:
        """The questions of an official list (VQA-VS's, or VQA v2's object that holds one)."""
        return listed_questions(path)

    def official_labels(self, path: Path, labels: Labels) -> pl.DataFrame:
        """The answers of an official list (VQA-VS's, or VQA v2's object that holds one)."""
        return listed_answers(path, labels.classes)

    def _pictures(self, parts: dict[str, list[Question]], flow: Flow, progress: Progress) -> dict[int, Path]:
        """By image id, the pictures that can be opened; the others are refused with `skip_bad`, else one SourceError names them."""
        ids = list(dict.fromkeys(one.image_id for each in parts.values() for one in each))
        paths = {image_id: picture_of(self.settings.root, image_id) for image_id in ids}
        missing = [path for path in paths.values() if not path.is_file()]
        if missing and not flow.skip_bad:
            names = ", ".join(path.name for path in missing[:MOST_NAMED])
            raise SourceError(
                f"{len(missing)} of {len(paths)} pictures are missing, such as {names}; get COCO 2014, or go on: --skip-bad"
            )
        good: dict[int, Path] = {}
        for image_id, path in progress.track(paths.items(), "opening pictures", len(paths)):
            try:
                check_photograph(path)
                good[image_id] = path
            except SourceError as error:
                flow.set_aside(path.name, error)
        flow.stop_where_bad(len(paths))
        return good


def _counts(before: dict[str, list[Question]], after: dict[str, list[Question]]) -> tuple[int, int]:
    kept = sum(map(len, after.values()))
    return kept, sum(map(len, before.values())) - kept
