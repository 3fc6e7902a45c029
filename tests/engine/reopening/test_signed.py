"""Whoever changes a run in its store without the workspace's key is caught, whatever is changed."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from i2m2_med.engine.reopening.seal import is_verified, write_back
from i2m2_med.engine.reopening.signed import check_signed
from i2m2_med.engine.tracking.read import FoundRun, artifact_names, download, find_run
from i2m2_med.engine.tracking.record import NAME, forget_run, kept_copy
from i2m2_med.engine.tracking.store import connect, sqlite_file
from i2m2_med.privacy import project_key
from i2m2_med.workspace import workspace

TABLE = pd.DataFrame(
    {"patient": ["a", "a", "b"], "target": [0, 1, 0], "p": [0.25, 0.5, 0.125], "set": ["0", None, "1"]}
)


@pytest.fixture
def finished(opening: Callable[..., Any], store: str, tmp_path: Path) -> FoundRun:
    """A finished run with a table, a report, a curve and a result."""
    TABLE.to_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("AUROC 0.6", encoding="utf-8")
    with opening(config={"training": {"learning_rate": 1e-3, "epochs": 8}}) as run:
        for step, value in enumerate([0.75, float("nan"), 0.5], start=1):
            run.epoch(step, {"valid_nll": value})
        run.metrics({"test_auroc_macro": 0.6})
        run.tags({"calibrated": "true"})
        run.artifact(tmp_path / "predictions.parquet")
        run.artifact(tmp_path / "report")
    return find_run(store, run.run_id)


def verdicts(run: FoundRun) -> set[str]:
    return {check.verdict for check in check_signed(find_run(run.uri, run.run_id))}


def caught(run: FoundRun) -> dict[str, str]:
    checks = check_signed(find_run(run.uri, run.run_id))
    return {check.what.lstrip("0123456789 "): check.now for check in checks if check.failed}


def test_an_untouched_run_is_as_signed(finished: FoundRun) -> None:
    assert verdicts(finished) == {"same"}
    listed = json.loads(download(finished, NAME).read_text(encoding="utf-8"))
    assert {*listed["artifacts"]} == {*artifact_names(finished)} - {NAME}
    assert {*listed["columns"]["predictions.parquet"]} == {*TABLE}


def test_what_verification_and_registration_write_is_not_held_against_the_run(finished: FoundRun) -> None:
    write_back(finished, [], "evaluation", exact=True)
    connect(finished.uri).set_tag(finished.run_id, "registered", "knee version 1")
    assert verdicts(finished) == {"same"}


def change_table(**columns: list[Any]) -> Callable[[FoundRun], None]:
    return lambda run: TABLE.assign(**columns).to_parquet(download(run, "predictions.parquet"))


def replace_text(name: str, old: str, new: str) -> Callable[[FoundRun], None]:
    def change(run: FoundRun) -> None:
        path = download(run, name)
        assert old in path.read_text(encoding="utf-8")
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    return change


def sql(statement: str) -> Callable[[FoundRun], None]:
    def change(run: FoundRun) -> None:
        database = sqlite_file(run.uri)
        assert database
        with sqlite3.connect(database) as store:
            assert store.execute(statement, (run.run_id,)).rowcount

    return change


def downgrade(run: FoundRun) -> None:
    """Make the run look as one of an older release, which has no list."""
    download(run, NAME).unlink()
    connect(run.uri).delete_tag(run.run_id, "i2m2.ticket")


def forge_all(run: FoundRun) -> None:
    """Another rate in the file and in the parameters, the list put right, and signed with a key of one's own."""
    replace_text("config.yaml", "0.001", "0.01")(run)
    sql("UPDATE params SET value = '0.01' WHERE key = 'training.learning_rate' AND run_uuid = ?")(run)
    path = download(run, NAME)
    listed = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(listed | {"key": "0" * 16, "signature": "1" * 64}), encoding="utf-8")


FORGERIES: dict[str, tuple[Callable[[FoundRun], None], set[str]]] = {
    "flipped targets": (change_table(target=[1, 0, 1]), {"artifacts", "columns of predictions.parquet"}),
    "overwritten patients": (change_table(patient=["b", "b", "a"]), {"artifacts", "columns of predictions.parquet"}),
    "rows taken out": (
        lambda run: TABLE.iloc[:2].to_parquet(download(run, "predictions.parquet")),
        {"artifacts", "columns of predictions.parquet"},
    ),
    "learning rate in the config": (replace_text("config.yaml", "0.001", "0.01"), {"artifacts"}),
    "epochs in the parameters": (
        sql("UPDATE params SET value = '80' WHERE key = 'training.epochs' AND run_uuid = ?"),
        {"parameters"},
    ),
    "a replaced report": (replace_text("report/report.html", "0.6", "0.9"), {"artifacts"}),
    "an emptied manifest": (
        lambda run: download(run, "manifest.json").write_text("{}", encoding="utf-8") and None,
        {"artifacts"},
    ),
    "an artifact taken out": (lambda run: download(run, "report/report.html").unlink(), {"artifacts"}),
    "an artifact put in": (
        lambda run: (
            download(run, "report/report.html").with_name("more.html").write_text("x", encoding="utf-8") and None
        ),
        {"artifacts"},
    ),
    "a validation metric, curve and last value": (
        lambda run: (
            sql("UPDATE metrics SET value = 0.1 WHERE key = 'valid_nll' AND step = 3 AND run_uuid = ?")(run),
            sql("UPDATE latest_metrics SET value = 0.1 WHERE key = 'valid_nll' AND run_uuid = ?")(run),
            None,
        )[-1],
        {"metrics with their curves"},
    ),
    "only the last value": (
        sql("UPDATE latest_metrics SET value = 0.9 WHERE key = 'test_auroc_macro' AND run_uuid = ?"),
        {"metrics with their curves"},
    ),
    "a metric put in": (
        lambda run: connect(run.uri).log_metric(run.run_id, "test_auroc_best", 1.0),
        {"metrics with their curves"},
    ),
    "a tag": (lambda run: connect(run.uri).set_tag(run.run_id, "i2m2.dirty", "never"), {"tags"}),
    "what calibration did": (lambda run: connect(run.uri).delete_tag(run.run_id, "calibrated"), {"tags"}),
    "the list taken out": (lambda run: download(run, NAME).unlink(), {"signed list"}),
    "the list and all that speaks of it taken out": (downgrade, {"signed list"}),
    "the list damaged": (lambda run: download(run, NAME).write_text("[]", encoding="utf-8") and None, {"signed list"}),
    "the list put right": (replace_text(NAME, '"signature": "', '"signature": "0'), {"signed list"}),
    "all of it forged": (forge_all, {"signed list", "artifacts", "parameters"}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_caught_and_named(finished: FoundRun, forgery: str) -> None:
    forge, expected = FORGERIES[forgery]
    forge(finished)
    assert {*caught(finished)} == expected


def test_the_column_that_was_changed_is_named(finished: FoundRun) -> None:
    change_table(target=[1, 1, 0])(finished)
    assert caught(finished)["columns of predictions.parquet"] == "target"


def test_without_the_workspaces_copy_the_signature_alone_tells(finished: FoundRun) -> None:
    kept_copy(finished.tags["i2m2.ticket"]).unlink()
    assert verdicts(finished) == {"same"}
    replace_text(NAME, '"signature": "', '"signature": "0')(finished)
    assert caught(finished) == {"signed list": "the signature is wrong"}


def test_another_workspace_checks_the_digests_and_says_that_it_can_not_check_the_signature(
    finished: FoundRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "another"))
    checks = {check.what: (check.now, check.verdict) for check in check_signed(finished)}
    assert checks.pop("signed list") == ("signature not checked", "noted")
    assert {verdict for _, verdict in checks.values()} == {"same"}
    change_table(target=[1, 1, 0])(finished)
    assert "columns of predictions.parquet" in caught(finished)


def test_a_run_of_an_older_release_says_that_it_has_no_list(finished: FoundRun) -> None:
    downgrade(finished)
    forget_run(finished.run_id)  # the workspace knows nothing of it either
    [check] = check_signed(find_run(finished.uri, finished.run_id))
    assert (check.recorded, check.verdict) == ("none: the run is of an older release", "noted")


def test_a_run_that_is_given_all_of_another_is_not_that_run(
    finished: FoundRun, opening: Callable[..., Any], store: str
) -> None:
    """Artifacts, parameters, metrics, tags, and the list with its good signature."""
    with opening(config={"training": {"learning_rate": 1e-3, "epochs": 8}}) as run:
        run.metrics({"test_auroc_macro": 0.1})
    worse = find_run(store, run.run_id)
    folder = download(worse, NAME).parent
    shutil.rmtree(folder)
    shutil.copytree(download(finished, NAME).parent, folder)
    database = sqlite3.connect(sqlite_file(store))
    for table in ("params", "metrics", "latest_metrics", "tags"):
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        taken = ", ".join("?" if name == "run_uuid" else name for name in names)
        database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (worse.run_id,))
        database.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {taken} FROM {table} WHERE run_uuid = ?",
            (worse.run_id, finished.run_id),
        )
    database.commit()
    database.close()
    assert verdicts(finished) == {"same"}
    assert caught(worse) == {"signed list": "another list"}


def test_a_resumed_run_is_signed_as_a_whole(opening: Callable[..., Any], store: str) -> None:
    with opening() as run:
        run.epoch(1, {"loss": 1.0})
    with opening(resume=run.run_id) as again:
        again.epoch(1, {"loss": 1.0})
        again.epoch(2, {"loss": 0.5})
    found = find_run(store, run.run_id)
    assert verdicts(found) == {"same"}
    assert [each.step for each in connect(store).get_metric_history(run.run_id, "loss")] == [1, 2]


def test_a_verification_is_sealed(finished: FoundRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tag alone does not make a run verified; and another workspace does not believe this one's."""
    connect(finished.uri).set_tag(finished.run_id, "verified", "true")
    assert not is_verified(find_run(finished.uri, finished.run_id))
    write_back(finished, [], "evaluation", exact=True)
    found = find_run(finished.uri, finished.run_id)
    assert is_verified(found)
    change_table(target=[1, 1, 0])(finished)
    assert not is_verified(found)
    change_table()(finished)
    assert is_verified(found)
    monkeypatch.setenv("I2M2_WORK", str(tmp_path / "another"))
    assert not is_verified(found)


def test_a_moved_store_is_as_signed_and_a_lost_folder_asks_whether_it_was_moved(
    finished: FoundRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = project_key(workspace())
    moved = tmp_path / "elsewhere" / "work"
    moved.parent.mkdir()
    workspace().rename(moved)
    monkeypatch.setenv("I2M2_WORK", str(moved))
    assert project_key(moved) == key
    found = find_run(f"sqlite:///{moved / 'mlflow.db'}", finished.run_id)
    assert verdicts(found) == {"same"}
    write_back(found, [], "evaluation", exact=True)
    assert is_verified(find_run(found.uri, found.run_id))
    assert not (tmp_path / "work").exists()  # nothing was written to where it was
    shutil.move(moved / "artifacts", tmp_path / "aside")
    with pytest.raises(Exception, match=r"artifacts of run .* are not at .*; were they moved\?"):
        check_signed(found)
