"""Damage to knee studies: HDF5, ISMRMRD and NIfTI files that are broken, lie, or reach for something else."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from i2m2_med.simulate.damage import Damage

Array = np.ndarray
HUGE = 1_000_000


def array(file: h5py.File, name: str = "kspace") -> h5py.Dataset:
    """An array of a healthy file."""
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    return dataset


def rewritten(change: Callable[[Array], Array]) -> Callable[[Path, Path], None]:
    """Damage that stores another array as k-space."""

    def inflict(study: Path, _: Path) -> None:
        with h5py.File(study / "kspace.h5", "r+") as file:
            changed = change(array(file)[()])
            del file["kspace"]
            file["kspace"] = changed

    return inflict


def edited(change: Callable[[h5py.File, Path], Any], name: str = "kspace.h5") -> Callable[[Path, Path], None]:
    """Damage to an open HDF5 file; `change` gets the healthy neighbour's file too."""

    def inflict(study: Path, neighbour: Path) -> None:
        with h5py.File(study / name, "r+") as file:
            change(file, Path("..", neighbour.name, name))

    return inflict


def with_value(value: complex) -> Callable[[Array], Array]:
    """One number of the k-space becomes `value`."""

    def change(kspace: Array) -> Array:
        kspace[-1, 3, 5] = value
        return kspace

    return change


def without_slice(kspace: Array) -> Array:
    kspace[-1] = 0
    return kspace


def truncated(name: str) -> Callable[[Path, Path], None]:
    """The second half of the file never arrived."""

    def inflict(study: Path, _: Path) -> None:
        whole = (study / name).read_bytes()
        (study / name).write_bytes(whole[: len(whole) // 2])

    return inflict


def text_instead(study: Path, _: Path) -> None:
    (study / "kspace.h5").write_text("<html><body>502 Bad Gateway</body></html>\n", encoding="utf-8")


def external_link(file: h5py.File, neighbour: Path) -> None:
    del file["kspace"]
    file["kspace"] = h5py.ExternalLink(str(neighbour), "kspace")


def external_storage(file: h5py.File, neighbour: Path) -> None:
    shape = array(file).shape
    del file["kspace"]
    file.create_dataset("kspace", shape, np.complex64, external=[(str(neighbour), 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(file: h5py.File, neighbour: Path) -> None:
    space = h5py.h5s.create_simple(array(file).shape)
    kind = h5py.h5t.py_create(np.dtype(np.complex64), logical=True)
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_obj_track_times(False)  # the same bytes for the same seed
    options.set_virtual(space, str(neighbour).encode(), b"kspace", space)
    del file["kspace"]
    h5py.h5d.create(file.id, b"kspace", kind, space, options)


def huge_shape(file: h5py.File, _: Path) -> None:
    del file["kspace"]
    file.create_dataset("kspace", (HUGE, HUGE, HUGE), np.complex64, chunks=(1, 64, 64))


def group_instead(file: h5py.File, _: Path) -> None:
    file.move("kspace", "inner")
    file.create_group("kspace").move("/inner", "/kspace/data")


def new_header(change: Callable[[str], str]) -> Callable[[Path, Path], None]:
    """Damage to the XML header of a fastMRI volume."""

    def replace(file: h5py.File, _: Path) -> None:
        xml = change(array(file, "ismrmrd_header")[()].decode())
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = xml.encode()

    return edited(replace)


def with_entities(xml: str) -> str:
    """Ten entities, each ten times the one before ("billion laughs")."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    declared = f'<!DOCTYPE ismrmrdHeader [<!ENTITY e0 "ha">{entities}]>'
    return xml.replace("?>", f"?>{declared}", 1).replace("simulated</systemVendor>", "&e9;</systemVendor>")


def of_another_scan(xml: str) -> str:
    return xml.replace("<encodedSpace>\n      <matrixSize><x>", "<encodedSpace>\n      <matrixSize><x>9")


def lost_slice(file: h5py.File, _: Path) -> None:
    lines = array(file, "dataset/data")
    kept = lines[()][lines[()]["head"]["idx"]["slice"] > 0]
    lines.resize(len(kept), axis=0)
    lines[...] = kept


def line_outside(file: h5py.File, _: Path) -> None:
    lines = array(file, "dataset/data")
    first = lines[0]
    first["head"]["idx"]["kspace_encode_step_1"] = 60_000
    lines[0] = first


def nifti_bytes(change: Callable[[bytearray], bytes], name: str = "phase.nii.gz") -> Callable[[Path, Path], None]:
    """Damage to the bytes of a NIfTI file (header 348 bytes, numbers from byte 352)."""

    def inflict(study: Path, _: Path) -> None:
        path = study / name
        path.write_bytes(gzip.compress(change(bytearray(gzip.decompress(path.read_bytes()))), 1, mtime=0))

    return inflict


def declares_everything(nifti: bytearray) -> bytes:
    nifti[40:48] = np.array([3, 32767, 32767, 32767], "<i2").tobytes()
    return bytes(nifti)


def one_nan(nifti: bytearray) -> bytes:
    nifti[352:356] = np.float32(np.nan).tobytes()
    return bytes(nifti)


def one_slice_less(nifti: bytearray) -> bytes:
    size = int(np.prod(np.frombuffer(nifti, "<i2", 2, 42)))
    nifti[46:48] = np.int16(np.frombuffer(nifti, "<i2", 1, 46)[0] - 1).tobytes()
    return bytes(nifti[: len(nifti) - 4 * size])


def gzip_bomb(study: Path, _: Path) -> None:
    """One megabyte that unpacks to a gigabyte, which its header declares: 512 × 512 × 1024 numbers of four bytes."""
    path = study / "phase.nii.gz"
    head = bytearray(gzip.decompress(path.read_bytes())[:352])
    head[40:48] = np.array([3, 512, 512, 1024], "<i2").tobytes()
    zeros = gzip.compress(bytes(2**24), 6, mtime=0)
    path.write_bytes(gzip.compress(bytes(head), 6, mtime=0) + zeros * 64)


def in_scanner_units(nifti: bytearray) -> bytes:
    """Phase as scanners often store it, 0 to 4095 instead of −π to π, under a sidecar that says radians."""
    phase = np.frombuffer(nifti, "<f4", offset=352)
    nifti[352:] = np.round((phase + np.pi) * (4095 / (2 * np.pi))).astype("<f4").tobytes()
    return bytes(nifti)


DAMAGE = (
    Damage("hdf5_truncated", "refused", "kspace", truncated("kspace.h5")),
    Damage("hdf5_is_a_web_page", "refused", "kspace", text_instead),
    Damage("kspace_missing", "refused", "kspace", edited(lambda file, _: file.pop("kspace"))),
    Damage("kspace_nan", "refused", "kspace", rewritten(with_value(complex(np.nan, 0)))),
    Damage("kspace_zero_slice", "refused", "kspace", rewritten(without_slice)),
    Damage("kspace_integers", "refused", "kspace", rewritten(lambda kspace: np.real(kspace).astype(np.int32))),
    Damage("kspace_real", "refused", "kspace", rewritten(np.abs)),
    Damage("kspace_axes_swapped", "refused", "kspace", rewritten(lambda kspace: kspace.swapaxes(1, 2))),
    Damage("kspace_external_link", "refused", "kspace", edited(external_link)),
    Damage("kspace_huge_shape", "refused", "kspace", edited(huge_shape)),
    Damage("header_entity_bomb", "refused", "kspace", new_header(with_entities)),
    Damage("nifti_declares_tebibytes", "refused", "nifti", nifti_bytes(declares_everything)),
    Damage("nifti_gzip_bomb", "refused", "nifti", gzip_bomb),
    Damage("nifti_pair_of_two_shapes", "refused", "nifti", nifti_bytes(one_slice_less)),
    Damage("raw_line_outside_matrix", "refused", "ismrmrd", edited(line_outside, "raw.h5")),
    Damage("kspace_infinite", "refused", "kspace", rewritten(with_value(complex(0, np.inf)))),
    Damage("kspace_external_storage", "refused", "kspace", edited(external_storage)),
    Damage("kspace_virtual_dataset", "refused", "kspace", edited(virtual_dataset)),
    Damage("kspace_is_a_group", "refused", "kspace", edited(group_instead)),
    Damage("kspace_without_slices", "refused", "kspace", rewritten(lambda kspace: kspace[:0])),
    Damage("header_cut_off", "refused", "kspace", new_header(lambda xml: xml[: len(xml) // 2])),
    Damage("header_of_another_scan", "refused", "kspace", new_header(of_another_scan)),
    Damage("mask_of_another_width", "refused", "kspace", edited(lambda file, _: file.create_dataset("mask", data=np.ones(7, "f4")))),
    Damage("patient_id_missing", "scored", "kspace", edited(lambda file, _: file.attrs.pop("patient_id"))),
    Damage("kspace_scaled_a_trillion", "scored", "kspace", rewritten(lambda kspace: kspace * np.float32(1e12))),
    Damage("raw_header_missing", "refused", "ismrmrd", edited(lambda file, _: file.pop("dataset/xml"), "raw.h5")),
    Damage("raw_slice_missing", "refused", "ismrmrd", edited(lost_slice, "raw.h5")),
    Damage("nifti_truncated", "refused", "nifti", truncated("phase.nii.gz")),
    Damage("nifti_nan", "refused", "nifti", nifti_bytes(one_nan)),
    Damage("phase_in_scanner_units", "refused", "nifti", nifti_bytes(in_scanner_units)),
)  # fmt: skip
"""The first half is also done where knee and intensive-care studies are mixed."""
