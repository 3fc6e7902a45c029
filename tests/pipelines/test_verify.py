"""`i2m2 verify` passes what is as it was, and catches a metric, a data file, a lock line, a weight that is not."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from i2m2_med.pipelines import show
from i2m2_med.pipelines.verify import main

from i2m2_med.engine.reopening.check import Check
from i2m2_med.engine.reopening.checks import check_metrics, locked, tolerance
from i2m2_med.engine.reopening.seal import is_verified
from i2m2_med.engine.tracking import provenance as tracking_provenance
from i2m2_med.engine.tracking import results
from i2m2_med.engine.tracking.read import download
from i2m2_med.engine.tracking.store import connect, sqlite_file
from i2m2_med.engine.training import experiment
from i2m2_med.errors import SourceError
from tests.pipelines.conftest import compare_knees

pytestmark = pytest.mark.slow


@contextmanager
def tampered(path: Path, old: bytes, new: bytes) -> Iterator[None]:
    """`path` with `old` in it replaced by `new`, its times as they were; mended afterwards."""
    content, stat = path.read_bytes(), path.stat()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def forget_points(compared, run: str, key: str, true: float) -> None:
    """Take out of a metric's curve what a test put in."""
    database = sqlite_file(compared.uri)
    assert database
    with sqlite3.connect(database) as store:
        store.execute("DELETE FROM metrics WHERE run_uuid = ? AND key = ? AND value != ?", (run, key, true))
        store.execute("UPDATE latest_metrics SET value = ? WHERE run_uuid = ? AND key = ?", (true, run, key))


def failures(result: dict) -> set[str]:
    return {check["what"] for run in result["runs"] for check in run["checks"] if check["verdict"] == "DIFFERS"}


def test_a_comparison_and_its_runs_are_verified_to_the_last_bit(compared) -> None:
    result = main(compared.parent)
    assert (result["exit"], result["verified"], failures(result)) == (0, True, set())
    assert len(result["runs"]) == 3
    assert all(run["exact"] for run in result["runs"])
    found = compared.run("left")
    assert is_verified(found)
    assert found.tags["verified_how"].startswith("evaluation, exact, ")
    written = json.loads(download(found, "verification.json").read_text(encoding="utf-8"))
    assert {check["what"] for check in written["checks"]} >= {
        "lock here",
        "data fingerprint",
        "model",
        *found.metrics,
    } - {name for name in found.metrics if not name.startswith("test_")}


def test_training_again_gives_every_metric_of_every_epoch(compared) -> None:
    result = main(compared.runs["left"], retrain=True)
    assert failures(result) == set()
    again = [check for check in result["runs"][0]["checks"] if check["what"].startswith("trained again: ")]
    assert {"trained again: train/loss", "trained again: test_auroc_macro"} <= {check["what"] for check in again}


def test_a_metric_that_was_improved_is_caught(compared) -> None:
    found = compared.run("right")
    true = found.metrics["test/auroc"]
    client = connect(compared.uri)
    client.log_metric(found.run_id, "test/auroc", true + 1e-9)
    try:
        result = main(found.run_id)
        assert result["exit"] == 1
        assert "test/auroc" in failures(result)
        assert compared.run("right").tags["verified"] == "false"
    finally:
        forget_points(compared, found.run_id, "test/auroc", true)


def test_a_run_as_an_older_release_recorded_it_is_verified_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All metrics in the run, under their old names, and no table of them."""

    def as_before(tracker: Any, rows: Any, headline: Any, *_: Any) -> None:
        tracker.metrics((results.metric_values if headline is results.headline else results.comparison_values)(rows))

    with monkeypatch.context() as older:
        older.setattr(experiment, "record_rows", as_before)
        older.setattr(experiment, "epoch_key", lambda name: name)
        before = compare_knees(tmp_path)
    monkeypatch.setenv("I2M2_WORK", str(before.workspace))
    monkeypatch.setattr(tracking_provenance, "source_digest", lambda: "newer")
    found = before.run("left")
    assert {"train_loss", "test_auroc_macro", "test_auroc_macro_low"} <= {*found.metrics}
    assert failures(main(before.parent)) == set()
    assert show.main(found.run_id)["metrics"] == found.metrics
    again = main(found.run_id, retrain=True)
    assert failures(again) == set()
    same = {check["what"] for check in again["runs"][0]["checks"] if check["verdict"] == "same"}
    assert {"test_auroc_macro", "trained again: train/loss", "trained again: test_auroc_macro"} <= same


def test_a_metric_edited_in_the_database_is_caught(compared) -> None:
    """Only the curve, not the last value that the page's table shows."""
    database, run = sqlite_file(compared.uri), compared.runs["left"]
    assert database
    with sqlite3.connect(database) as store:
        [true] = store.execute("SELECT value FROM metrics WHERE key = 'test/nll' AND run_uuid = ?", (run,)).fetchone()
        change = "UPDATE metrics SET value = ? WHERE key = 'test/nll' AND run_uuid = ?"
        store.execute(change, (true / 2, run))
    try:
        assert "curves and last values" in failures(main(run))
    finally:
        with sqlite3.connect(database) as store:
            store.execute(change, (true, run))


def test_a_metric_changed_after_the_verification_unverifies(compared) -> None:
    main(compared.runs["left"])
    client, found = connect(compared.uri), compared.run("left")
    assert is_verified(found)
    client.log_metric(found.run_id, "test/ece", 0.0)
    try:
        assert not is_verified(compared.run("left"))
    finally:
        forget_points(compared, found.run_id, "test/ece", found.metrics["test/ece"])


def test_another_data_file_of_the_same_size_and_time_is_caught(compared) -> None:
    volume = sorted(compared.data.rglob("*.h5"))[3]
    middle = volume.read_bytes()[-4000:-3992]
    with tampered(volume, middle, bytes(8)):
        result = main(compared.runs["left"])
    [caught] = failures(result)
    assert caught.endswith("source files")
    assert result["exit"] == 1


def test_other_labels_are_caught(compared) -> None:
    table = next(compared.data.rglob("knee.csv"))
    content = table.read_text(encoding="utf-8")
    try:
        table.write_text("\n".join(content.splitlines()[:-6]) + "\n", encoding="utf-8")
        result = main(compared.runs["left"])
    finally:
        table.write_text(content, encoding="utf-8")
    assert "data fingerprint" in failures(result)


def test_data_that_were_moved_are_asked_for_and_refute_nothing(compared) -> None:
    main(compared.runs["left"])
    away = compared.data.with_name("away")
    compared.data.rename(away)
    try:
        with pytest.raises(SourceError, match=r"are not at .*; were they moved\? Say where they are with --root"):
            main(compared.runs["left"])
        assert is_verified(compared.run("left"))
        assert failures(main(compared.runs["left"], root=away)) == set()
    finally:
        away.rename(compared.data)


def test_another_lock_line_is_caught_in_the_checkout_and_in_the_store(
    compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tracking_provenance.lock_file()
    assert lock
    with tampered(download(compared.run("left"), lock.name), b"torch==", b"torch==9"):
        assert failures(main(compared.runs["left"])) >= {"lock kept with the run"}
    mine = tmp_path / lock.name
    mine.write_text(lock.read_text(encoding="utf-8").replace("numpy==", "numpy==9"), encoding="utf-8")
    monkeypatch.setattr(tracking_provenance, "lock_file", lambda: mine)
    assert failures(main(compared.runs["left"])) == {"lock here"}


def test_another_package_is_caught(compared, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tracking_provenance.packages() | {"monai": "0.1"}
    monkeypatch.setattr(tracking_provenance, "packages", lambda: installed)
    assert any("packages" in what for what in failures(main(compared.runs["left"])))


def test_other_code_is_noted_and_said_in_the_tag(compared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_provenance, "source_digest", lambda: "other")
    result = main(compared.runs["left"])
    assert failures(result) == set()
    [code] = [check for check in result["runs"][0]["checks"] if check["what"].startswith("code")]
    assert (code["now"], code["verdict"]) == ("other", "noted")
    assert compared.run("left").tags["verified_how"].startswith("evaluation with other code, exact, ")


def test_another_weight_is_caught(compared) -> None:
    weights = download(compared.run("right"), "model") / "weights.safetensors"
    with tampered(weights, weights.read_bytes()[-8:], b"\x00\x00\x00?\x00\x00\x00?"):
        found = failures(main(compared.runs["right"]))
    assert "model" in found


def test_another_prediction_is_caught(compared) -> None:
    import pandas as pd

    path = download(compared.run("left"), "predictions.parquet")
    content = path.read_bytes()
    table = pd.read_parquet(path)
    table.loc[5, "p"] += 1e-6
    try:
        table.to_parquet(path)
        assert f"{len(table)} probabilities" in failures(main(compared.runs["left"]))
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["predictions.parquet", "metrics.parquet", "config.yaml", "environment.json", "model/weights.safetensors"],
)
def test_an_artifact_that_is_gone_or_damaged_unverifies(compared, name: str) -> None:
    path = download(compared.run("left"), name)
    content = path.read_bytes()
    try:
        path.unlink()
        gone = main(compared.runs["left"])
        path.write_bytes(b"\x00damaged")
        damaged = main(compared.runs["left"])
    finally:
        path.write_bytes(content)
    assert (gone["exit"], damaged["exit"]) == (1, 1)
    assert not is_verified(compared.run("left"))


def test_elsewhere_a_metric_may_differ_by_rounding_and_no_more() -> None:
    recorded = {"test_auroc_macro": 0.75, "test_nll_macro": 0.5, "test_auroc_macro_low": 0.6}
    again = {"test_auroc_macro": 0.7505, "test_nll_macro": 0.502, "test_auroc_macro_low": 0.5}

    def verdicts(exact: bool, intervals: bool) -> list[str]:
        return [check.verdict for check in check_metrics(recorded, again, exact, intervals)]

    assert verdicts(exact=False, intervals=True) == ["close", "DIFFERS", "DIFFERS"]
    assert verdicts(exact=False, intervals=False) == ["close", "not checked", "DIFFERS"]
    assert verdicts(exact=True, intervals=True) == ["DIFFERS"] * 3
    assert tolerance("test_balanced_accuracy_acl") == 1e-2
    assert check_metrics({"a": 1.0}, {}, exact=False, same_code=False) == [Check("a", "1.0", "none", "noted")]
    ends = {"a": 1.0, "a_low": 0.5}
    other = check_metrics(ends, {"a": 2.0, "a_low": 0.6}, exact=True, same_code=False)
    assert [check.verdict for check in other] == ["DIFFERS", "noted"]  # the value itself is never another statistic
    assert check_metrics({"a": 1.0}, {}, exact=False) == [Check("a", "1.0", "none", "DIFFERS")]


def test_the_lock_is_read_for_this_machine(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# comment\nTorch_Vision==1.2 ; sys_platform == 'linux'\ncolorama==0.4 ; os_name == 'nt'\nnumpy==2.4.6\n",
        encoding="utf-8",
    )
    assert locked(lock) == {"torch-vision": "1.2", "numpy": "2.4.6"}
