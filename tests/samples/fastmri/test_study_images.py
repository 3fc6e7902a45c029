"""A map of the model's input lies on the image pixel for pixel, however the scan was turned, cropped or sampled."""

from pathlib import Path

import numpy as np
import pytest
from monai.transforms.compose import Compose

from i2m2_med.samples import LoadSliced, Reconstructd
from i2m2_med.samples.fastmri.study_images import study_images
from i2m2_med.scoring.extras import origin
from i2m2_med.sources.fastmri.study import open_study
from tests.scans import Scan, header, line, write_raw

SCANS = {
    "even": Scan((24, 18, 1), (24, 18, 3), (12, 16, 1), (12, 16, 3)),
    "odd": Scan((25, 17, 1), (25, 17, 3), (13, 17, 1), (13, 17, 3)),
    "odd from even": Scan((24, 18, 1), (24, 18, 3), (13, 15, 1), (13, 15, 3)),
    "sampled": Scan((24, 18, 1), (24, 18, 3), (31, 30, 1), (16, 14, 3)),
}
TURNS = {
    "as shown": ((0, -1, 0), (1, 0, 0)),
    "rows flipped": ((0, 1, 0), (1, 0, 0)),
    "columns flipped": ((0, -1, 0), (-1, 0, 0)),
    "transposed": ((1, 0, 0), (0, -1, 0)),
    "transposed and flipped": ((-1, 0, 0), (0, 1, 0)),
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("size", [10, 11])
def test_overlap(tmp_path: Path, name: str, turn: str, size: int) -> None:
    scan = SCANS[name]
    random = np.random.default_rng(0)
    kspace = random.normal(size=scan.shape) + 1j * random.normal(size=scan.shape)
    read, phase = TURNS[turn]
    lines = [line(kspace[None, :, step], step, read_dir=read, phase_dir=phase) for step in range(scan.shape[1])]
    (tmp_path / "study").mkdir()
    write_raw(tmp_path / "study" / "raw.h5", header(scan), lines)
    images = study_images(tmp_path / "study")
    record = open_study(tmp_path / "study").records.row(0, named=True)
    seen = Compose([LoadSliced(), Reconstructd(size=[size, size])])(record)["image"].numpy()
    row, column = (
        origin(acquired, size) - origin(acquired, shown)
        for acquired, shown in zip(images.acquired, images.image.shape[1:], strict=True)
    )
    np.testing.assert_allclose(seen, images.image[0, row : row + size, column : column + size], atol=1e-4)
