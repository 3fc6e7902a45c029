"""NLVR v1 and NLVR2 as released, and as they come broken."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from i2m2_med.console import Progress
from i2m2_med.errors import SourceError
from i2m2_med.simulate.nlvr.write import simulate
from i2m2_med.sources.formats.photograph import read_photograph
from i2m2_med.sources.nlvr import Settings, Source
from i2m2_med.sources.nlvr.statements import read_part
from i2m2_med.sources.source import Flow

SHARED = Path(os.environ.get("I2M2_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data")) / "nlvr"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nlvr") / "out"
    simulate(out, statements=40, seed=3)
    return out


def ingest(root: Path, flow: Flow | None = None, **settings) -> pl.DataFrame:
    source = Source(Settings(root=root, **settings))
    source.files()
    return source.ingest(root, root, flow or Flow(), Progress())


def copied(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "copy"))


def test_statements_of_a_presentation_stay_together(drawn):
    records = ingest(drawn)
    assert records["patient"].n_unique() * 4 == len(records)
    assert records.group_by("patient").agg(pl.col("_official").n_unique())["_official"].to_list() == [1] * (
        len(records) // 4
    )
    assert (records.group_by("patient").agg(pl.col("label_statement").sum())["label_statement"] == 2).all()


def test_without_a_directory_a_picture_that_lies_in_two_is_refused(drawn, tmp_path):
    root = copied(drawn, tmp_path)
    path = root / "nlvr/dev/dev.json"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text(
        "\n".join(json.dumps({k: v for k, v in one.items() if k != "directory"}) for one in lines), encoding="utf-8"
    )
    ingest(root)
    picture = next((root / "nlvr/dev/images").glob("*/*.png"))
    (root / "nlvr/dev/images/another").mkdir()
    shutil.copy(picture, root / "nlvr/dev/images/another")
    with pytest.raises(SourceError, match=f"{picture.name} lies in 2 folders of images"):
        ingest(root)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"NLVR is not in {SHARED}")
def test_nlvr2s_official_subsets_are_those_of_the_release(tmp_path):
    with zipfile.ZipFile(SHARED / "nlvr2_text_dev_test.zip") as archive:
        archive.extractall(tmp_path)
    home = tmp_path / "nlvr2"
    for part, size in (("dev", 6982), ("test1", 6967)):
        statements = read_part(home, 2, part)
        assert len(statements) == size
        names = {kind: sum(one.kind == kind for one in statements) for kind in ("balanced", "unbalanced")}
        listed = {
            kind: len((home / f"data/{kind}/{kind}_{part}.json").read_text(encoding="utf-8").splitlines())
            for kind in names
        }
        assert names == listed
    assert len({one.sentence_of for one in read_part(home, 2, "dev")}) == 2018


def second(root: Path, part: str, lines: list[tuple[str, str]], ends: str = "\n") -> None:
    """A part of version 2: identifiers and labels."""
    path = root / f"nlvr2/data/{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    each = (
        json.dumps({"identifier": one, "sentence": "a\u2028b", "label": label}, ensure_ascii=False)
        for one, label in lines
    )
    path.write_bytes(ends.join(each).encode())


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_labels_in_any_case_are_the_same_label_and_lines_end_where_lines_end(tmp_path, ends):
    second(
        tmp_path,
        "dev",
        [("dev-1-0-0", "True"), ("dev-1-0-1", " true"), ("dev-1-1-0", "TRUE"), ("dev-1-1-1", "false")],
        ends,
    )
    read = read_part(tmp_path / "nlvr2", 2, "dev")
    assert [one.kind for one in read] == ["unbalanced", "unbalanced", "balanced", "balanced"]
    assert [one.true for one in read] == [True, True, True, False]
    assert read[0].sentence == "a\u2028b"


def test_a_part_that_is_a_copy_of_another_is_refused(tmp_path):
    second(tmp_path, "dev", [("train-1-0-0", "True")])
    with pytest.raises(SourceError, match="of another part"):
        read_part(tmp_path / "nlvr2", 2, "dev")


def test_two_pictures_make_one_statement_of_version_2(tmp_path):
    for part in ("train", "dev", "test1"):
        folder = tmp_path / "images" / part / ("3" if part == "train" else "")
        folder.mkdir(parents=True)
        (tmp_path / "data").mkdir(exist_ok=True)
        lines = []
        for at in range(4):
            example = {
                "identifier": f"{part}-{at}-0-1",
                "sentence": "Two dogs.",
                "label": "True" if at % 2 else "FALSE ",
            }
            lines.append(json.dumps(example | ({"directory": 3} if part == "train" else {})))
            for side in (0, 1):  # as in the release, some of them are JPEG inside
                Image.new("RGB", (9, 7 + side)).save(folder / f"{part}-{at}-0-img{side}.png", "JPEG" if side else "PNG")
        (tmp_path / "data" / f"{part}.json").write_text("\n".join(lines), encoding="utf-8")
    records = ingest(tmp_path, version=2, test="test1", valid="dev")
    assert records["split"].value_counts().sort("split").rows() == [("test", 4), ("train", 4), ("valid", 4)]
    assert [len(paths) for paths in records["_pictures"]] == [2] * 12
    assert records["label_statement"].to_list() == [0, 1] * 6


def test_missing_pictures_are_counted_in_one_line_and_may_be_left_out(drawn, tmp_path):
    root = copied(drawn, tmp_path)
    gone = sorted(root.rglob("train-*.png"))[:3]
    for path in gone:
        path.unlink()
    with pytest.raises(SourceError, match=r"3 of 40 pictures are missing, such as train-"):
        ingest(root)
    flow = Flow(skip_bad=True)
    assert len(ingest(root, flow)) == 37
    assert len(flow.refused) == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"sentence": "x"', "is no JSON"),
        ("[1]", "is a list"),
        ('{"sentence": "x", "sentence": "y", "identifier": "9-0", "label": "true"}', "has a name twice"),
        ('{"sentence": "x\\ud800", "identifier": "9-0", "label": "true"}', "holds half a character"),
        ('{"sentence": NaN, "identifier": "9-0", "label": "true"}', "NaN is no number"),
        ('{"sentence": 7, "identifier": "9-0", "label": "true"}', "the text is a int"),
        ('{"sentence": " ", "identifier": "9-0", "label": "true"}', "the sentence is empty"),
        ('{"sentence": "x", "identifier": "../9-0", "label": "true"}', "no plain identifier"),
        ('{"sentence": "x", "identifier": "9-0", "label": "true", "directory": ".."}', "no plain identifier"),
        ('{"sentence": "x", "identifier": "9-0"}', "lacks label"),
        ('{"sentence": "x", "identifier": "9-0", "label": "maybe"}', "not true or false"),
        ('{"sentence": "x", "identifier": "9-x", "label": "true"}', "does not end in a number"),
    ],
)
def test_a_wrong_line_is_named(drawn, tmp_path, line, words):
    root = copied(drawn, tmp_path)
    path = root / "nlvr/dev/dev.json"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match=words):
        ingest(root)


def test_an_identifier_given_twice_is_refused(drawn, tmp_path):
    root = copied(drawn, tmp_path)
    path = root / "nlvr/dev/dev.json"
    path.write_text(
        path.read_text(encoding="utf-8") + path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8"
    )
    with pytest.raises(SourceError, match="1 identifiers twice"):
        ingest(root)


def test_a_study_may_lack_its_picture_or_its_sentence(drawn, tmp_path):
    source = Source(Settings(root=drawn))
    study = tmp_path / "study"
    study.mkdir()
    with pytest.raises(SourceError, match="neither"):
        source.study(study)
    (study / "sentence.txt").write_text("There is a blue tower.", encoding="utf-8")
    assert source.study(study).records.row(0, named=True)["has_picture"] is False
    Image.new("RGBA", (30, 20)).save(study / "picture.png")
    with pytest.raises(SourceError, match="30 × 20 pixels"):
        source.study(study)


MODES = {"L": 100, "P": 7, "CMYK": (0, 255, 255, 0), "RGBA": (255, 0, 0, 128), "I;16": 25700, "1": 1, "LA": (0, 0)}


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_becomes_rgb(mode, tmp_path):
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    Image.new(mode, (5, 3), MODES[mode]).save(path)
    read = read_photograph(path)
    assert read.shape == (3, 3, 5)
    if mode == "I;16":
        assert (read == 100).all()
    if mode == "RGBA":
        assert read[0, 0, 0] == 255
        assert abs(int(read[1, 0, 0]) - 127) <= 1  # half transparent on white
    if mode == "LA":
        assert (read == 255).all()


def test_a_broken_picture_is_refused_not_replaced(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(SourceError, match="is damaged"):
        read_photograph(path)
    path.write_text("no picture", encoding="utf-8")
    with pytest.raises(SourceError, match="is no picture"):
        read_photograph(path)
