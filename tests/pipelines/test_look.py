"""`i2m2 look`: the picture's numbers are those that a model reads, and its pixels are labelled as large as they are."""

from pathlib import Path

import numpy as np
import pytest
from i2m2_med.pipelines import look

from i2m2_med.errors import SourceError
from i2m2_med.simulate.fastmri.anatomy import Geometry
from i2m2_med.simulate.knee import studies as studies_knee
from i2m2_med.simulate.knee.anatomy import PIXEL_MM

SMALL = ("source.root=.",)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("look") / "study"
    folder.mkdir()
    studies_knee.write_raw(folder, studies_knee.draw_study(Geometry(48, 31), 2, np.random.default_rng(0)))
    return folder


def test_a_config_that_will_be_trained(study: Path, tmp_path: Path) -> None:
    made = look.main(study, tmp_path / "look.png", config="knee_i2m2", set_=SMALL)
    assert made["inputs"] == {"magnitude": [2, 1, 320, 320], "phase": [2, 1, 320, 320]}
    assert made["pixel_mm"] == pytest.approx((PIXEL_MM, PIXEL_MM))
    assert made["toward"] == ("L", "S")
    assert Path(made["picture"]).read_bytes().startswith(b"\x89PNG")


def test_published_pixels_are_labelled_as_narrow_as_they_are(study: Path, tmp_path: Path) -> None:
    made = look.main(study, tmp_path / "look.png", config="knee_published", set_=SMALL)
    assert made["pixel_mm"] == pytest.approx((PIXEL_MM, PIXEL_MM * 31 / 400))


def test_what_can_not_be_shown(study: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--model RUN, or --config NAME"):
        look.main(study, tmp_path / "look.png")
    with pytest.raises(SourceError, match="is not there"):
        look.main(tmp_path / "none", tmp_path / "look.png", config="knee_i2m2", set_=SMALL)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no fastMRI"):
        look.main(tmp_path / "empty", tmp_path / "look.png", config="knee_i2m2", set_=SMALL)
    assert not (tmp_path / "look.png").exists()


def test_a_trained_model(study: Path, tmp_path: Path) -> None:
    from tests.scoring.conftest import untrained

    model = untrained("knee_demo", tmp_path / "model", (f"source.root={tmp_path}",))
    made = look.main(study, tmp_path / "look.png", model=str(model))
    assert set(made["inputs"]) == {"magnitude", "phase"}
