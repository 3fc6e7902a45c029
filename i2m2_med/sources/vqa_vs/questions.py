"""VQA-VS's question and answer lists, joined by question.

    VQA-VS/{Training,Val}/{Training,Val}-{Ques,Ans}.json, IID-Test/IID-Test-{Ques,Ans}.json,
    OOD-Test/<shift>/OOD-Test-<shift>-{Ques,Ans}.json          plain lists (VQA v2's objects with `questions`, `annotations` too)
    {train,val}2014/COCO_{train,val}2014_<image, 12 digits>.jpg

Each of the nine shifted sets is a subset of the IID test.
"""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.json_lines import need, read_json_list
from i2m2_med.sources.listed import Entry, home_above, plain, text_in

PARTS = {"train": "Training/Training", "valid": "Val/Val", "test": "IID-Test/IID-Test"}
SHIFTS = ("QT", "KW", "KWP", "QT+KW", "KO", "KOP", "QT+KO", "KW+KO", "QT+KW+KO")
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
    answer_type: str


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
    for number, one in enumerate(questions):
        need(one, ("question_id", "image_id", "question"), f"{asked.name} entry {number}")
    by_id: dict[int, dict[str, Any]] = {}
    for number, one in enumerate(answers):
        need(one, ("question_id", "multiple_choice_answer", "answers"), f"{answered.name} entry {number}")
        by_id[int(one["question_id"])] = one
    twice = [name for name, count in Counter(int(one["question_id"]) for one in questions).items() if count > 1]
    if twice:
        raise SourceError(f"{asked.name} asks {len(twice)} questions twice, such as {twice[0]}")
    lacking = [int(one["question_id"]) for one in questions if int(one["question_id"]) not in by_id]
    if lacking:
        raise SourceError(f"{answered.name} lacks the answers of {len(lacking)} questions, such as {lacking[0]}")
    return [_joined(one, by_id[int(one["question_id"])]) for one in questions]


def _joined(asked: dict[str, Any], answered: dict[str, Any]) -> Question:
    given = tuple(str(one["answer"]) for one in answered["answers"])
    return Question(
        int(asked["question_id"]),
        int(asked["image_id"]),
        str(asked["question"]),
        str(answered["multiple_choice_answer"]),
        given,
        str(answered.get("answer_type", "other")).strip().lower(),
    )


def shifted(home: Path) -> dict[str, set[int]]:
    """By shift, the ids of its questions; shifts without a file are left out."""
    there = {name: part_files(home, name)[0] for name in SHIFTS}
    return {
        name: {int(one["question_id"]) for one in read_json_list(path, "questions")}
        for name, path in there.items()
        if path.is_file()
    }


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
        image = plain(one["image_id"], "image_id", where)
        if not image.isdecimal():
            raise SourceError(f"{where}: image_id is no number")
        name = plain(one["question_id"], "question_id", where)
        entries.append(Entry(name, text_in(one["question"], where), (picture_of(root, int(image)),)))
    return entries


def picture_of(root: Path, image_id: int) -> Path:
    """Where a picture lies: in the folder of a year (also below `images`); that of the first year where it is in none."""
    homes = [root / "images" if (root / "images").is_dir() else root]
    paths = [home / year / f"COCO_{year}_{image_id:012d}.jpg" for home in homes for year in YEARS]
    return next((path for path in paths if path.is_file()), paths[0])
