"""Study folders: every form that a knee may be stored in, and every damage done to one."""

from pathlib import Path

import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.simulate.damage import Damage, anywhere
from i2m2_med.simulate.fastmri.anatomy import Geometry
from i2m2_med.simulate.knee import studies as studies_knee
from i2m2_med.simulate.knee.damage import DAMAGE
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.fastmri.study import open_study

WRITERS = {"kspace": studies_knee.write_kspace, "nifti": studies_knee.write_pair, "ismrmrd": studies_knee.write_raw}
EVERY = [*DAMAGE, *(damage for pattern in WRITERS for damage in anywhere(pattern))]


def draw() -> studies_knee.KneeStudy:
    return studies_knee.draw_study(Geometry(48, 31), 2, np.random.default_rng(3))


@pytest.mark.parametrize(
    "write",
    [*WRITERS.values(), studies_knee.write_named_kspace, studies_knee.write_bids_pair],
    ids=lambda write: write.__name__,
)
def test_every_form_gives_the_same_slices(tmp_path: Path, write) -> None:
    study = draw()
    write(tmp_path, study)
    records = Source(Settings(root=tmp_path)).study(tmp_path).records
    assert records["item"].to_list() == [0, 1]
    expected = np.sqrt(np.mean(np.abs(study.images) ** 2))
    assert records["_scale"][0] == pytest.approx(expected, rel=0.1)


def test_images_that_come_alone(tmp_path: Path) -> None:
    for name in ("magnitude", "phase"):
        (tmp_path / name).mkdir()
        getattr(studies_knee, f"write_{name}")(tmp_path / name, draw())
        record = open_study(tmp_path / name).records.row(0, named=True)
        assert [record["has_magnitude"], record["has_phase"]] == [name == "magnitude", name == "phase"]


@pytest.mark.parametrize("damage", EVERY, ids=lambda damage: f"{damage.pattern}-{damage.name}")
def test_damage_is_refused_in_one_line_or_harmless(tmp_path: Path, damage: Damage) -> None:
    folders = [tmp_path / "study", tmp_path / "neighbour"]
    for folder in folders:
        folder.mkdir()
        WRITERS[damage.pattern](folder, draw())
    damage.inflict(*folders)
    if damage.expected == "scored":
        assert len(open_study(folders[0]).records) == 2
        return
    with pytest.raises(SourceError) as raised:
        open_study(folders[0])
    assert "\n" not in str(raised.value)


def test_two_volumes_are_not_guessed_between(tmp_path: Path) -> None:
    studies_knee.write_named_kspace(tmp_path, draw())
    (tmp_path / "study.yaml").unlink()
    with pytest.raises(SourceError, match=r"2 volumes\. Say in study\.yaml"):
        open_study(tmp_path)
