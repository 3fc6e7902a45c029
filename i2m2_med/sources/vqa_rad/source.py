"""VQA-RAD as records: closed questions (yes or no), or open ones whose answer is one of those given often enough.

    root/VQA_RAD Dataset Public.json         one list of questions
    root/VQA_RAD Image Folder/<name>.jpg     pictures

The official test part shows pictures of training (446 of its 451 questions): a split by picture is the default here. Questions of
one picture, one case and one link of paraphrases are kept together.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from i2m2_med.config.settings import Settings as ClosedSettings
from i2m2_med.errors import SourceError
from i2m2_med.files import existing_folder, write_json
from i2m2_med.predictions import NO_CLASS, UNKNOWN
from i2m2_med.sources.formats.json_lines import need, read_json_list
from i2m2_med.sources.formats.photograph import check_photograph
from i2m2_med.sources.listed import Entry, plain, text_in, word_in
from i2m2_med.sources.question_study import ANSWERS, CLOSED, QuestionSource
from i2m2_med.sources.source import Flow, Labels, Progress
from i2m2_med.sources.text.answers import answer_columns, answer_in, normalised, vocabulary

QUESTIONS, PICTURES = "VQA_RAD Dataset Public.json", "VQA_RAD Image Folder"
NEEDED = ("qid", "phrase_type", "image_name", "question", "answer", "answer_type")
KINDS = {"answer_type": ("CLOSED", "OPEN"), "phrase_type": ("FREEFORM", "PARA", "TEST_FREEFORM", "TEST_PARA")}
"""What the release has in columns that decide where a question goes, in capitals."""
NAMED = ("image_organ", "image_case_url", "qid_linked_id")
"""Columns that may be empty: texts, or whole numbers."""
LEAK = (
    "The official test part shows pictures of training ({shared} of its {tested} questions here): what is reached on it says nothing "
    "about other pictures."
)


class Settings(ClosedSettings):
    """`source: {name: vqa_rad, …}`."""

    name: Literal["vqa_rad"] = "vqa_rad"
    root: Path
    """Folder that holds the question list and the picture folder (or one called `input` that does)."""
    questions: Literal["closed", "open"] = "closed"
    """`closed`: those answered by yes or no; `open`: all others, as classes."""
    least: Annotated[int, Field(ge=1)] = 3
    """Open questions: how often an answer has to be given to be a class."""
    groups: Literal["picture", "official"] = "picture"
    """`official`: the published test part, whose pictures training shows too."""


class Source(QuestionSource):
    """Label `answer`; modalities `picture` and `question`.

    A patient is a group of questions that share a picture, case or link; a study is a question with its paraphrases (one link), an
    item one of them.
    """

    settings: Settings

    @property
    def home(self) -> Path:
        """The folder that holds the list."""
        root = existing_folder(self.settings.root, "it should hold VQA-RAD; set source.root")
        return root / "input" if (root / "input").is_dir() else root

    def files(self) -> list[Path]:
        """The list and every picture that it names and that is there."""
        pictures = {self.home / PICTURES / str(one["image_name"]) for one in self._read()}
        return [self.home / QUESTIONS, *sorted(path for path in pictures if path.is_file())]

    def ingest(self, folder: Path, cache: Path, flow: Flow, progress: Progress) -> pl.DataFrame:  # noqa: ARG002
        """One row per question, in the order of the list."""
        every = self._read()
        flow.step("questions", len(every))
        group = dict(zip(map(id, every), linked(every), strict=True))
        chosen = self._chosen(every, flow)
        kept = self._with_picture(chosen, flow, progress)
        answers = (
            CLOSED
            if self.settings.questions == "closed"
            else vocabulary((e["answer"] for e in kept), self.settings.least)
        )
        write_json(folder / ANSWERS, answers)
        classes = {answer: at for at, answer in enumerate(answers)}
        own = [normalised(one["answer"]) for one in kept]
        scores = [[{"class": classes[answer], "score": 1.0}] if answer in classes else [] for answer in own]
        labels = answer_columns(scores, "answer")
        if self.settings.questions == "closed":
            labels = labels.drop("soft_answer")
        else:
            flow.audits["answers that are classes"] = len(answers)
            flow.audits["questions whose answer is outside of them (count 0)"] = sum(not one for one in scores)
            flow.remarks.append("Classes are answers of the whole list, not of training alone.")
        records = pl.DataFrame(
            {
                "patient": [f"group {group[id(one)]}" for one in kept],
                "study": [f"question {_named(one, 'qid_linked_id') or one['qid']}" for one in kept],
                "has_picture": True,
                "has_question": True,
                "group_organ": [_named(one, "image_organ") or None for one in kept],
                "group_phrasing": ["paraphrase" if "PARA" in one["phrase_type"] else "freeform" for one in kept],
                "_pictures": [[str(self.home / PICTURES / str(one["image_name"]))] for one in kept],
                "_question": [str(one["question"]) for one in kept],
            }
        ).hstack(labels)
        records = records.with_columns(item=pl.col("study").cum_count().over("study").cast(pl.Int64) - 1)
        return self._official(records, kept, flow) if self.settings.groups == "official" else records

    def entries(self, path: Path) -> list[Entry]:
        """The questions of a list of VQA-RAD's form, closed and open ones."""
        entries: list[Entry] = []
        for number, one in enumerate(read_json_list(path)):
            where = f"{path.name} entry {number}"
            need(one, ("qid", "image_name", "question"), where)
            picture = path.absolute().parent / PICTURES / plain_name(one["image_name"], where)
            entries.append(Entry(plain(one["qid"], "qid", where), text_in(one["question"], where), (picture,)))
        return entries

    def official_labels(self, path: Path, labels: Labels) -> pl.DataFrame:
        """The answers of a list of VQA-RAD's form; one that is none of the model's classes is of no class."""
        every, classes = read_json_list(path), {name: at for at, name in enumerate(labels.classes)}
        for number, one in enumerate(every):
            need(one, ("qid", "image_name", "answer"), f"{path.name} entry {number}")
        where = [f"{path.name} entry {number}" for number in range(len(every))]
        own = [normalised(answer_in(one["answer"], at)) for one, at in zip(every, where, strict=True)]
        scores = [[{"class": classes[answer], "score": 1.0}] if answer in classes else [] for answer in own]
        names = {
            "study": [plain(one["qid"], "qid", at) for one, at in zip(every, where, strict=True)],
            "patient": [f"picture {plain_name(one['image_name'], at)}" for one, at in zip(every, where, strict=True)],
        }
        answered = answer_columns(scores, "answer")
        if self.settings.questions == "closed":  # a question of another answer is not one of this model's
            none = pl.col("label_answer") == NO_CLASS
            answered = answered.select(
                pl.when(none).then(UNKNOWN).otherwise("label_answer").cast(pl.Int16).alias("label_answer")
            )
        return pl.DataFrame(names).hstack(answered)

    def _read(self) -> list[dict[str, Any]]:
        path = self.home / QUESTIONS
        every = read_json_list(path)
        for number, one in enumerate(every):
            where = f"{path.name} entry {number}"
            need(one, NEEDED, where)
            one["answer"] = answer_in(one["answer"], where)
            for column, known in KINDS.items():
                one[column] = word_in(one[column], known, column, where)
            plain(one["qid"], "qid", where)
            if odd := [name for name in NAMED if not isinstance(one.get(name), str | int | None)]:
                raise SourceError(f"{where}: {odd[0]} is a {type(one[odd[0]]).__name__}, no name")
            if not text_in(one["question"], where):
                raise SourceError(f"{where}: the question is empty")
        twice = [name for name, count in Counter(str(one["qid"]) for one in every).items() if count > 1]
        if twice:
            raise SourceError(f"{path.name} holds {len(twice)} questions (qid) twice, such as {twice[0]:.20}")
        return every

    def _chosen(self, every: list[dict[str, Any]], flow: Flow) -> list[dict[str, Any]]:
        closed = [one for one in every if one["answer_type"] == "CLOSED"]
        if self.settings.questions == "open":
            others = [one for one in every if one["answer_type"] == "OPEN"]
            flow.step("open questions", len(others), len(closed), "closed")
            return others
        kept = [one for one in closed if normalised(one["answer"]) in CLOSED]
        flow.step("closed questions", len(closed), len(every) - len(closed), "open")
        flow.step("answered by yes or no", len(kept), len(closed) - len(kept), "closed, with another answer")
        return kept

    def _with_picture(self, chosen: list[dict[str, Any]], flow: Flow, progress: Progress) -> list[dict[str, Any]]:
        names = list(dict.fromkeys(str(one["image_name"]) for one in chosen))
        good: set[str] = set()
        for name in progress.track(names, "opening pictures", len(names)):
            try:
                check_photograph(self.home / PICTURES / plain_name(name, QUESTIONS))
                good.add(name)
            except SourceError as error:
                flow.set_aside(name, error)
        flow.stop_where_bad(len(names))
        kept = [one for one in chosen if str(one["image_name"]) in good]
        flow.step("questions whose picture can be read", len(kept), len(chosen) - len(kept), "listed as refused")
        return kept

    def _official(self, records: pl.DataFrame, kept: list[dict[str, Any]], flow: Flow) -> pl.DataFrame:
        """The published parts. Each link is a patient of its own then: groups stand in both parts, which the flow says."""
        test = pl.Series([one["phrase_type"].startswith("TEST") for one in kept])
        train = {str(one["image_name"]) for one, held in zip(kept, test, strict=True) if not held}
        shared = sum(str(one["image_name"]) in train for one, held in zip(kept, test, strict=True) if held)
        flow.remarks.append(LEAK.format(shared=shared, tested=int(test.sum())))
        parts = pl.DataFrame({"_official": ["val" if held else "train" for held in test]})
        return records.with_columns(pl.col("study").alias("patient")).hstack(parts)


def plain_name(name: Any, where: str) -> str:
    """Return the name of a picture's file. Raises SourceError where it leads elsewhere, or is no name."""
    if not isinstance(name, str) or Path(name).name != name or "\0" in name:
        raise SourceError(f"{where}: image_name {name!r:.40} is no plain file name")
    return name


def linked(questions: list[dict[str, Any]]) -> list[int]:
    """Return a number for each question: one for all that share a picture, a case, or a link of paraphrases, directly or by others."""
    parent = list(range(len(questions)))

    def top(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for key in ("image_name", "image_case_url", "qid_linked_id"):
        first: dict[str, int] = {}
        for at, one in enumerate(questions):
            if value := _named(one, key):
                parent[top(at)] = top(first.setdefault(value, at))
    return [top(at) for at in range(len(questions))]


def _named(question: dict[str, Any], key: str) -> str:
    """What a question says there, as text; nothing where it is empty or NULL."""
    value = question.get(key)
    text = "" if value is None else str(value).strip()
    return "" if text.upper() == "NULL" else text
