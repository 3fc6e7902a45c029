"""A model folder withholds where data lay; opened from its run they are known again, all of them."""

from pathlib import Path

from i2m2_med.config.reader import load_config
from i2m2_med.documents import write_yaml
from i2m2_med.engine.prediction.model_files import read_portable
from i2m2_med.engine.prediction.predictor import portable
from i2m2_med.engine.reopening.runs import with_places


def test_places_that_a_model_folder_withholds_come_back(tmp_path: Path):
    table, split = tmp_path / "clinical.csv", tmp_path / "split.csv"
    settings = (f"source.root={tmp_path}", f"modalities.columns.clinical.table={table}", f"split.file={split}")
    stored, _ = load_config("knee_clinical", settings)
    withheld = tmp_path / "config.yaml"
    withheld.write_text(write_yaml(portable(stored)), encoding="utf-8")
    assert str(tmp_path) not in withheld.read_text(encoding="utf-8")
    again = with_places(read_portable(withheld), stored)
    assert (again.source, again.split, again.modalities) == (stored.source, stored.split, stored.modalities)
