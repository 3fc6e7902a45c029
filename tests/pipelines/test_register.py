"""`i2m2 register` lets through what is verified, committed and no worse; and nothing else without a reason."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from i2m2_med.pipelines import verify
from i2m2_med.pipelines.register import how_worse
from i2m2_med.pipelines.register import main as register

from i2m2_med.engine.reopening.seal import write_back
from i2m2_med.engine.tracking.read import download, find_run
from i2m2_med.engine.tracking.registry import champion, model_folder
from i2m2_med.engine.tracking.run import open_run
from i2m2_med.engine.tracking.store import connect
from i2m2_med.errors import StoreError
from tests.pipelines.test_verify import forget_points

pytestmark = pytest.mark.slow


@pytest.fixture
def verified(compared):
    verify.main(compared.parent)
    return compared


main = partial(register, allow_dirty=True)
"""The tests run in a working folder that may hold uncommitted changes."""


def test_an_unverified_run_is_refused(compared) -> None:
    if "verified" in compared.run("left").tags:
        connect(compared.uri).delete_tag(compared.runs["left"], "verified")
    with pytest.raises(StoreError, match=r"was never verified; `i2m2 verify"):
        main(compared.runs["left"], name="knee")
    assert champion(compared.uri, "knee", "champion") is None


def test_a_run_changed_after_its_verification_is_refused(verified) -> None:
    client, run = connect(verified.uri), verified.run("right")
    client.log_metric(run.run_id, "test/auroc", 0.99)
    with pytest.raises(StoreError, match="was changed after its verification"):
        main(run.run_id, name="knee")
    forget_points(verified, run.run_id, "test/auroc", run.metrics["test/auroc"])


def test_a_model_changed_after_its_verification_is_refused(verified) -> None:
    weights = download(verified.run("right"), "model") / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(StoreError, match="is not the one that was verified"):
            main(verified.runs["right"], name="knee")
    finally:
        weights.write_bytes(content)


def test_a_run_of_uncommitted_code_is_refused_unless_allowed(verified, tmp_path: Path) -> None:
    found = verified.run("left")
    facts = {
        "paradigm": "left",
        "task": "knee",
        "seed": 0,
        "config": {},
        "manifest": {},
        "tags": {"i2m2.dirty": "true"},
    }
    with open_run(uri=verified.uri, experiment="dirty", name="dirty", **facts) as run:
        run.model(download(found, "model"))
        shutil.copy(download(found, "predictions.parquet"), tmp_path)
        run.artifact(tmp_path / "predictions.parquet")
    write_back(find_run(verified.uri, run.run_id), [], "evaluation", exact=True)
    with pytest.raises(StoreError, match=r"uncommitted changes .* --allow-dirty"):
        register(run.run_id, name="dirty")
    assert register(run.run_id, name="dirty", allow_dirty=True)["version"] == "1"
    assert connect(verified.uri).get_model_version("dirty", "1").tags["dirty"] == "true"


def test_a_champion_that_is_not_verified_any_more_is_no_rival(verified) -> None:
    """Its predictions were changed after it was registered: they decide nothing."""
    main(verified.runs["left"], name="rival")
    path = download(verified.run("left"), "predictions.parquet")
    content = path.read_bytes()
    table = pd.read_parquet(path)
    try:
        table.assign(p=0.5).to_parquet(path)
        with pytest.raises(StoreError, match="whose predictions are not verified in this workspace"):
            main(verified.runs["right"], name="rival")
    finally:
        path.write_bytes(content)


def test_a_verified_run_gets_its_name_and_alias(verified) -> None:
    made = main(verified.runs["left"], name="first", alias="champion")
    assert made | {"run": ""} == {"name": "first", "version": "1", "alias": "champion", "run": "", "forced": None}
    assert (model_folder(verified.uri, "models:/first@champion") / "weights.safetensors").exists()
    assert verified.run("left").tags["registered"] == "first version 1 @champion"


def test_a_run_worse_than_the_champion_is_refused_unless_someone_says_why(
    verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion's predictions are made perfect on a large test split, the challenger's a coin."""
    from i2m2_med.engine.reopening import promotion

    main(verified.runs["left"], name="contest")
    table = many_patients(pd.read_parquet(download(verified.run("left"), "predictions.parquet")))
    told = {verified.runs["left"]: sure(table, 0.9), verified.runs["right"]: sure(table, 0.5)}
    monkeypatch.setattr(promotion, "predictions", lambda run: told[run.run_id])
    with pytest.raises(StoreError, match=r"is worse than the champion \(version 1\): .*auroc of"):
        main(verified.runs["right"], name="contest")
    found = champion(verified.uri, "contest", "champion")
    assert found
    assert found.version == "1"
    main(verified.runs["right"], name="contest", force="the scanner was replaced")
    version = connect(verified.uri).get_model_version("contest", "2")
    assert version.tags["forced"] == "the scanner was replaced"
    assert "is worse than the champion" in version.tags["compared_with"]
    main(verified.runs["left"], name="contest")  # better than the forced one
    assert connect(verified.uri).get_model_version("contest", "3").tags["compared_with"] == "version 2: not worse"


def test_a_champion_of_other_patients_can_not_be_compared(verified, monkeypatch: pytest.MonkeyPatch) -> None:
    from i2m2_med.engine.reopening import promotion
    from i2m2_med.engine.reopening.promotion import open_contest

    main(verified.runs["left"], name="others")
    table = pd.read_parquet(download(verified.run("left"), "predictions.parquet"))
    told = {verified.runs["left"]: table, verified.runs["right"]: table.assign(study="x" + table["study"])}
    monkeypatch.setattr(promotion, "predictions", lambda run: told[run.run_id])
    contest = open_contest(verified.run("right"), "others", "champion", allow_dirty=True)
    assert "can't be compared" in str(how_worse(contest, "champion"))


def test_the_comparison_itself_holds_no_model(verified) -> None:
    with pytest.raises(StoreError, match="holds no model to register"):
        main(verified.parent, name="knee")


def many_patients(table: pd.DataFrame) -> pd.DataFrame:
    """The table's test rows as 20 times as many patients."""
    test = table[table["split"] == "test"]
    copies = [test.assign(patient=test["patient"] + str(n), study=test["study"] + str(n)) for n in range(20)]
    return pd.concat([table[table["split"] != "test"], *copies], ignore_index=True)


def sure(table: pd.DataFrame, of_truth: float) -> pd.DataFrame:
    """Predictions that give the truth this probability, give or take some noise."""
    noise = np.random.default_rng(0).normal(0, 0.05, len(table) // 2).repeat(2)
    chance = np.clip(of_truth + noise, 0.02, 0.98)
    index = table.groupby("label")["class"].transform(lambda column: pd.factorize(column, sort=False)[0])
    return table.assign(p=np.where(index == table["target"], chance, 1 - chance))
