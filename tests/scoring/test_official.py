"""Decisions in the format of the data set's own evaluation: from whole runs and from merged parts."""

import json
from pathlib import Path

import pytest

from i2m2_med.parts import Part
from i2m2_med.scoring.official import ModelFacts
from i2m2_med.scoring.output_lock import lock_output
from i2m2_med.scoring.run import finish, merge

ANSWERS = ModelFacts(("joint",), "vqa_vs", ("answer",), ("no", "yes", 'a "b"'))
TRUTHS = ModelFacts(("joint",), "nlvr", ("statement",), ("false", "true"))


def result(study: str, p: tuple[float, ...], decision: str | None = None) -> dict:
    about = {"study": study, "warning": "", "model": "m", "config_sha": "c", "seconds": 0.1, "error": ""}
    cells = [
        {"item": 0, "level": "item", "label": "answer", "class": at, "p": one, "p_joint": one, "pattern": "picture"}
        | {"uncalibrated": one, "calibrated": False, "set": None, "set_split": None, "decision": decision}
        for at, one in enumerate(p)
    ]
    return about | {"status": "ok" if p else "refused", "key": "k", "rows": cells}


def written(out: Path, facts: ModelFacts, *results: dict) -> tuple[str, int] | None:
    with lock_output(out, Part()) as store:
        for one in results:
            store.save(one)
        return finish(store, [one["study"] for one in results], facts, Part()).results


def test_answers_are_those_decided_on_and_refused_questions_stay_out(tmp_path):
    made = written(
        tmp_path, ANSWERS, result("11", (0.2, 0.1, 0.7)), result("12", (0.9, 0.05, 0.05), "1"), result("13", ())
    )
    assert made == ("results.json", 2)
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8")) == [
        {"question_id": 11, "answer": 'a "b"'},
        {"question_id": 12, "answer": "yes"},
    ]


def test_statements_are_lines_of_identifier_and_truth(tmp_path):
    assert written(tmp_path, TRUTHS, result("dev-1-0-1", (0.2, 0.8)), result("12-0", (0.2, 0.8))) is not None
    assert (tmp_path / "predictions.csv").read_text(encoding="utf-8") == "dev-1-0-1,True\n"


@pytest.mark.parametrize("facts", [ModelFacts(), ModelFacts(("joint",), "os", ("a",), ("b", "c"))])
def test_a_data_set_without_such_a_format_has_no_such_file(tmp_path, facts):
    assert written(tmp_path, facts, result("11", (0.2, 0.8))) is None


def test_merged_parts_write_what_a_whole_run_writes(tmp_path):
    results = {name: result(name, (0.2, 0.1, 0.7)) for name in map(str, range(10, 20))}
    for index in range(2):
        part = Part(index, 2)
        with lock_output(tmp_path / "parts", part) as store:
            own = [name for name in results if int(name) % 2 == index]
            for name in own:
                store.save(results[name])
            finish(store, own, ANSWERS, part)
    assert merge(tmp_path / "parts").results == ("results.json", 10)
    written(tmp_path / "whole", ANSWERS, *results.values())
    assert (tmp_path / "parts/results.json").read_bytes() == (tmp_path / "whole/results.json").read_bytes()
