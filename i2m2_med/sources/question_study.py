"""A study folder that holds a picture and a question about it, and the file of answers that the challenge's evaluation takes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.formats.photograph import check_photograph
from i2m2_med.sources.source import Results, Study

ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def open_question(folder: Path, text: str = "question") -> Study:
    """One record of `picture.<ending>` and `<text>.txt`, either of which may be absent. Raises SourceError where both are."""
    pictures = sorted(path for path in folder.glob("picture.*") if path.suffix.lower() in ENDINGS)
    if len(pictures) > 1:
        raise SourceError(f"{folder.name} holds {len(pictures)} pictures; one is asked for")
    file = folder / f"{text}.txt"
    asked = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if not pictures and not asked:
        raise SourceError(f"{folder.name} holds neither picture nor {text}.txt.")
    for path in pictures:
        check_photograph(path)
    row = {
        "patient": folder.name,
        "study": folder.name,
        "item": 0,
        f"_{text}": asked,
        "_pictures": [*map(str, pictures)],
    }
    there = {"has_picture": bool(pictures), f"has_{text}": bool(asked)}
    return Study(pl.DataFrame([row | there], schema_overrides={"_pictures": pl.List(pl.String)}))


def answers_file(decided: Mapping[str, str]) -> str:
    """Return the challenge's result format: a list of question ids (numbers), each with its answer.

    >>> answers_file({"524291001": "yes"})
    '[{"question_id": 524291001, "answer": "yes"}]\\n'
    """
    return json.dumps([{"question_id": int(name), "answer": answer} for name, answer in decided.items()]) + "\n"


QUESTION_RESULTS = Results("results.json", re.compile(r"[0-9]{1,18}"), answers_file)
