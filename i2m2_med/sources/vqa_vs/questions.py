"""VQA-VS's question and answer lists, joined by question.

    VQA-VS/{Training,Val}/{Training,Val}-{Ques,Ans}.json, IID-Test/IID-Test-{Ques,Ans}.json,
    OOD-Test/<shift>/OOD-Test-<shift>-{Ques,Ans}.json          plain lists (VQA v2's objects with `questions`, `annotations` too)
    {train,val}2014/COCO_{train,val}2014_<image, 12 digits>.jpg

Each of the nine shifted sets is a subset of the IID test.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.json_lines import need, read_json_list
from i2m2_med.sources.listed import Entry, home_above, number_in, text_in, word_in
from i2m2_med.sources.text.answers import answer_columns, answer_in, scores_of

PARTS = {"train": "Training/Training", "valid": "Val/Val", "test": "IID-Test/IID-Test"}
SHIFTS = ("QT", "KW", "KWP", "QT+KW", "KO", "KOP", "QT+KO", "KW+KO", "QT+KW+KO")
MOST_ANNOTATORS = 100
YEARS = ("train2014", "val2014", "test2015")
"""Folders of COCO's pictures; the last holds those of VQA v2's test questions."""


class Question(NamedTuple):
    """One question with what ten annotators answered."""

    question_id: int
    image_id: int
    text: str
    answer: str
    """The one that the release chose."""
    given: tuple[str, ...]
    answer_type: str | None


ANSWER_TYPES = ("yes/no", "number", "other")


def home_of(root: Path) -> Path:
    """The folder that holds the parts, where `root` is it, or holds it under its official name."""
    return root / "VQA-VS" if (root / "VQA-VS").is_dir() else root


def part_files(home: Path, part: str) -> tuple[Path, Path]:
    """The question and answer list of a part (`train`, `valid`, `test`), or of a shift."""
    stem = PARTS.get(part, f"OOD-Test/{part}/OOD-Test-{part}")
    return home / f"{stem}-Ques.json", home / f"{stem}-Ans.json"


def read_questions(home: Path, part: str) -> list[Question]:
    """Return a part's questions in the order of its list. Raises SourceError where the two lists don't belong together."""
    asked, answered = part_files(home, part)
    questions, answers = read_json_list(asked, "questions"), read_json_list(answered, "annotations")
    by_id: dict[int, Question] = {}
    for number, one in enumerate(questions):
        question = _asked(one, f"{asked.name} entry {number}")
        if question.question_id in by_id:
            raise SourceError(
                f"{asked.name} asks a question twice: entry {number} has the question_id of an earlier one"
            )
        by_id[question.question_id] = question
    answered_ids: set[int] = set()
    for number, one in enumerate(answers):
        where = f"{answered.name} entry {number}"
        need(one, ("question_id", "multiple_choice_answer", "answers"), where)
        question_id = number_in(one["question_id"], "question_id", where)
        if question_id in answered_ids:
            raise SourceError(f"{where} has the question_id of an earlier one")
        answered_ids.add(question_id)
        if question_id in by_id:
            by_id[question_id] = _with_answers(by_id[question_id], one, where)
    if lacking := len(by_id.keys() - answered_ids):
        raise SourceError(f"{answered.name} lacks the answers of {lacking} questions")
    return [*by_id.values()]


def _asked(one: dict[str, Any], where: str) -> Question:
    """A question without its answers."""
    need(one, ("question_id", "image_id", "question"), where)
    question_id, image_id = (number_in(one[name], name, where) for name in ("question_id", "image_id"))
    text = text_in(one["question"], where)
    if not text:
        raise SourceError(f"{where}: the question is empty")
    return Question(question_id, image_id, text, "", (), None)


def _with_answers(question: Question, one: dict[str, Any], where: str) -> Question:
    """A question with the answers that were given to it, whose type an entry may leave out."""
    kind = one.get("answer_type")
    return question._replace(
        answer=answer_in(one["multiple_choice_answer"], where),
        given=_given(one["answers"], where),
        answer_type=None if kind is None else word_in(kind, ANSWER_TYPES, "answer_type", where),
    )


def _given(answers: Any, where: str) -> tuple[str, ...]:
    """What each annotator answered. Raises SourceError where that is not said."""
    listed = isinstance(answers, list) and bool(answers)
    if not listed or not all(isinstance(each, dict) and "answer" in each for each in answers):
        raise SourceError(f"{where}: answers is not a list of objects that have an answer")
    if len(answers) > MOST_ANNOTATORS:
        raise SourceError(f"{where}: {len(answers):,} annotators answered; ten are what the release has")
    return tuple(answer_in(each["answer"], where) for each in answers)


def shift_files(home: Path) -> dict[str, tuple[Path, Path]]:
    """By shift, its question and answer list; shifts without a question list are left out."""
    there = {name: part_files(home, name) for name in SHIFTS}
    return {name: lists for name, lists in there.items() if lists[0].is_file()}


def shifted(home: Path, tested: Sequence[Question]) -> dict[str, set[int]]:
    """By shift, the ids of its questions. tested: the IID test. Raises SourceError where a question is not in it as it stands there."""
    known = {one.question_id: _content(one) for one in tested}
    ids: dict[str, set[int]] = {}
    for name, (asked, _) in shift_files(home).items():
        own = read_questions(home, name)
        if odd := sum(known.get(one.question_id) != _content(one) for one in own):
            raise SourceError(
                f"{asked.name}: {odd} of {len(own)} questions are not in the IID test, or with another text, picture or answers there; shifted "
                "sets are parts of it: get VQA-VS again"
            )
        ids[name] = {one.question_id for one in own}
    return ids


def _content(question: Question) -> tuple[Any, ...]:
    """What has to be the same wherever a question is listed."""
    return question.image_id, question.text, question.answer, sorted(question.given)


def listed_questions(path: Path) -> list[Entry]:
    """Return a list's questions as studies to score, answers not needed. Raises SourceError where one is ill-formed."""
    questions = read_json_list(path, "questions")
    root = home_above(
        path, lambda folder: any((folder / "images" / year).is_dir() or (folder / year).is_dir() for year in YEARS)
    )
    entries: list[Entry] = []
    for number, one in enumerate(questions):
        where = f"{path.name} entry {number}"
        need(one, ("question_id", "image_id", "question"), where)
        image = number_in(one["image_id"], "image_id", where)
        name = str(number_in(one["question_id"], "question_id", where))
        entries.append(Entry(name, text_in(one["question"], where), (picture_of(root, image),)))
    return entries


def listed_answers(path: Path, classes: Sequence[str]) -> pl.DataFrame:
    """Return what ten annotators answered to a list's questions (VQA-VS's list, or VQA v2's object with `annotations`), as labels and
    soft scores of `classes`. Raises SourceError where an entry is ill-formed."""
    number = {name: at for at, name in enumerate(classes)}
    questions, pictures, scores = list[str](), list[str](), list[list[dict[str, float | int]]]()
    for at, one in enumerate(read_json_list(path, "annotations")):
        where = f"{path.name} entry {at}"
        need(one, ("question_id", "image_id", "answers"), where)
        questions.append(str(number_in(one["question_id"], "question_id", where)))
        pictures.append(f"picture {number_in(one['image_id'], 'image_id', where)}")
        scores.append(scores_of(_given(one["answers"], where), number))
    return pl.DataFrame({"study": questions, "patient": pictures}).hstack(answer_columns(scores, "answer"))


def picture_of(root: Path, image_id: int) -> Path:
    """Where a picture lies: in the folder of a year (also below `images`); that of the first year where it is in none."""
    homes = [root / "images" if (root / "images").is_dir() else root]
    paths = [home / year / f"COCO_{year}_{image_id:012d}.jpg" for home in homes for year in YEARS]
    return next((path for path in paths if path.is_file()), paths[0])
