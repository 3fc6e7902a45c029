"""No transform makes a sample larger than a machine bears: it is judged before it is made, by the shape that it would have."""

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose

from i2m2_med.config.targets import build
from i2m2_med.errors import SourceError, causes
from i2m2_med.samples.growth import LARGEST, SizeBound, bounded, values_of

FLAT, SOLID = (3, 9, 7), (2, 9, 7, 5)

GROWING = [
    ("Resized", {"spatial_size": [21, 13]}, FLAT),
    ("SpatialPadd", {"spatial_size": [30, -1, 6]}, SOLID),
    ("BorderPadd", {"spatial_border": [3, 4]}, FLAT),
    ("DivisiblePadd", {"k": [8, 16, 1]}, SOLID),
    ("CropForegroundd", {"source_key": "image", "margin": 6, "k_divisible": 4}, SOLID),
    ("ResizeWithPadOrCropd", {"spatial_size": [4, 40]}, FLAT),
    ("Zoomd", {"zoom": 2.3, "keep_size": False}, FLAT),
    ("RandZoomd", {"min_zoom": 1.5, "max_zoom": 3.0, "prob": 1.0, "keep_size": False}, FLAT),
    ("Spacingd", {"pixdim": [0.5, 0.3, 2.0]}, SOLID),
    ("Rotated", {"angle": 0.7, "keep_size": False}, FLAT),
    ("Affined", {"spatial_size": [20, 11]}, FLAT),
    ("RandAffined", {"spatial_size": [20, 11], "prob": 1.0}, FLAT),
    ("RepeatChanneld", {"repeats": 5}, SOLID),
    ("CopyItemsd", {"times": 2, "names": ["copy", "other"]}, FLAT),
]
"""Transforms of MONAI's that enlarge, their arguments, and the shape that they are given."""


def sample(shape: tuple[int, ...]) -> dict[str, Any]:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(3)) + 0.1
    return {"image": MetaTensor(values, affine=torch.eye(4)), "note": "kept", "other_array": np.zeros((4, 6))}


def steps(name: str, arguments: dict[str, Any]) -> list[Any]:
    block = {"_target_": f"monai.transforms.{name}", "keys": ["image"], **arguments}
    return bounded(build(block, "transform", name), block)


@pytest.mark.parametrize(("name", "arguments", "shape"), GROWING)
def test_a_samples_size_is_known_before_it_is_made(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    bound, step = steps(name, arguments)
    record = sample(shape)
    before = record["image"].clone()
    if hasattr(step, "set_random_state"):
        step.set_random_state(seed=5)
    forecast = bound.forecast(step, bound.block, record)
    assert torch.equal(record["image"], before)
    assert not record["image"].pending_operations
    assert forecast == values_of(step(record).values())


def test_a_bound_changes_nothing_and_draws_nothing() -> None:
    zoom = {"min_zoom": 1.1, "max_zoom": 3.0, "prob": 0.5, "keep_size": False}
    bare, guarded = (Compose(steps("RandZoomd", zoom)[first:]) for first in (1, 0))
    for compose in (bare, guarded):
        compose.set_random_state(seed=11)
    for _ in range(4):
        torch.testing.assert_close(bare(sample(FLAT))["image"], guarded(sample(FLAT))["image"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("Resized", {"spatial_size": [16384, 16384, 16384]}, SOLID),
        ("SpatialPadd", {"spatial_size": [16384, 16384]}, FLAT),
        ("BorderPadd", {"spatial_border": 16384}, SOLID),
        ("DivisiblePadd", {"k": 1_000_000}, FLAT),
        ("CropForegroundd", {"source_key": "image", "margin": 20_000}, FLAT),
        ("Zoomd", {"zoom": 1e12, "keep_size": False}, FLAT),
        ("Spacingd", {"pixdim": 1e-9}, SOLID),
        ("RepeatChanneld", {"repeats": 256}, (3, 600, 600)),
        ("MedianSmoothd", {"radius": 33}, SOLID),
        ("Rand3DElasticd", {"sigma_range": [5, 7], "magnitude_range": [1, 2], "spatial_size": 16384}, SOLID),
    ],
)
def test_a_sample_too_large_is_refused_at_once_in_a_line(
    name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    began = time.perf_counter()
    with pytest.raises((SourceError, RuntimeError)) as refused:
        Compose(steps(name, arguments))(sample(shape))
    [why] = [str(cause) for cause in causes(refused.value) if isinstance(cause, SourceError)]
    assert why.startswith(f"the transform {name} would make a sample of ")
    assert f"more than {LARGEST:,}" in why
    assert "\n" not in why
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("name", ["CenterSpatialCropd", "RandSpatialCropd", "SpatialCropd", "RandFlipd", "Rotate90d"])
def test_what_makes_nothing_larger_goes_unjudged(name: str) -> None:
    arguments = {"roi_size": [3, 3]} if "Crop" in name else {}
    arguments |= {"roi_center": [4, 4]} if name == "SpatialCropd" else {}
    assert not any(isinstance(step, SizeBound) for step in steps(name, arguments))


def test_a_large_study_is_not_refused_for_what_the_config_did_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2m2_med.samples.growth.LARGEST", 20)
    made = Compose(steps("SpatialPadd", {"spatial_size": [2, 2]}))(sample(FLAT))
    assert made["image"].shape == FLAT


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_number_of_any_allowed_transform_takes_the_machine_down() -> None:
    """Over 2,000 blocks, each with a number at an end of its range, in 4 GiB and 20 s each."""
    done = subprocess.run([sys.executable, "-m", "tests.samples.extremes"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    *wrong, end = map(json.loads, done.stdout.splitlines())
    assert wrong == []
    assert end["tried"] > 2000
