"""Official lists as studies to score: each entry with its text and its pictures, ill-formed lists refused in a line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from i2m2_med.errors import SourceError
from i2m2_med.simulate.vqa_vs.write import simulate
from i2m2_med.sources.listed import ListedSource
from i2m2_med.sources.nlvr import Settings as NlvrSettings
from i2m2_med.sources.nlvr import Source as NlvrSource
from i2m2_med.sources.vqa_rad import Settings as RadSettings
from i2m2_med.sources.vqa_rad import Source as RadSource
from i2m2_med.sources.vqa_vs import Settings, Source

QUESTION = {"image_id": 4, "question_id": 4001, "question": " Is it red? "}
STATEMENT = {"identifier": "dev-850-0-1", "sentence": "Both are red."}


def listed(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def drawn(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def opened(source: ListedSource, path: Path) -> dict[str, dict]:
    places = source.row_places(path)
    assert places is not None
    for place in places.values():
        source.row_files(place)
    return {name: source.study(place).records.to_dicts()[0] for name, place in places.items()}


def question_list(tmp_path: Path, content: object) -> Path:
    drawn(tmp_path / "val2014" / "COCO_val2014_000000000004.jpg")
    return listed(tmp_path / "VQA-VS" / "Val" / "Val-Ques.json", content)


@pytest.mark.parametrize("content", [[QUESTION], {"info": {}, "questions": [QUESTION]}])
def test_an_entry_of_either_list_is_its_question_and_its_picture(tmp_path, content):
    found = opened(Source(Settings(root=tmp_path)), question_list(tmp_path, content))
    assert found["4001"]["_question"] == "Is it red?"
    assert found["4001"]["_pictures"] == [str(tmp_path / "val2014" / "COCO_val2014_000000000004.jpg")]


def test_statements_of_version_2_are_found_with_both_pictures_and_without_labels(tmp_path):
    for side in (0, 1):
        drawn(tmp_path / "nlvr2" / "images" / "dev" / f"dev-850-0-img{side}.png")
    path = listed(tmp_path / "nlvr2" / "data" / "balanced" / "balanced_dev.json", json.dumps(STATEMENT) + "\n")
    found = opened(NlvrSource(NlvrSettings(root=tmp_path, version=2)), path)["dev-850-0-1"]
    assert [Path(one).name for one in found["_pictures"]] == ["dev-850-0-img0.png", "dev-850-0-img1.png"]


def test_a_list_of_radiology_questions_finds_its_pictures(tmp_path):
    drawn(tmp_path / "VQA_RAD Image Folder" / "a.jpg")
    path = listed(tmp_path / "mine.json", [{"qid": 7, "image_name": "a.jpg", "question": "Is it?"}])
    assert list(opened(RadSource(RadSettings(root=tmp_path)), path)) == ["7"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "no JSON"),
        ([], "no entry"),
        ({"annotations": []}, "not a list"),
        ([QUESTION, QUESTION], "1 entries twice"),
        ([{"question_id": 1}], "lacks image_id, question"),
        ([QUESTION | {"question": None}], "the text is a NoneType"),
        ([QUESTION | {"question_id": True}], "no plain identifier"),
        ([QUESTION | {"question_id": "../x"}], "no plain identifier"),
        ([QUESTION | {"image_id": "../../etc/passwd"}], "no plain identifier"),
        ([QUESTION | {"image_id": 1.5}], "no plain identifier"),
        ([QUESTION | {"image_id": "four"}], "no whole number"),
    ],
)
def test_an_ill_formed_list_is_refused_in_a_line(tmp_path, content, words):
    with pytest.raises(SourceError, match=words) as caught:
        Source(Settings(root=tmp_path)).row_places(question_list(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"identifier": "dev-850-0"}, {"identifier": "../a-1-2-3"}, {"directory": "../.."}])
def test_a_statement_that_leads_out_of_the_pictures_is_refused(tmp_path, change):
    (tmp_path / "images").mkdir()
    path = listed(tmp_path / "dev.json", json.dumps(STATEMENT | change))
    with pytest.raises(SourceError, match="identifier"):
        NlvrSource(NlvrSettings(root=tmp_path, version=2)).row_places(path)


def test_a_list_far_from_its_pictures_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no folder of pictures"):
        Source(Settings(root=tmp_path)).row_places(listed(tmp_path / "a/b/c/d/e/list.json", [QUESTION]))


def test_a_missing_picture_refuses_its_entry_only(tmp_path):
    source = Source(Settings(root=tmp_path))
    places = source.row_places(question_list(tmp_path, [QUESTION, QUESTION | {"image_id": 5, "question_id": 5001}]))
    assert places is not None
    assert source.row_files(places["4001"]) is not None
    with pytest.raises(SourceError, match="picture is missing"):
        source.row_files(places["5001"])


def test_a_changed_text_is_another_study(tmp_path):
    source = Source(Settings(root=tmp_path))
    path = question_list(tmp_path, [QUESTION])
    before = source.row_files(path / "0")
    listed(path, [QUESTION | {"question": "Is it a red one?"}])
    assert source.row_files(path / "0") != before


def test_every_simulated_question_is_an_entry(tmp_path):
    simulate(tmp_path / "out", questions=100, seed=1)
    path = tmp_path / "out/VQA-VS/IID-Test/IID-Test-Ques.json"
    assert len(opened(Source(Settings(root=tmp_path)), path)) == len(json.loads(path.read_text(encoding="utf-8")))
