"""The labels that data sets hand out, as labels of what was scored: their own files, whole or refused in a line."""

import json
from pathlib import Path

import pytest

from i2m2_med.engine.reopening.arrived_labels import ArrivedLabels, read_labels
from i2m2_med.errors import SourceError
from i2m2_med.sources.avmnist import Settings as DigitSettings
from i2m2_med.sources.avmnist import Source as DigitSource
from i2m2_med.sources.nlvr import Settings as NlvrSettings
from i2m2_med.sources.nlvr import Source as NlvrSource
from i2m2_med.sources.source import Labels, Source
from i2m2_med.sources.vqa_rad import Settings as RadSettings
from i2m2_med.sources.vqa_rad import Source as RadSource
from i2m2_med.sources.vqa_vs import Settings as VqaSettings
from i2m2_med.sources.vqa_vs import Source as VqaSource

ANSWERS = Labels(("answer",), ("yes", "no", "2"))
TRUTH = Labels(("statement",), ("false", "true"))
NOWHERE = Path("nowhere")
VQA, RAD = VqaSource(VqaSettings(root=NOWHERE)), RadSource(RadSettings(root=NOWHERE))
NLVR2 = NlvrSource(NlvrSettings(root=NOWHERE, version=2))


def annotation(number: int, *answers: object, image: int = 7) -> dict[str, object]:
    return {"question_id": number, "image_id": image, "answers": [{"answer": one, "answer_id": 1} for one in answers]}


def read(folder: Path, content: object, source: Source, labels: Labels) -> ArrivedLabels:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_labels(path, labels, source)


@pytest.mark.parametrize("wrap", [lambda listed: listed, lambda listed: {"info": {}, "annotations": listed}])
def test_annotations_are_classes_and_soft_scores(tmp_path, wrap):
    listed = [
        annotation(71, *["yes"] * 2, *["no"] * 8),
        annotation(72, *[2] * 10, image=8),
        annotation(73, *["maybe"] * 10),
    ]
    found = read(tmp_path, wrap(listed), VQA, ANSWERS)
    assert found.table.rows() == [
        ("71", None, "picture 7", 1),
        ("72", None, "picture 8", 2),
        ("73", None, "picture 7", -2),  # none of the classes: counts 0
    ]
    assert found.scores is not None
    assert found.scores.sort("study", "class").rows() == [
        ("71", "answer", 0, pytest.approx(2 / 3)),
        ("71", "answer", 1, 1.0),
        ("72", "answer", 2, 1.0),
    ]


def test_statements_are_true_or_false_in_any_case_and_grouped_by_set(tmp_path):
    lines = [
        {"identifier": "test1-5-0-1", "label": "True"},
        {"identifier": "test1-5-1-0", "label": "FALSE"},
        {"identifier": "test1-6-0-0", "label": "false"},
    ]
    found = read(tmp_path, "".join(f"{json.dumps(one)}\n" for one in lines), NLVR2, TRUTH)
    assert found.table.rows() == [
        ("test1-5-0-1", None, "test1-5", 1),
        ("test1-5-1-0", None, "test1-5", 0),
        ("test1-6-0-0", None, "test1-6", 0),
    ]
    assert found.scores is None


def test_radiology_answers_that_are_no_class_are_unknown_where_questions_are_closed(tmp_path):
    closed = Labels(("answer",), ("no", "yes"))
    listed = [
        {"qid": 1, "image_name": "a.jpg", "answer": "Yes "},
        {"qid": 2, "image_name": "b.jpg", "answer": "left"},
    ]
    assert read(tmp_path, listed, RAD, closed).table["answer"].to_list() == [1, -1]
    opened = RadSource(RadSettings(root=NOWHERE, questions="open"))
    assert read(tmp_path, listed, opened, Labels(("answer",), ("left", "right"))).table["answer"].to_list() == [-2, 0]


@pytest.mark.parametrize(
    ("source", "labels", "content", "words"),
    [
        (VQA, ANSWERS, "[{", "no JSON"),
        (VQA, ANSWERS, [], "holds no label"),
        (VQA, ANSWERS, {"questions": []}, "not a list of objects"),
        (VQA, ANSWERS, [annotation(1, "yes")] * 2, "labels 2 studies more than once"),
        (VQA, ANSWERS, [annotation(1)], "answers is not a list of objects"),
        (VQA, ANSWERS, [annotation(1, None)], "the answer is NoneType"),
        (VQA, ANSWERS, [annotation(1, " ")], "the answer is empty"),
        (VQA, ANSWERS, [annotation(1, *["yes"] * 101)], "101 annotators"),
        (VQA, ANSWERS, [{"question_id": 1, "image_id": 1}], "lacks answers"),
        (VQA, ANSWERS, [annotation(1, "yes") | {"question_id": "../1"}], "no plain identifier"),
        (VQA, ANSWERS, '[{"question_id": NaN}]', "no plain JSON"),
        (NLVR2, TRUTH, '{"identifier": "dev-1-0-1", "label": "perhaps"}', "not true or false"),
        (NLVR2, TRUTH, '{"identifier": "dev-1-0-1"}', "lacks label"),
        (NLVR2, TRUTH, '{"identifier": "a b", "label": "True"}', "no plain identifier"),
        (NLVR2, TRUTH, '{"identifier": "dev-1-0-1", "label": "True"}\n{', "line 2 is no JSON"),
        (RAD, ANSWERS, [{"qid": 1, "answer": "yes"}], "lacks image_name"),
    ],
)  # fmt: skip
def test_an_ill_formed_file_is_refused_in_a_line_without_an_answer(tmp_path, source, labels, content, words):
    with pytest.raises(SourceError, match=words) as caught:
        read(tmp_path, content, source, labels)
    assert "\n" not in str(caught.value)


def test_a_data_set_without_such_a_file_asks_for_a_table(tmp_path):
    digits = DigitSource(DigitSettings(root=NOWHERE))
    with pytest.raises(SourceError, match="avmnist hands out no labels; give a CSV"):
        read(tmp_path, [], digits, Labels(("digit",), ("0", "1")))
    with pytest.raises(SourceError, match="is not there"):
        read_labels(tmp_path / "gone.json", ANSWERS, VQA)
