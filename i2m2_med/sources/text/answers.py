"""Answers to questions as classes: the normalisation of the VQA challenge, a vocabulary, and scores by how many gave an answer."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.predictions import NO_CLASS

NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
ARTICLES = {"a", "an", "the"}
APART = re.compile(r"[;/\[\]\"{}()=+\\_\-><@`,?!]")
CONTRACTED = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's i'm i've isn't it'd "
    "it'll let's ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't she's should've shouldn't somebody'd "
    "somebody's someone'd someone's something'd that's there'd there're there's they'd they'll they're they've wasn't we've weren't "
    "what'll what're what's what've when's where'd where's who'd who'll who's who've why'll why're why's won't would've wouldn't y'all "
    "you'd you'll you're you've"
)
CONTRACTIONS = {word.replace("'", ""): word for word in CONTRACTED.split()}
ENOUGH = 3
"""Annotators who have to give an answer for it to count whole."""
SCORES = pl.List(pl.Struct({"class": pl.Int16, "score": pl.Float32}))


@lru_cache(maxsize=200_000)
def normalised(answer: str) -> str:
    """Return an answer as the challenge compares it: small letters, no punctuation or articles, number words as digits.

    >>> normalised("The  Two dogs."), normalised("dont"), normalised("1,000"), normalised("black/white")
    ('2 dogs', "don't", '1000', 'black white')
    """
    text = re.sub(r"(?<=\d),(?=\d)", "", answer.replace("\n", " ").replace("\t", " ").strip())
    text = re.sub(r"(?<!\d)\.(?!\d)", "", APART.sub(" ", text)).lower()
    words = (NUMBERS.get(word, word) for word in text.split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def answer_in(value: Any, where: str) -> str:
    """Return an answer as text, a number too. Raises SourceError for a question that has none."""
    if type(value) not in {str, int, float} or not str(value).strip():
        raise SourceError(
            f"{where}: the answer is {'empty' if isinstance(value, str) else type(value).__name__}, not a text or number"
        )
    return str(value)


def vocabulary(answers: Iterable[str], least: int, most: int | None = None) -> tuple[str, ...]:
    """Return the normalised answers that were given at least `least` times, the most frequent first (then by letters).

    most: no more than so many.

    >>> vocabulary(["Yes", "yes", "no", "no", "yes", "two"], 2)
    ('yes', 'no')
    """
    counts = Counter(map(normalised, answers))
    kept = sorted(
        (answer for answer, count in counts.items() if count >= least and answer), key=lambda a: (-counts[a], a)
    )
    return tuple(kept if most is None else kept[:most])


def scores_of(given: Sequence[str], classes: Mapping[str, int]) -> list[dict[str, float | int]]:
    """Return min(votes / 3, 1) of each class that someone gave as it stands (the challenge counts strings as they are).

    >>> scores_of(["red"] * 2 + ["blue"] * 8, {"red": 0, "blue": 1})
    [{'class': 0, 'score': 0.6666666666666666}, {'class': 1, 'score': 1.0}]
    """
    votes = Counter(classes[answer] for answer in given if answer in classes)
    return [{"class": cls, "score": min(count / ENOUGH, 1.0)} for cls, count in sorted(votes.items())]


def answer_columns(scores: Sequence[list[dict[str, float | int]]], label: str) -> pl.DataFrame:
    """Return `soft_<label>`, and `label_<label>`: the class of the highest score (the first of equals), −2 where none has one."""
    best = [max(one, key=lambda each: each["score"])["class"] if one else NO_CLASS for one in scores]
    return pl.DataFrame(
        {
            f"label_{label}": pl.Series(best, dtype=pl.Int16),
            f"soft_{label}": pl.Series(scores, dtype=SCORES),
        }
    )
