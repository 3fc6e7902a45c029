"""Labels that arrive after scoring: read completely or refused, matched to scores, nothing dropped in silence."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from i2m2_med.engine.reopening.arrived_labels import ArrivedLabels, read_labels
from i2m2_med.engine.reopening.scored_studies import check_labels, level_of, with_truth
from i2m2_med.errors import SourceError
from i2m2_med.predictions import check_table, column_names, complete
from i2m2_med.sources.source import Labels

LABELS = Labels(("acl", "tear"), ("no", "yes"))
DIGITS = Labels(("digit",), tuple("0123456789"))


def read(folder: Path, text: str, labels: Labels = LABELS) -> ArrivedLabels:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return read_labels(path, labels)


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "work"))


def scores(items: int = 2, studies: tuple[str, ...] = ("s0", "s1", "s2"), whole: bool = False) -> pl.DataFrame:
    """Scores of some studies, and of one that was refused ("bad")."""
    rng = np.random.default_rng(0)
    rows = []
    for study in studies:
        for item in [*range(items), *([None] if whole else [])]:
            for label in LABELS.names:
                p = float(rng.random())
                level = "study" if item is None else "item"
                rows += [
                    {
                        "study": study,
                        "item": item,
                        "level": level,
                        "label": label,
                        "class": cls,
                        "p": value,
                        "status": "ok",
                    }
                    for cls, value in enumerate((1 - p, p))
                ]
    refused = {"study": "bad", "item": None, "level": "study", "status": "refused", "error": "damaged"}
    return complete(pl.DataFrame([*rows, refused], infer_schema_length=None), column_names())


def test_names_and_indices_mean_the_same(tmp_path):
    names = read(tmp_path, "study,acl,tear\ns0,yes,no\ns1,no,\ns2,no,-1\n").table
    numbers = read(tmp_path, "\ufeffstudy , acl,tear\n s0 ,1,0\ns1,0.0,\ns2,0,-1\n").table
    assert names.equals(numbers)
    assert names["tear"].to_list() == [0, -1, -1]


def test_classes_that_are_numbers_are_read_as_they_are_meant(tmp_path):
    assert read(tmp_path, "study,digit\ns0,7\ns1,0\n", DIGITS).table["digit"].to_list() == [7, 0]
    grades = Labels(("grade",), ("1", "2", "3"))
    assert read(tmp_path, "study,grade\ns0,1\ns1,3\n", grades).table["grade"].to_list() == [0, 2]
    assert read(tmp_path, "study,grade\ns0,0\ns1,2\n", grades).table["grade"].to_list() == [0, 2]
    with pytest.raises(SourceError, match="may be class names or indices"):
        read(tmp_path, "study,grade\ns0,1\ns1,2\n", grades)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no CSV"),
        ("study;acl\ns0;1\n", "lacks the column 'study'"),
        ("name,acl\ns0,1\n", "lacks the column 'study'"),
        ("study,acl,teer\ns0,1,0\n", "'teer' is no label of the model; did you mean 'tear'"),
        ("study,item\ns0,1\n", "holds no label"),
        ("study,acl\n", "holds no label"),
        ("study,acl\ns0,1,7\n", "no CSV"),
        ("study,acl,acl\ns0,1,0\n", "is no label"),
        ("study,acl\ns0,perhaps\ns1,1\n", r"1 of 2 values of 'acl' are no class \(first: row 2\)"),
        ("study,acl\ns0,2\n", "are no class"),
        ("study,acl\ns0,1e0\n", "are no class"),
        ("study,acl\n,1\n", "name no study"),
        ("study,item,acl\ns0,first,1\n", "no whole number"),
        ("study,item,acl\ns0,-1,1\n", "no whole number"),
        ("study,item,acl\ns0,0,1\ns1,,1\n", "in two files"),
        ("study,acl\ns0,1\ns0,0\n", "more than once"),
        ("study,patient,acl\ns0,p,1\ns1,q,1\ns0,p,0\n", "more than once"),
        ("study,item,patient,acl\ns0,0,p,1\ns0,1,q,1\n", "several patients"),
    ],
)
def test_what_can_not_be_read_is_refused_without_a_value(tmp_path, text, why):
    with pytest.raises(SourceError, match=why) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("perhaps", "s0", "1e0", "first,"))


def test_a_few_unreadable_values_are_unknown_and_said(tmp_path):
    rows = "".join(f"s{at},{at % 2}\n" for at in range(40))
    found = read(tmp_path, f"study,acl\n{rows}odd,maybe\ns0,0\n")
    assert found.table.filter(pl.col("study") == "odd")["acl"].to_list() == [-1]
    assert len(found.table) == 41
    assert "1 of 42 values of 'acl' are no class (first: row 42)" in found.notes[0]
    assert "1 rows stand there twice" in found.notes[1]


def test_another_encoding_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes("study,acl\nmüller,1\n".encode("latin-1"))
    with pytest.raises(SourceError, match="UTF-8"):
        read_labels(tmp_path / "labels.csv", LABELS)


def test_every_scored_and_labelled_study_is_counted(tmp_path):
    arrived = read(tmp_path, "study,acl,tear\ns0,yes,no\ns1,no,yes\nbad,yes,yes\nelsewhere,no,no\n")
    table = scores(items=1)
    assert level_of(arrived, table, "scores") == "item"
    judged, flow = with_truth(table, arrived, LABELS)
    assert [(step["kept"], step["dropped"]) for step in flow] == [(4, 0), (3, 1), (3, 1), (2, 1)]
    assert judged["study"].nunique() == judged["patient"].nunique() == 3
    assert not judged["study"].isin(["s0", "s1", "bad"]).any()
    refused = judged[judged["status"] == "refused"]
    assert len(refused) == 4
    assert refused["p"].isna().all()
    assert refused["target"].tolist() == [1, 1, 1, 1]
    truth = judged[judged["status"] == "ok"].groupby("label")["target"].first()
    assert truth.to_dict() == {"acl": 1, "tear": 0}
    check_table(pl.from_pandas(judged))


def test_labels_of_items_are_matched_to_items(tmp_path):
    arrived = read(tmp_path, "study,item,patient,acl\ns0,1,p,1\ns0,0,p,0\ns1,1,p,1\n")
    judged, _ = with_truth(scores().filter(pl.col("level") == "item"), arrived, LABELS)
    acl = judged[(judged["label"] == "acl") & (judged["class"] == 0)]
    assert acl.sort_values(["study", "item"]).groupby("study")["target"].apply(tuple).isin([(0, 1), (1,)]).all()
    assert judged["patient"].nunique() == 1
    assert set(judged.loc[judged["label"] == "tear", "target"]) == {-1}


def test_labels_of_studies_need_scores_of_studies(tmp_path):
    arrived = read(tmp_path, "study,acl\ns0,1\n")
    with pytest.raises(SourceError, match="no rows of studies as a whole"):
        level_of(arrived, scores(), "scores")
    table = scores(whole=True)
    assert level_of(arrived, table, "scores") == "study"
    judged, _ = with_truth(table.filter(pl.col("level") == "study"), arrived, LABELS)
    assert len(judged) == 4


def test_labels_of_other_studies_and_scores_of_other_models_are_refused(tmp_path):
    arrived = read(tmp_path, "study,acl\nx,1\ny,0\ns0,1\n")
    with pytest.raises(SourceError, match="of 3 labelled studies or items 1 were scored"):
        with_truth(scores(items=1), arrived, LABELS)
    check_labels(scores(), LABELS, "scores")
    for other in (Labels(("acl",), ("no", "yes")), Labels(("acl", "tear"), ("no", "mild", "torn"))):
        with pytest.raises(SourceError, match="the model's are"):
            check_labels(scores(), other, "scores")


def test_of_many_classes_the_last_need_not_be_among_those_kept():
    many = Labels(("answer",), tuple(map(str, range(60))))
    kept = pl.DataFrame({"label": ["answer"] * 3, "class": [4, 17, 58]})
    check_labels(kept, many, "scores")
    with pytest.raises(SourceError, match="60 classes"):
        check_labels(kept.with_columns(pl.col("class") + 2), many, "scores")
    with pytest.raises(SourceError, match="50 classes"):
        check_labels(kept.with_columns(pl.col("class") - 10), Labels(("answer",), many.classes[:50]), "scores")
