"""Questions about pictures: VQA-VS's lists (simulated in their format) and the real VQA-RAD."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from i2m2_med.console import Progress
from i2m2_med.errors import SourceError
from i2m2_med.simulate.vqa_vs.world import ANSWERS, Dials, draw, evidence, observed, shifts
from i2m2_med.simulate.vqa_vs.write import simulate
from i2m2_med.sources.formats.json_lines import read_json_list
from i2m2_med.sources.source import Flow
from i2m2_med.sources.text.answers import normalised
from i2m2_med.sources.vqa_rad import Settings as RadSettings
from i2m2_med.sources.vqa_rad import Source as RadSource
from i2m2_med.sources.vqa_vs import Settings, Source

SHARED = Path(os.environ.get("I2M2_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "vqa_rad"
QT = "OOD-Test/QT/OOD-Test-QT"
DIALS = Dials(0.4, 0.4, 0.2, 0.6)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vqa") / "out"
    simulate(out, questions=200, seed=3)
    return out


def ingest(root: Path, folder: Path, flow: Flow | None = None, **settings) -> pl.DataFrame:
    source = Source(Settings(root=root, **settings))
    source.files()
    return source.ingest(folder, folder, flow or Flow(), Progress())


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("The Dogs.", "dogs"),
        ("TWO", "2"),
        ("dont know", "don't know"),
        ("1,000", "1000"),
        ("it's", "it's"),
        ("a/b", "b"),
    ],
)
def test_answers_are_normalised_as_officially(answer, wanted):
    assert normalised(answer) == wanted


def test_classes_are_answers_of_training_and_scores_are_votes(drawn, tmp_path):
    records = ingest(drawn, tmp_path, least=3)
    names = Source(Settings(root=drawn)).labels_in(tmp_path).classes
    assert set(names) == set(ANSWERS)
    home = drawn / "VQA-VS/Training"
    first = json.loads((home / "Training-Ans.json").read_text(encoding="utf-8"))[0]
    votes = {one: sum(each["answer"] == one for each in first["answers"]) for one in names}
    scores = {names[each["class"]]: each["score"] for each in records["soft_answer"][0]}
    assert scores == pytest.approx({one: min(count / 3, 1) for one, count in votes.items() if count})
    assert records["split"].value_counts().sort("split").rows() == [("test", 60), ("train", 120), ("valid", 20)]


def test_an_answer_without_a_type_is_of_none(drawn, tmp_path):
    root = Path(shutil.copytree(drawn, tmp_path / "copy"))
    lists = [root / "VQA-VS/IID-Test/IID-Test-Ans.json", *(root / "VQA-VS/OOD-Test").glob("*/*-Ans.json")]
    for path in lists:
        entries = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(
            json.dumps([{k: v for k, v in one.items() if k != "answer_type"} for one in entries]), encoding="utf-8"
        )
    records = ingest(root, tmp_path)
    assert records.group_by("split").agg(pl.col("group_answer_type").null_count() == pl.len()).sort("split").rows() == [
        ("test", True), ("train", False), ("valid", False)]  # fmt: skip


def test_answers_outside_of_the_classes_count_nothing_and_stay(drawn, tmp_path):
    records = ingest(drawn, tmp_path, most=2)
    outside = records.filter(pl.col("label_answer") == -2)
    assert len(outside) > 0
    assert (outside["soft_answer"].list.len() == 0).all()


def test_shifted_sets_are_those_of_the_lists(drawn, tmp_path):
    records = ingest(drawn, tmp_path)
    listed = json.loads((drawn / "VQA-VS/OOD-Test/QT/OOD-Test-QT-Ques.json").read_text(encoding="utf-8"))
    tails = records.filter(pl.col("group_QT") == "tail")
    assert set(tails["study"]) == {f"question {one['question_id']}" for one in listed}
    assert set(tails["split"]) == {"test"}


def test_objects_that_hold_the_lists_are_read_as_well(drawn, tmp_path):
    root = Path(shutil.copytree(drawn, tmp_path / "copy"))
    path = root / "VQA-VS/Val/Val-Ques.json"
    path.write_text(
        json.dumps({"info": {}, "questions": json.loads(path.read_text(encoding="utf-8"))}), encoding="utf-8"
    )
    assert len(ingest(root, tmp_path)) == 200


def first(content: list[dict], **values) -> list[dict]:
    """The list with other values in its first entry."""
    return [content[0] | values, *content[1:]]


def changed(root: Path, name: str, change) -> None:
    path = root / name
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(content)), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("Val/Val-Ans.json", lambda c: c[1:], "lacks the answers of 1 questions"),
        ("Val/Val-Ques.json", lambda c: [*c, c[0]], "asks a question twice: entry 20"),
        ("Val/Val-Ans.json", lambda c: [*c, c[0]], "entry 20 has the question_id of an earlier one"),
        ("Val/Val-Ques.json", lambda c: first(c, question_id=1.5), "entry 0: question_id is no plain identifier"),
        ("Val/Val-Ques.json", lambda c: first(c, question_id=True), "entry 0: question_id is no plain identifier"),
        ("Val/Val-Ques.json", lambda c: first(c, image_id="../../etc"), "entry 0: image_id is no plain identifier"),
        (
            "Val/Val-Ques.json",
            lambda c: first(c, image_id=10**30),
            "entry 0: image_id is no whole number of at most 18",
        ),
        ("Val/Val-Ques.json", lambda c: first(c, image_id=None), "entry 0: image_id is no plain identifier"),
        ("Val/Val-Ques.json", lambda c: first(c, question=["What?"]), "entry 0: the text is a list"),
        ("Val/Val-Ques.json", lambda c: first(c, question=" "), "entry 0: the question is empty"),
        ("Val/Val-Ans.json", lambda c: first(c, answers=[]), "entry 0: answers is not a list of objects"),
        ("Val/Val-Ans.json", lambda c: first(c, answers="yes"), "entry 0: answers is not a list of objects"),
        (
            "Val/Val-Ans.json",
            lambda c: first(c, answers=[{"answer_id": 1}]),
            "entry 0: answers is not a list of objects",
        ),
        (
            "Val/Val-Ans.json",
            lambda c: first(c, answers=[{"answer": None}]),
            "entry 0: the answer is NoneType, not a text",
        ),
        (
            "Val/Val-Ans.json",
            lambda c: first(c, multiple_choice_answer=" "),
            "entry 0: the answer is empty, not a text",
        ),
        ("Val/Val-Ques.json", lambda c: [{"question_id": 1}, *c], "lacks image_id, question"),
        ("Val/Val-Ans.json", lambda c: str(len(c)), "is not a list"),
        ("Val/Val-Ans.json", lambda c: first(c, answer_type="open"), "entry 0: answer_type is 'open', none of"),
        (f"{QT}-Ques.json", lambda c: first(c, question="Another?"), "Ques.json: 1 of .* or with another text"),
        (
            f"{QT}-Ques.json",
            lambda c: first(c, image_id=c[0]["image_id"] + 1),
            "Ques.json: 1 of .* or with another text",
        ),
        (
            f"{QT}-Ans.json",
            lambda c: first(c, multiple_choice_answer="zebra"),
            "Ques.json: 1 of .* or with another text",
        ),
        (f"{QT}-Ans.json", lambda c: c[1:], "lacks the answers of 1 questions"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(drawn, tmp_path, name, change, words):
    root = Path(shutil.copytree(drawn, tmp_path / "copy"))
    changed(root / "VQA-VS", name, change)
    with pytest.raises(SourceError, match=words):
        ingest(root, tmp_path)


def test_a_part_that_is_a_copy_of_another_is_refused(drawn, tmp_path):
    root = Path(shutil.copytree(drawn, tmp_path / "copy"))
    for kind in ("Ques", "Ans"):
        shutil.copy(root / f"VQA-VS/Training/Training-{kind}.json", root / f"VQA-VS/Val/Val-{kind}.json")
    with pytest.raises(SourceError, match="120 questions stand in more than one of train, valid, test"):
        ingest(root, tmp_path)


def test_missing_pictures_are_counted_or_left_out(drawn, tmp_path):
    root = Path(shutil.copytree(drawn, tmp_path / "copy"))
    next(iter(sorted((root / "val2014").iterdir()))).unlink()
    with pytest.raises(SourceError, match="1 of 200 pictures are missing"):
        ingest(root, tmp_path)
    assert len(ingest(root, tmp_path, Flow(skip_bad=True))) == 199


def test_every_piece_of_evidence_is_a_likelihood_given_the_answer():
    made = draw(40_000, DIALS, np.random.default_rng(0))
    for name, log_p in evidence(made, DIALS).items():
        likely = np.exp(log_p)[np.arange(40_000), made.answer]
        expected = (p := getattr(DIALS, name) + (1 - getattr(DIALS, name)) / 8) ** 2 + 7 * ((1 - p) / 7) ** 2
        assert likely.mean() == pytest.approx(expected, abs=0.01)


def test_the_ideal_joint_is_best_in_distribution_and_the_product_worst_where_both_shortcuts_mislead():
    made = draw(20_000, DIALS, np.random.default_rng(1))
    right = {name: log_p.argmax(axis=1) == made.answer for name, log_p in observed(made, DIALS).items()}
    whole = {name: hit.mean() for name, hit in right.items()}
    assert max(whole, key=whole.get) == "inter"
    both = shifts(made)["QT+KO"]
    tail = {name: hit[both].mean() for name, hit in right.items()}
    assert tail["i2m2"] < tail["inter"] < tail["shortcut_free"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": NaN}]', "NaN is no number"),
        ('[{"a": -Infinity}]', "-Infinity is no number"),
        ('[{"a": 1e400}]', "larger than any that is kept"),
        ('[{"a": 1, "a": 2}]', "an object has a name twice"),
        ('[{"a": "\\ud83d"}]', "holds half a character"),
        ('[{"a": "\\ud83d\\ude00"}, 7]', "not a list of objects"),  # a whole character
        (f'[{{"a": {"9" * 5000}}}]', "is no plain JSON"),
        ("[" * 100_000, "is no plain JSON"),
        ('[{"a": 1}', "is no JSON; get"),
        ('[\n{"a": 1},\n}', r"is no JSON \(line 3\); get"),
        ("", "is no JSON"),
    ],
)
def test_what_is_no_plain_json_is_one_clear_line(tmp_path, text, words):
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=words) as caught:
        read_json_list(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def rad(tmp_path: Path, **values) -> tuple[Path, list[dict]]:
    """A list of VQA-RAD's form with two questions on a picture."""
    home = tmp_path / "rad"
    (home / "VQA_RAD Image Folder").mkdir(parents=True)
    Image.new("CMYK", (8, 8)).save(home / "VQA_RAD Image Folder" / "a.jpg")
    one = {"qid": 1, "phrase_type": "freeform", "image_name": "a.jpg", "question": "Is it?", "answer": "YES ",
           "answer_type": "Closed "}  # fmt: skip
    content = [one | values, one | {"qid": "2", "answer": "No"}]
    (home / "VQA_RAD Dataset Public.json").write_text(json.dumps(content), encoding="utf-8")
    return home, content


def test_vqa_rad_reads_labels_in_any_case_and_numbers_as_answers(tmp_path):
    home, _ = rad(tmp_path, answer=4, answer_type="OPEN")
    records = RadSource(RadSettings(root=home)).ingest(tmp_path, tmp_path, Flow(), Progress())
    assert records["label_answer"].to_list() == [0]
    opened = RadSource(RadSettings(root=home, questions="open", least=1))
    opened.ingest(tmp_path, tmp_path, Flow(), Progress())
    assert opened.labels_in(tmp_path).classes == ("4",)


@pytest.mark.parametrize("organ", [None, "", " ", "null"])
def test_what_vqa_rad_leaves_empty_is_no_group(tmp_path, organ):
    home, _ = rad(tmp_path, image_organ=organ)
    records = RadSource(RadSettings(root=home)).ingest(tmp_path, tmp_path, Flow(), Progress())
    assert records["group_organ"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"answer": None}, "entry 0: the answer is NoneType"),
        ({"answer": ["yes"]}, "entry 0: the answer is list"),
        ({"answer": ""}, "entry 0: the answer is empty"),
        ({"question": 5}, "entry 0: the text is a int"),
        ({"question": ""}, "entry 0: the question is empty"),
        ({"qid": "2"}, r"1 questions \(qid\) twice"),
        ({"qid": True}, "entry 0: qid is no plain identifier"),
        ({"answer_type": "half-open"}, "entry 0: answer_type is 'half-open', none of CLOSED, OPEN"),
        ({"answer_type": {}}, "entry 0: answer_type is '{}', none of"),
        ({"phrase_type": "tset_para"}, "entry 0: phrase_type is 'tset_para', none of"),
        ({"image_name": "../a.jpg"}, "is no plain file name"),
        ({"qid_linked_id": ["x"]}, "entry 0: qid_linked_id is a list, no name"),
        ({"image_organ": {}}, "entry 0: image_organ is a dict, no name"),
        ({"image_name": "b.jpg"}, r"b\.jpg is not there"),
    ],
)
def test_a_wrong_question_of_vqa_rad_is_one_clear_line(tmp_path, values, words):
    home, _ = rad(tmp_path, **values)
    with pytest.raises(SourceError, match=words) as caught:
        RadSource(RadSettings(root=home)).ingest(tmp_path, tmp_path, Flow(), Progress())
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"VQA-RAD is not in {SHARED}")
def test_vqa_rad_is_what_was_counted(tmp_path):
    flow = Flow()
    records = RadSource(RadSettings(root=SHARED)).ingest(tmp_path, tmp_path, flow, Progress())
    steps = {step["step"]: step["kept"] for step in flow.steps}
    assert steps["questions"] == 2248
    assert steps["closed questions"] == 1299
    assert records["label_answer"].value_counts().sort("label_answer")["count"].to_list() == [606, 587]
    assert records.select(pl.struct("study", "item").is_unique().all()).item()
    assert records.group_by("study").agg(pl.col("patient").n_unique())["patient"].max() == 1
    assert (records.group_by("study").len()["len"] > 1).sum() == 370
    opened = RadSource(RadSettings(root=SHARED, questions="open", groups="official"))
    every = opened.ingest(tmp_path, tmp_path, flow, Progress())
    assert len(every) == 949
    assert any("shows pictures of training" in remark for remark in flow.remarks)
    assert len(opened.labels_in(tmp_path).classes) > 20


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"VQA-RAD is not in {SHARED}")
def test_vqa_rad_has_312_groups():
    from i2m2_med.sources.formats.json_lines import read_json_list
    from i2m2_med.sources.vqa_rad.source import QUESTIONS, linked

    assert len(set(linked(read_json_list(SHARED / "input" / QUESTIONS)))) == 312


def test_a_question_in_another_encoding_is_one_clear_line(tmp_path):
    (tmp_path / "question.txt").write_bytes("Où?".encode("latin-1"))
    with pytest.raises(SourceError, match=r"question\.txt is not UTF-8 text"):
        Source(Settings(root=tmp_path)).study(tmp_path)
    (tmp_path / "question.txt").write_text("\ufeffWhere?", encoding="utf-8")
    assert Source(Settings(root=tmp_path)).study(tmp_path).records["_question"].to_list() == ["Where?"]
