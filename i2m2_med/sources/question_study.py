"""Questions about pictures, whatever data set they are of: a study folder that holds one, and the file of answers that the challenge's
evaluation takes.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.photograph import check_photograph
from i2m2_med.sources.listed import ListedSource
from i2m2_med.sources.source import Labels, Results, Study
from i2m2_med.sources.study_folder import picture_in, words_in

ANSWERS = "answers.json"
"""In the prepared folder: the classes, in their order."""
CLOSED = ("no", "yes")


def answers_file(decided: Mapping[str, str]) -> str:
    """Return the challenge's result format: a list of question ids (numbers), each with its answer.

    >>> answers_file({"524291001": "yes"})
    '[{"question_id": 524291001, "answer": "yes"}]\\n'
    """
    return json.dumps([{"question_id": int(name), "answer": answer} for name, answer in decided.items()]) + "\n"


QUESTION_RESULTS = Results("results.json", re.compile(r"[0-9]{1,18}"), answers_file)


class QuestionSource(ListedSource):
    """Questions about pictures. Label `answer`, whose classes are a result of the data; modalities `picture` and `question`."""

    modalities = ("picture", "question")
    text = "question"
    results = QUESTION_RESULTS
    pictured_by = "i2m2_med.samples.vqa.picture"
    shifted_by = "i2m2_med.samples.vqa.shifts"

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.labels = Labels(("answer",), CLOSED)

    def labels_in(self, folder: Path) -> Labels:
        """The answers that were given often enough, as `ingest` wrote them."""
        return Labels(("answer",), tuple(json.loads((folder / ANSWERS).read_text(encoding="utf-8"))))

    def study_folder(self, folder: Path) -> Study:
        """Open a question's folder: `question.txt` and `picture.jpg` (or another picture format); either may be absent."""
        picture, asked = picture_in(folder, "picture"), words_in(folder, "question")
        pictures = [picture] if picture else []
        if not pictures and not asked:
            raise SourceError(f"{folder.name} holds neither picture nor question.txt.")
        for path in pictures:
            check_photograph(path)
        row = {
            "patient": folder.name,
            "study": folder.name,
            "item": 0,
            "_question": asked,
            "_pictures": [*map(str, pictures)],
        }
        there = {"has_picture": bool(pictures), "has_question": bool(asked)}
        return Study(pl.DataFrame([row | there], schema_overrides={"_pictures": pl.List(pl.String)}))
