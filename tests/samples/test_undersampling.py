"""Masks are fastMRI's, the same for every slice of a volume, and keep the centre."""

import pytest
import torch

from i2m2_med.errors import ConfigError
from i2m2_med.samples import Undersampled


def record(name: str, columns: int = 368) -> dict[str, object]:
    return {"kspace": torch.ones(2, 5, columns, dtype=torch.complex64), "_data": f"/somewhere/{name}.h5"}


def kept(transform: Undersampled, name: str, columns: int = 368) -> torch.Tensor:
    return transform(record(name, columns))["kspace"][0, 0].abs()


@pytest.mark.parametrize("kind", ["random", "equispaced", "magic"])
@pytest.mark.parametrize("acceleration", [2, 4, 8])
def test_acceleration_and_centre(kind: str, acceleration: int) -> None:
    share = torch.stack([kept(Undersampled(kind=kind, accelerations=[acceleration]), f"v{n}") for n in range(20)])
    assert share.mean() == pytest.approx(1 / acceleration, rel=0.15)
    half = int(368 * 0.32 / acceleration / 2) - 1
    assert share[:, 184 - half : 184 + half].all()


def test_one_mask_per_volume_and_seed() -> None:
    transform = Undersampled(accelerations=[4])
    first = kept(transform, "file1")
    assert torch.equal(first, kept(transform, "file1"))
    assert torch.equal(first, kept(Undersampled(accelerations=[4]), "file1"))
    assert not torch.equal(first, kept(transform, "file2"))
    assert not torch.equal(first, kept(Undersampled(accelerations=[4], seed=1), "file1"))


def test_columns_that_were_not_measured_stay_empty() -> None:
    masked = record("file1", 37)
    masked["kspace"][..., 11] = 0
    assert not Undersampled(accelerations=[2])(masked)["kspace"][..., 11].any()


def test_unknown_acceleration_is_one_line() -> None:
    with pytest.raises(ConfigError, match="accelerations of 2, 4, 8"):
        Undersampled(accelerations=[3])
