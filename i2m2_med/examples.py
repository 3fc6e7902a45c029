"""Samples worth a look: which ones a prediction table points at, and the folder that keeps them with their pictures."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from i2m2_med.conflict import jensen_shannon
from i2m2_med.documents import NotPlain, read_json, read_start
from i2m2_med.errors import SourceError
from i2m2_med.files import replace_folder

EACH = 3
"""Samples of highest conflict, and as many of worst error."""
LISTED = "examples.json"
SAMPLE = ["study", "item", "label"]
MODEL = "model"
"""Who speaks where it is no single expert."""
Why = Literal["conflict", "error"]


@dataclass(frozen=True)
class Voice:
    """What the model, or one expert alone, says of a sample."""

    who: str
    says: str
    """The class that it holds most likely."""
    p: float
    """Its probability of that class."""
    p_truth: float
    """Its probability of the true class."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A sample, why it is shown, and what is said of it."""

    study: str
    """The study's pseudonym."""
    item: int
    label: str
    why: Why
    divergence: float | None
    """Between its experts (`jensen_shannon`), in nats; None of fewer than two."""
    truth: str
    """The true class."""
    shown: int
    """Index of the class that is looked for: of two the second, else the likeliest."""
    voices: tuple[Voice, ...]
    """The model's, then each expert's that is there."""
    picture: Annotated[str, Field(pattern=r"^(\d_[a-z]+\.webp)?$")] = ""
    """Its file in the folder; empty where the data set draws none."""
    alt: str = ""
    """What the picture shows, for who can't see it."""
    text: str = ""
    """The sample's own words, of data sets that are public."""

    def described(self, alt: str, text: str) -> "Example":
        """Return the same example with the words of its picture."""
        return replace(self, alt=alt, text=text)


LIST: TypeAdapter[list[Example]] = TypeAdapter(Annotated[list[Example], Field(max_length=20)])


def choose(table: pd.DataFrame, classes: Sequence[str], each: int = EACH) -> list[Example]:
    """Test samples whose experts conflict most, then those whose truth the model holds least likely; no study twice.

    table: of predictions (`predictions.py`); classes: their names. The same table gives the same samples.
    """
    judged = table[(table["split"] == "test") & (table["status"] == "ok") & (table["target"] >= 0)]
    if not len(judged):
        return []
    judged = judged.sort_values([*SAMPLE, "class"])
    by_sample = judged.groupby(SAMPLE, sort=True)
    judged = judged.assign(at=by_sample.ngroup())
    at, slot = judged["at"].to_numpy(), by_sample.cumcount().to_numpy()
    experts = [name for name in table.columns if name.startswith("p_")]
    p = np.zeros(
        (len(experts), at.max() + 1, slot.max() + 1)
    )  # of many classes, samples have different numbers of rows
    p[:, at, slot] = judged[experts].to_numpy(dtype=np.float64).T
    found = judged.sort_values(["at", "p"], ascending=[True, False], kind="stable").drop_duplicates("at")
    truth = judged[judged["class"] == judged["target"]].set_index("at")["p"]
    found = found.assign(divergence=jensen_shannon(p), p_truth=truth.reindex(found["at"]).to_numpy())
    torn = found.dropna(subset="divergence").sort_values("divergence", ascending=False, kind="stable")
    torn = torn.drop_duplicates("study").head(each)
    wrong = found[(found["class"] != found["target"]) & ~found["study"].isin(torn["study"])]
    wrong = wrong.sort_values("p_truth", kind="stable").drop_duplicates("study").head(each)
    parts: tuple[tuple[Why, pd.DataFrame], ...] = (("conflict", torn), ("error", wrong))
    return [
        example_of(judged[judged["at"] == one["at"]], experts, classes, one["divergence"], why)
        for why, part in parts
        for one in part.to_dict("records")
    ]


def example_of(
    rows: pd.DataFrame, experts: Sequence[str], classes: Sequence[str], divergence: float, why: Why
) -> Example:
    """Return a sample with what everybody says of it. rows: one per class."""
    first, cls = rows.iloc[0], rows["class"].to_numpy(dtype=np.int64)
    truth = int(first["target"])
    voices: list[Voice] = []
    for name in ("p", *experts):
        p = rows[name].to_numpy(dtype=np.float64)
        if np.isfinite(p).any():
            top, who = int(np.nanargmax(p)), MODEL if name == "p" else name.removeprefix("p_")
            voices.append(Voice(who, classes[int(cls[top])], float(p[top]), float(p[cls == truth][0])))
    return Example(
        study=str(first["study"]),
        item=int(first["item"]),
        label=str(first["label"]),
        why=why,
        divergence=None if np.isnan(divergence) else float(divergence),
        truth=classes[truth],
        shown=1 if len(classes) == 2 else int(cls[rows["p"].to_numpy().argmax()]),
        voices=tuple(voices),
    )


def write_examples(folder: Path, examples: Sequence[Example], pictures: Sequence[bytes]) -> None:
    """Write a folder of examples and their pictures (WebP; empty: none), whole or not at all, in place of an earlier one."""
    if (folder / LISTED).is_file():  # not a stranger's folder of that name
        shutil.rmtree(folder)
    with replace_folder(folder) as beside:
        listed: list[dict[str, Any]] = []
        for number, (one, picture) in enumerate(zip(examples, pictures, strict=True), 1):
            name = f"{number}_{one.why}.webp" if picture else ""
            if name:
                (beside / name).write_bytes(picture)
            listed.append(asdict(replace(one, picture=name)))
        (beside / LISTED).write_text(json.dumps(listed, indent=1, allow_nan=False), encoding="utf-8")


def read_examples(folder: Path | None) -> list[Example]:
    """The examples that a folder keeps; none where there is no folder. Raises SourceError for a list that is damaged."""
    if folder is None or not (folder / LISTED).is_file():
        return []
    try:
        return LIST.validate_python(read_json(read_start(folder / LISTED)))
    except (NotPlain, ValidationError) as error:
        raise SourceError(
            f"{folder / LISTED} is no list of examples, or a damaged one; train or diagnose again"
        ) from error
