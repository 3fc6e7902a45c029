"""From a record to modality tensors: the numbers of fastmri, the published geometry, and what is refused."""

from pathlib import Path
from typing import Any

import fastmri
import numpy as np
import polars as pl
import pytest
import torch
from fastmri.data.transforms import center_crop
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import NormalizeIntensityd
from monai.transforms.spatial.dictionary import RandFlipd

from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.samples import LoadSliced, Modalitiesd, Reconstructd
from i2m2_med.samples.complex_checks import refuse_real_only
from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.source import Settings, Source
from i2m2_med.sources.source import Flow, Progress

SIZE = 24
ALL = ["magnitude", "phase", "rss", "real", "imaginary"]
KEYS = ("kspace", "image")


def records(folder: Path, where: Path, coils: int, matrix: str = "48x31") -> pl.DataFrame:
    knee.simulate(folder, volumes=3, slices=2, matrix=matrix, coils=coils)
    return Source(Settings(root=folder, coils="any")).ingest(where, where / "cache", Flow(), Progress())


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    place = tmp_path_factory.mktemp("single")
    return records(place / "data", place, 1)


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    place = tmp_path_factory.mktemp("multi")
    return records(place / "data", place, 4)


def sample(
    table: pl.DataFrame, keys: list[str], row: int = 1, *, load: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    made = {name: settings.pop(name) for name in ("phase", "scale") if name in settings}
    steps = [LoadSliced(**(load or {})), Reconstructd(size=[SIZE, SIZE], **settings), Modalitiesd(keys=keys, **made)]
    return dict(Compose(steps)(table.row(row, named=True)))


def kspace_of(table: pl.DataFrame, row: int = 1) -> torch.Tensor:
    return LoadSliced()(table.row(row, named=True))["kspace"]


def image_by_fastmri(kspace: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    whole = fastmri.ifft2c(torch.view_as_real(kspace.to(torch.complex128)).contiguous())
    return torch.view_as_complex(center_crop(whole.movedim(-1, 0), (size, size)).movedim(0, -1).contiguous())


def test_modalities_of_a_single_coil(single: pl.DataFrame) -> None:
    image = image_by_fastmri(kspace_of(single))[0]
    found = sample(single, ALL[:2] + ALL[3:], scale="none")
    expected = {"magnitude": image.abs(), "phase": image.angle(), "real": image.real, "imaginary": image.imag}
    for name, value in expected.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], value[None].float(), rtol=1e-4, atol=1e-6 if name != "phase" else 1e-3)


def test_published_geometry(single: pl.DataFrame) -> None:
    kspace = kspace_of(single)
    left = (400 - kspace.shape[-1]) // 2
    filled = torch.zeros(1, kspace.shape[-2], 400, dtype=torch.complex64)
    filled[..., left : left + kspace.shape[-1]] = kspace
    found = sample(single, ["magnitude"], parity="published", scale="none")["magnitude"]
    torch.testing.assert_close(found, image_by_fastmri(filled).abs().float(), rtol=1e-4, atol=1e-8)


def test_more_than_400_columns_are_refused_in_the_published_geometry() -> None:
    with pytest.raises(SourceError, match="402 columns"):
        Reconstructd(parity="published")({"kspace": torch.ones(1, 8, 402, dtype=torch.complex64)})


def test_multi_coil_magnitude_is_rss(multi: pl.DataFrame) -> None:
    coils = image_by_fastmri(kspace_of(multi))
    found = sample(multi, ["magnitude", "rss", "real", "imaginary"], scale="none")
    torch.testing.assert_close(found["magnitude"][0], fastmri.rss(coils.abs()).float(), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(found["rss"], found["magnitude"])
    torch.testing.assert_close(torch.hypot(found["real"], found["imaginary"]), found["magnitude"], rtol=1e-4, atol=1e-8)


def test_rss_is_cropped_as_the_image_is_and_never_padded(multi: pl.DataFrame) -> None:
    small, large = (
        Compose([LoadSliced(rss=True), Reconstructd(size=[size, size]), Modalitiesd(keys=["magnitude", "rss"])])
        for size in (SIZE - 4, SIZE + 8)
    )
    made = dict(small(multi.row(1, named=True)))
    torch.testing.assert_close(made["rss"], made["magnitude"], rtol=1e-4, atol=1e-6)
    with pytest.raises((SourceError, RuntimeError)) as refusal:
        large(multi.row(1, named=True))
    assert f"is {SIZE} × {SIZE}, smaller than the image of {SIZE + 8} × {SIZE + 8}" in str(
        refusal.value.__cause__ or refusal.value
    )


def test_rss_of_a_single_coil_file_is_the_files_own(single: pl.DataFrame) -> None:
    import h5py

    row = single.row(1, named=True)
    with h5py.File(row["_data"]) as file:
        expected = torch.from_numpy(file["reconstruction_rss"][row["_slice"]])
    found = sample(single, ["rss"], load={"rss": True}, scale="none")["rss"]
    torch.testing.assert_close(found[0], expected)
    assert "rss" not in sample(single, ["rss"])  # one coil has no root sum of squares of its own


def test_scale_makes_volumes_alike(single: pl.DataFrame) -> None:
    raw = sample(single, ["magnitude"], scale="none")["magnitude"]
    scaled = sample(single, ["magnitude"])["magnitude"]
    torch.testing.assert_close(scaled * single["_scale"][1], raw)
    assert raw.mean() < 1e-3 < 0.3 < scaled.square().mean().sqrt() < 3


def test_phase_options(single: pl.DataFrame) -> None:
    raw = sample(single, ["phase"])["phase"]
    two = sample(single, ["phase"], phase="cos_sin")["phase"]
    torch.testing.assert_close(two, torch.cat([raw.cos(), raw.sin()]))
    row = single.row(1, named=True)
    image = Reconstructd(size=[SIZE, SIZE])(LoadSliced()(row))["image"]
    inside = image.abs() > 0.5 * image.abs().max()
    left = sample(single, ["phase"], phase="referenced")["phase"][0]
    assert left[inside].abs().median() < 0.5 * (raw[0][inside] - raw[0][inside].mean()).abs().median() + 0.1


def test_kspace_domain_is_the_transform_undone(single: pl.DataFrame, multi: pl.DataFrame) -> None:
    one = sample(single, ["real"], domain="kspace", scale="none")["real"]
    torch.testing.assert_close(one, center_crop(kspace_of(single).real, (SIZE, SIZE)))
    image, kspace = (
        sample(multi, ["real", "imaginary"], domain=domain, scale="none") for domain in ("image", "kspace")
    )
    energy = [torch.hypot(found["real"], found["imaginary"]).square().sum() for found in (image, kspace)]
    torch.testing.assert_close(*energy)


@pytest.mark.filterwarnings("ignore")  # MONAI warns of the cast, which is not enough
def test_dropped_imaginary_part_is_refused(single: pl.DataFrame) -> None:
    read = Reconstructd(size=[SIZE, SIZE])(LoadSliced()(single.row(0, named=True)))
    dropped = NormalizeIntensityd(keys=["image"])(read)
    with pytest.raises(ConfigError, match="dropped the imaginary part"):
        Modalitiesd()(dropped)


@pytest.mark.parametrize(
    "name", ["NormalizeIntensityd", "ScaleIntensityd", "Resized", "RandRotated", "RandGaussianNoised"]
)
def test_transforms_that_drop_it_are_known_by_name(name: str) -> None:
    block = {"_target_": f"monai.transforms.{name}", "keys": ["image"]}
    load = {"_target_": "i2m2_med.samples.LoadSliced"}
    with pytest.raises(ConfigError, match=rf"{name} drops the imaginary part of 'image'"):
        refuse_real_only([load, block], KEYS)
    refuse_real_only([block], ())  # a data set whose `image` is real
    refuse_real_only(
        [load, {**block, "keys": ["magnitude"]}, {"_target_": "monai.transforms.Flipd", "keys": "kspace"}], KEYS
    )


def test_order_of_transforms_is_explained(single: pl.DataFrame) -> None:
    with pytest.raises(ConfigError, match="Reconstructd needs 'kspace'"):
        Reconstructd()(single.row(0, named=True))
    read = Reconstructd(size=[SIZE, SIZE])(LoadSliced()(single.row(0, named=True)))
    with pytest.raises(ConfigError, match="makes magnitude, phase, rss, real and imaginary, not 'amplitude'"):
        Modalitiesd(keys=["amplitude"])(read)


def test_augmentation_moves_all_modalities_alike(single: pl.DataFrame) -> None:
    plain = sample(single, ["magnitude", "phase"])
    flip = RandFlipd(keys=["magnitude", "phase"], spatial_axis=1, prob=1.0)
    flipped = flip({name: plain[name] for name in ("magnitude", "phase")})
    for name in ("magnitude", "phase"):
        assert np.array_equal(np.asarray(flipped[name]), plain[name].flip(-1).numpy())
