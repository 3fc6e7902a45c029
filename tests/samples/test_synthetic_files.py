"""Files that a simulator made say so themselves: a part of them in another folder, with nothing beside it, keeps the banner."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.samples.cohort import prepare
from i2m2_med.simulate.knee.write import simulate as simulate_knee
from i2m2_med.simulate.mimic3.write import simulate as simulate_mimic3


def manifest_of(config: str, root: Path, work: Path, *settings: str) -> dict:
    run, values = load_config(config, (f"source.root={root}", *settings))
    assert not run.synthetic
    return json.loads((prepare(run, values.name, work, Progress()) / "manifest.json").read_text())


def test_hard_links_to_some_volumes(tmp_path: Path, work: Path) -> None:
    simulate_knee(tmp_path / "whole", volumes=8, slices=2, matrix="64x64")
    part = tmp_path / "part"
    part.mkdir()
    for volume in sorted((tmp_path / "whole").rglob("*.h5"))[:5]:
        (part / volume.name).hardlink_to(volume)
    for table in ("knee.csv", "knee_file_list.csv"):
        (part / table).write_bytes((tmp_path / "whole" / table).read_bytes())
    manifest = manifest_of("knee_demo", part, work, "split.test=0.3", "split.valid=0.3")
    assert manifest["synthetic"]
    assert manifest["remarks"][0].startswith("The data are synthetic")


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_some_rows_of_the_tables_packed_anew(tmp_path: Path, work: Path, ending: str) -> None:
    simulate_mimic3(tmp_path / "whole", patients=60)
    part = tmp_path / "part"
    part.mkdir()
    for table in (tmp_path / "whole").glob("*.csv.gz"):
        with gzip.open(table, "rt", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0][-1] == "SIMULATED"
        out = part / table.name.replace("csv.gz", ending)
        with gzip.open(out, "wt", newline="") if ending == "csv.gz" else out.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    assert manifest_of("mimic3_demo", part, work)["synthetic"]
