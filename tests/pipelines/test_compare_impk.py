"""`i2m2 compare-impk` on simulated tables: our own arrays, pickled, agree; what was changed is found."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from i2m2_med.cli import main
from i2m2_med.simulate.mimic3.write import simulate
from i2m2_med.sources.impk.comparison import compare_columns, our_table
from i2m2_med.sources.mimic3 import Settings
from i2m2_med.sources.mimic3.static import STATIC
from i2m2_med.sources.source import Progress


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "mimic3"
    simulate(out, patients=60, seed=2)
    return out


def pickled(tables: Path, folder: Path) -> dict[str, np.ndarray]:
    """Our own compat arrays in the form of an im.pk."""
    ours = our_table(Settings(root=tables, profile="i2m2_compat", normalise="train"), folder / "cache", Progress())
    label = ours["label: mortality"].astype(int)
    deaths = np.zeros((len(label), 6))
    for row, found in enumerate(label):
        deaths[row, found or 6 :] = 1
    series = np.stack([array for name, array in ours.items() if name.startswith("series")], axis=2)
    static = np.stack([ours[f"static: {name}"] for name in STATIC], axis=1)
    return {
        "ep_tdata": series,
        "adm_features_all": static,
        "adm_labels_all": deaths,
        "y_icd9": np.zeros((len(label), 20)),
    }


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["compare-impk", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_our_own_arrays_agree_and_changes_are_found(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = pickled(tables, tmp_path)
    path = tmp_path / "im.pk"
    path.write_bytes(pickle.dumps(made))
    said = run(capsys, str(path), "mimic3_mortality", "-s", f"source.root={tables}")
    assert said["matched"] == said["theirs"] == said["ours"] == len(made["y_icd9"])
    assert len(said["rows"]) == 12 + 5 + 1
    assert all(row["equal"] == 1 and row["only_theirs"] == row["only_ours"] == 0 for row in said["rows"])

    made["ep_tdata"][2, 5, 3] += 1.5
    made["ep_tdata"][:, :, 8][:, 0] = np.nan
    path.write_bytes(pickle.dumps({key: np.delete(array, [4, 20], axis=0) for key, array in made.items()}))
    said = run(capsys, str(path), "mimic3_mortality", "-s", f"source.root={tables}")
    assert said["matched"] == said["theirs"] == said["ours"] - 2
    rows = {row["column"]: row for row in said["rows"]}
    changed = [row for row in rows.values() if row["max"] > 1e-3]
    assert [round(row["max"], 3) for row in changed] == [1.5]
    assert "temperature" in changed[0]["column"]
    assert sum(row["only_ours"] for row in rows.values()) == said["matched"]


def test_another_data_set_is_said(tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = pickled(tables, tmp_path)
    made["adm_features_all"] += 1e6
    (tmp_path / "im.pk").write_bytes(pickle.dumps(made))
    assert main(["compare-impk", str(tmp_path / "im.pk"), "mimic3_mortality", "-s", f"source.root={tables}"]) == 1
    assert "no sample of im.pk has the static columns of one of ours" in capsys.readouterr().err
    assert main(["compare-impk", str(tmp_path / "im.pk"), "knee_demo"]) == 1


def test_alignment_allows_gaps_on_both_sides() -> None:
    names = [f"static: {name}" for name in STATIC]
    left = {**{name: np.array([1.0, 2, 3, 5, 6]) for name in names}, "label: y": np.zeros(5)}
    right = {**{name: np.array([1.0, 3, 4, 5, 6, 7]) for name in names}, "label: y": np.ones(6)}
    found = compare_columns(left, right)
    assert (found.matched, found.theirs, found.ours) == (4, 5, 6)
    assert found.rows[-1]["mean"] == 1
