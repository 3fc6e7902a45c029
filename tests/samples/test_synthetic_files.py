"""Files that a simulator made say so themselves: a part of them in another folder, with nothing beside it, keeps the banner."""

import csv
import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from i2m2_med.pipelines.export_meds import main as export_meds
from i2m2_med.pipelines.reconstruct import main as reconstruct

from i2m2_med.config.reader import load_config
from i2m2_med.console import Progress
from i2m2_med.marks import is_simulated, mark_simulated
from i2m2_med.samples.preparing import prepare
from i2m2_med.simulate.knee.write import simulate as simulate_knee
from i2m2_med.simulate.mimic3.write import simulate as simulate_mimic3
from i2m2_med.sources.formats.nifti import inspect_pair
from i2m2_med.sources.formats.npy import open_npy
from i2m2_med.sources.mimic3.database import copied_columns
from i2m2_med.sources.mimic3.tables import TABLES


def manifest_of(config: str, root: Path, work: Path, *settings: str) -> dict:
    run, values = load_config(config, (f"source.root={root}", *settings))
    assert not run.synthetic
    return json.loads((prepare(run, values.name, work, Progress()) / "manifest.json").read_text(encoding="utf-8"))


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
        with gzip.open(table, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0][-1] == "SIMULATED"
        out = part / table.name.replace("csv.gz", ending)
        with (
            gzip.open(out, "wt", encoding="utf-8", newline="")
            if ending == "csv.gz"
            else out.open("w", encoding="utf-8", newline="") as file
        ):
            csv.writer(file).writerows(rows)
    assert manifest_of("mimic3_demo", part, work)["synthetic"]


def test_shards_of_a_meds_export(tmp_path: Path, work: Path) -> None:
    simulate_mimic3(tmp_path / "tables", patients=60)
    export_meds("mimic3_demo", tmp_path / "meds", set_=(f"source.root={tmp_path / 'tables'}",))
    (tmp_path / "part" / "data").mkdir(parents=True)
    for number, shard in enumerate(sorted((tmp_path / "meds" / "data").rglob("*.parquet"))):
        (tmp_path / "part" / "data" / f"{number}.parquet").hardlink_to(shard)
    splits = ("split.test=0.3", "split.valid=0.3")
    assert manifest_of("mimic3_demo", tmp_path / "part", work, "source.name=meds", *splits)["synthetic"]


def test_images_reconstructed_from_simulated_kspace(tmp_path: Path) -> None:
    simulate_knee(tmp_path / "knee", volumes=1, slices=2, matrix="64x64")
    [volume] = (tmp_path / "knee").rglob("*.h5")
    reconstruct(volume, tmp_path / "images")
    (tmp_path / "elsewhere").mkdir()
    for name in ("magnitude", "phase"):
        image = tmp_path / "elsewhere" / f"{name}.nii.gz"
        image.write_bytes((tmp_path / "images" / image.name).read_bytes())
        (tmp_path / "elsewhere" / "phase.json").write_bytes((tmp_path / "images" / "phase.json").read_bytes())
        one = inspect_pair(image if name == "magnitude" else None, image if name == "phase" else None)
        assert one.simulated
        assert one.affine is None  # the place stays nominal
    reconstruct(tmp_path / "elsewhere" / "magnitude.nii.gz", tmp_path / "again")
    assert inspect_pair(tmp_path / "again" / "magnitude.nii.gz", None).simulated
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2), np.float32), np.eye(4)), tmp_path / "scan.nii.gz")
    assert not inspect_pair(tmp_path / "scan.nii.gz", None).simulated


def test_a_copied_table_keeps_the_column_of_the_mark() -> None:
    columns = [column.lower() for column in TABLES["PATIENTS"].columns]
    assert copied_columns("PATIENTS", [*columns, "simulated"]) == [*columns, "simulated"]
    assert copied_columns("PATIENTS", columns) == columns


def test_an_array_says_it_is_simulated_and_reads_as_before(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    np.save(tmp_path / "array.npy", array)
    assert not is_simulated(tmp_path / "array.npy")
    mark_simulated(tmp_path / "array.npy")
    (tmp_path / "moved.npy").hardlink_to(tmp_path / "array.npy")
    assert is_simulated(tmp_path / "moved.npy")
    for read in (np.load(tmp_path / "moved.npy"), open_npy(tmp_path / "moved.npy", "u", "moved.npy")):
        np.testing.assert_array_equal(read, array)
