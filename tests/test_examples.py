"""Which samples are shown, and the folder that keeps them: the same table chooses the same, and a stranger's list is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.examples import LISTED, Voice, choose, read_examples, write_examples

CLASSES = ("absent", "present")
PRESENT = {
    # study: (model, expert a, expert b, truth)
    "s1": (0.5, 0.99, 0.01, 1),  # conflict, and wrong by order of classes
    "s2": (0.02, 0.03, 0.04, 1),  # sure and wrong
    "s3": (0.4, 0.4, 0.45, 1),  # barely wrong
    "s4": (0.9, 0.9, 0.9, 1),
    "s5": (0.9, 0.1, np.nan, -1),  # nobody knows
}


def table_of(present: dict[str, tuple[float, float, float, int]]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for study, (*p, target) in present.items():
        for cls in (0, 1):
            each = dict(zip(("p", "p_a", "p_b"), [one if cls else 1 - one for one in p], strict=True))
            known = {"split": "test", "status": "ok", "target": target, "class": cls}
            rows.append({"study": study, "item": 0, "label": "acl"} | known | each)
    return pd.DataFrame(rows)


def test_conflict_comes_first_then_the_worst_error_and_no_study_twice() -> None:
    chosen = choose(table_of(PRESENT), CLASSES, each=1)
    assert [(one.study, one.why, one.truth) for one in chosen] == [
        ("s1", "conflict", "present"),
        ("s2", "error", "present"),
    ]
    assert chosen[1].voices[0] == Voice("model", "absent", 0.98, 0.02)
    assert [voice.who for voice in chosen[0].voices] == ["model", "a", "b"]
    assert {one.study for one in choose(table_of(PRESENT), CLASSES, each=9)} == {"s1", "s2", "s3", "s4"}


def test_the_order_of_rows_chooses_nothing() -> None:
    table = table_of(PRESENT)
    assert choose(table.sample(frac=1, random_state=3), CLASSES) == choose(table, CLASSES)


def test_one_expert_has_no_conflict_and_an_absent_one_no_voice() -> None:
    alone = table_of(PRESENT).drop(columns="p_b")
    assert {one.why for one in choose(alone, CLASSES)} == {"error"}
    absent = table_of({"s2": (0.02, 0.03, np.nan, 1)})
    assert [voice.who for voice in choose(absent, CLASSES)[0].voices] == ["model", "a"]
    assert choose(table_of(PRESENT).query("target < 0"), CLASSES) == []


def test_of_many_classes_samples_hold_different_rows() -> None:
    rows = [
        ("s1", cls, p, target) for target, part in ((7, {7: 0.1, 3: 0.6}), (5, {5: 0.9})) for cls, p in part.items()
    ]
    table = pd.DataFrame(rows, columns=["study", "class", "p", "target"])
    table["study"] = np.where(table["target"] == 7, "s1", "s2")
    table = table.assign(item=0, label="answer", split="test", status="ok", p_a=table["p"], p_b=table["p"] / 2)
    chosen = choose(table, [f"answer {number}" for number in range(60)])
    assert {(one.study, one.truth, one.shown) for one in chosen} == {("s1", "answer 7", 3), ("s2", "answer 5", 5)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    chosen = choose(table_of(PRESENT), CLASSES)
    write_examples(tmp_path / "examples", chosen, [b"picture", *[b""] * (len(chosen) - 1)])
    again = read_examples(tmp_path / "examples")
    assert again == [replace(chosen[0], picture="1_conflict.webp"), *chosen[1:]]
    assert (tmp_path / "examples" / again[0].picture).read_bytes() == b"picture"
    write_examples(tmp_path / "examples", chosen[:1], [b""])  # an earlier call's are replaced
    assert [path.name for path in (tmp_path / "examples").iterdir()] == [LISTED]
    assert read_examples(tmp_path / "none") == []
    assert read_examples(None) == []


@pytest.mark.parametrize(
    "spoilt",
    [{"picture": "../../etc/passwd"}, {"picture": "/1_a.webp"}, {"why": "<script>"}, {"voices": 3}, {"study": None}],
)
def test_a_list_from_a_stranger_is_refused(tmp_path: Path, spoilt: dict[str, Any]) -> None:
    write_examples(tmp_path / "examples", choose(table_of(PRESENT), CLASSES, each=1)[:1], [b""])
    path = tmp_path / "examples" / LISTED
    path.write_text(json.dumps([json.loads(path.read_text(encoding="utf-8"))[0] | spoilt]), encoding="utf-8")
    with pytest.raises(SourceError, match="no list of examples"):
        read_examples(tmp_path / "examples")
    path.write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(SourceError, match="no list of examples"):
        read_examples(tmp_path / "examples")
