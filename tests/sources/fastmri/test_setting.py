"""In what setting a volume was measured: told from header, acquisition, affine and k-space, or left open."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from i2m2_med.sources.fastmri.setting import anatomy_of, leaves_lines_out, plane_of
from i2m2_med.sources.fastmri.source import Source
from i2m2_med.sources.fastmri.study import open_study
from i2m2_med.sources.formats.ismrmrd_header import parse_header
from i2m2_med.sources.formats.volume import Volume
from tests.sources.conftest import first_volume, rewrite


def volume(**facts: object) -> Volume:
    known = {
        "format": "npy",
        "n_slices": 1,
        "n_coils": 1,
        "readout": 8,
        "phase": 8,
        "recon": (8, 8),
        "energies": (1.0,),
    }
    return Volume.model_validate({**known, **facts})


@pytest.mark.parametrize(
    ("facts", "name", "anatomy"),
    [
        ({"body_part": "KNEE"}, "a", "knee"),
        ({"body_part": "HEAD"}, "knee1", "brain"),
        ({"body_part": "EXTREMITY"}, "left-knee", "knee"),
        ({"acquisition": "CORPDFS_FBK"}, "file1000001", "knee"),
        ({"acquisition": "AXFLAIR"}, "file1", "brain"),
        ({}, "knee_or_hip", None),
        ({}, "ankneet", None),
    ],
)
def test_anatomy(facts: dict[str, object], name: str, anatomy: str | None) -> None:
    assert anatomy_of(volume(**facts), name) == anatomy


def test_the_plane_is_the_affines_before_the_acquisitions() -> None:
    across = np.array([[0.1, 0, 3, 0], [0, 1, 0.2, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    assert plane_of(volume(affine=tuple(across.ravel()))) == "sagittal"
    assert plane_of(volume(affine=tuple(np.eye(4).ravel()), acquisition="CORPD_FBK")) == "axial"
    assert plane_of(volume(acquisition="CORPD_FBK")) == "coronal"
    assert plane_of(volume()) is None


def test_empty_lines_between_measured_ones_are_gaps_and_at_the_ends_are_not() -> None:
    kspace = np.ones((2, 6, 9), np.complex64)
    assert not leaves_lines_out(kspace)
    kspace[..., :3] = kspace[..., -1:] = 0  # partial Fourier, or zero-filled to a finer grid
    assert not leaves_lines_out(kspace)
    kspace[..., 5] = 0
    assert leaves_lines_out(kspace)
    kspace[1, 2, 5] = 1  # one coil measured something there
    assert not leaves_lines_out(kspace)


def every_other(kspace: np.ndarray) -> np.ndarray:
    kspace[..., ::2] = 0
    return kspace


def test_zero_filled_kspace_is_known_without_a_mask(broken: Callable[..., Path]) -> None:
    folder = broken(rewrite(every_other))
    path = first_volume(folder)
    whole = sorted(set(folder.rglob("*.h5")) - {path})[0]
    lines = {name: open_study(file).records["_lines"][0] for name, file in (("gaps", path), ("whole", whole))}
    assert lines == {
        "gaps": "lines left out and filled with zeros, so its images are aliased",
        "whole": "every line measured",
    }


def test_the_header_says_what_was_examined(knees: Path) -> None:
    with h5py.File(first_volume(knees)) as file:
        xml = file["ismrmrd_header"][()].decode()
    head = xml[: xml.index("<encoding>")]
    added = head + "<studyInformation><bodyPartExamined>KNEE</bodyPartExamined></studyInformation>" + xml[len(head) :]
    assert parse_header(added, "a").body_part == "KNEE"
    assert parse_header(xml, "a").body_part is None


def test_every_kind_and_bound_is_a_column_of_records(knees: Path) -> None:
    records = open_study(first_volume(knees)).records
    assert {*Source.kinds, *Source.bounds} <= set(records.columns)
    for column, bound in Source.bounds.items():
        assert len(np.atleast_1d(records[column].to_list()[0])) == len(bound.names)
