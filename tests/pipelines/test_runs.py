"""`i2m2 runs` answers at once, parents before their children."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from i2m2_med.pipelines.runs import main

from i2m2_med.engine.tracking.run import open_run
from i2m2_med.engine.tracking.store import ensure_store
from i2m2_med.errors import StoreError


@pytest.fixture
def store(work: Path) -> str:
    uri = ensure_store(work, None)
    facts = {"uri": uri, "experiment": "knee", "paradigm": "comparison", "task": "knee", "seed": 0, "config": {}}
    facts |= {"manifest": {"fingerprint": "ab" * 32}}
    with open_run(name="parent", **facts) as parent:
        for paradigm in ("intra", "i2m2"):
            with open_run(name=paradigm, parent=parent.run_id, **(facts | {"paradigm": paradigm})) as run:
                run.metrics({"test_auroc_macro": 0.75})  # as an older release writes it
    with open_run(name="later", **(facts | {"experiment": "mimic"})):
        pass
    return uri


def test_children_stand_under_their_parent(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = main()["runs"]
    assert [run["name"] for run in found] == ["later", "parent", "intra", "i2m2"]
    assert found[3] | {"run": "", "parent": ""} == {
        "run": "", "name": "i2m2", "status": "FINISHED", "parent": "", "paradigm": "i2m2", "task": "knee",
        "data": "abababababab", "seed": "0", "calibrated": None, "verified": None, "metrics": {"test/auroc": 0.75},
    }  # fmt: skip
    assert capsys.readouterr().out.count("0.750") == 2
    assert [run["name"] for run in main(experiment="mimic", uri=store)["runs"]] == ["later"]
    assert len(main(limit=2)["runs"]) == 2


def test_a_store_that_is_not_there_is_said() -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        main()


@pytest.mark.usefixtures("store")
def test_the_command_answers_at_once() -> None:
    """Under 2 s of processor time, so that a busy machine does not decide; the command line prints one JSON object."""
    before = os.times().children_user + os.times().children_system
    command = [sys.executable, "-c", "from i2m2_med.cli import run; run()", "runs", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(json.loads(said)["runs"]) == 4
    assert os.times().children_user + os.times().children_system - before < 2
