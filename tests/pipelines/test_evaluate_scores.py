"""`i2m2 evaluate RUN --scores … --labels …`: scored studies are judged as the run's own test split is."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from i2m2_med.pipelines import evaluate

from i2m2_med.cli import main
from i2m2_med.engine.tracking.read import predictions
from i2m2_med.errors import ConfigError, ModelError, SourceError
from i2m2_med.privacy import project_key, pseudonym


@pytest.fixture(scope="module")
def scored(compared_once, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """Scores of the test split's volumes as study folders, one damaged study, and the truth of every slice."""
    work = tmp_path_factory.mktemp("scored")
    known = predictions(compared_once.run("left"))
    test = known[(known["split"] == "test") & (known["class"] == 0)]
    key = project_key(compared_once.workspace)
    names = {}
    for path in sorted(compared_once.data.rglob("*.h5")):
        hashed = {pseudonym(key, "study", name) for name in (path.stem, path.name)} & set(test["study"])
        if hashed:
            names[hashed.pop()] = path.stem
            (work / "studies" / path.stem).mkdir(parents=True)
            shutil.copy(path, work / "studies" / path.stem)
    (work / "studies" / "broken").mkdir()
    (work / "studies" / "broken" / "broken.h5").write_bytes(b"no HDF5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2M2_WORK", str(compared_once.workspace))
        model = ["--model", compared_once.runs["left"], "--readers", "0"]
        assert main(["score", str(work / "studies"), str(work / "out"), *model]) == 2
    truth = test.assign(study=test["study"].map(names)).pivot(
        index=["study", "item", "patient"], columns="label", values="target"
    )
    return work / "out" / "scores.parquet", truth.reset_index()


def values(result: dict) -> dict[tuple[str, str], float]:
    return {(row["label"], row["metric"]): row["value"] for row in result["rows"]}


def test_the_metrics_are_those_of_the_test_split(compared, scored, tmp_path):
    scores, truth = scored
    truth.to_csv(tmp_path / "labels.csv", index=False)
    found = evaluate.main(compared.runs["left"], scores=scores, labels=tmp_path / "labels.csv", out=tmp_path / "a")
    wanted = values(evaluate.main(compared.runs["left"], out=tmp_path / "b"))
    assert values(found).keys() == wanted.keys()
    for name, value in values(found).items():
        assert value == (None if wanted[name] is None else pytest.approx(wanted[name], abs=1e-5)), name
    assert found["flow"]["samples scored"] == len(truth) + 1
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert not any(name in page for name in truth["study"])
    assert "Volumes and patients" in page


def test_studies_as_a_whole_are_judged_and_what_lacks_is_said(compared, scored, tmp_path, capsys):
    scores, truth = scored
    whole = truth.groupby("study").max().drop(columns=["item", "patient"])
    named = whole.replace({0: "absent", 1: "present", -1: ""}).reset_index()
    more = pd.DataFrame({"study": ["broken", "elsewhere"], "acl": ["present", "absent"]})
    pd.concat([named, more]).to_csv(tmp_path / "labels.csv", index=False)
    found = evaluate.main(compared.parent, scores=scores, labels=tmp_path / "labels.csv", out=tmp_path)
    assert found["run"] == compared.runs["left"]
    assert found["flow"]["answered"] == len(whole)
    said = "".join(capsys.readouterr())
    assert "labels of what was not scored" in said
    assert "refused while scoring" in said
    assert "could not answer 1 of" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_does_not_belong_together_is_one_line(compared, scored, tmp_path):
    scores, truth = scored
    truth.to_csv(tmp_path / "labels.csv", index=False)
    labels = tmp_path / "labels.csv"
    with pytest.raises(ModelError, match="may be none of its models"):
        evaluate.main(compared.runs["right"], scores=scores, labels=labels, out=tmp_path)
    with pytest.raises(ConfigError, match="belong together"):
        evaluate.main(compared.runs["left"], scores=scores, out=tmp_path)
    with pytest.raises(ConfigError, match="--without, --split needs the model"):
        evaluate.main(compared.runs["left"], scores=scores, labels=labels, without="phase", split="valid")
    with pytest.raises(SourceError, match="damaged, or no Parquet"):
        evaluate.main(compared.runs["left"], scores=labels, labels=labels)
