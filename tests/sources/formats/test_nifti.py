"""NIfTI images of magnitude and phase: found by their names, read slice by slice, in radians whatever they hold."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from i2m2_med.errors import SourceError
from i2m2_med.sources.fastmri.slices import VolumeFiles, find_volumes, inspect, read_image
from i2m2_med.sources.fastmri.study import open_study
from i2m2_med.sources.formats.nifti import inspect_pair, part_of, volume_name

COLUMNS, ROWS, SLICES = 7, 5, 3
LAS = np.diag([-0.5, 0.6, 3.0, 1.0])
"""Stored as images are shown: columns to the left, rows to anterior, slices upwards."""


@pytest.fixture
def images() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.uniform(1, 2, (COLUMNS, ROWS, SLICES)) * np.exp(1j * random.uniform(-3, 3, (COLUMNS, ROWS, SLICES)))


def save(path: Path, values: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), LAS), path)


@pytest.mark.parametrize(
    ("magnitude", "phase", "name"),
    [
        ("magnitude.nii.gz", "phase.nii.gz", "image"),
        ("sub-01_part-mag_T2w.nii.gz", "sub-01_part-phase_T2w.nii.gz", "sub-01_T2w"),
        ("knee7_mag.nii", "knee7_phase.nii", "knee7"),
        ("knee7.nii.gz", "knee7_ph.nii.gz", "knee7"),
        ("sub-01_ses-phase2_part-mag_T2w.nii", "sub-01_ses-phase2_part-phase_T2w.nii", "sub-01_ses-phase2_T2w"),
        ("a_magnitude.img", "a_phase.img", "a"),
        ("a_mag.mgz", "a_phase.mgz", "a"),
    ],
)
def test_pairs_are_found_and_read(tmp_path: Path, images: np.ndarray, magnitude: str, phase: str, name: str) -> None:
    save(tmp_path / magnitude, np.abs(images))
    save(tmp_path / phase, np.angle(images))
    (found,) = find_volumes(tmp_path)
    assert found.name == name
    volume = inspect(found)
    assert (volume.n_slices, volume.readout, volume.phase) == (SLICES, ROWS, COLUMNS)
    assert volume.voxel_mm == pytest.approx((0.6, 0.5, 3.0))
    for index in range(SLICES):
        np.testing.assert_allclose(read_image(found, index), images[..., index].T, rtol=1e-5)


def test_scanner_units(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "magnitude.nii", np.abs(images))
    phase = np.angle(images)
    phase[0, 0, :2] = -3.14, 3.14  # fills its range
    expected = np.abs(images) * np.exp(1j * phase)
    for units in (phase * 4096 / np.pi, (phase + np.pi) * 2048 / np.pi, phase % (2 * np.pi), phase):
        save(tmp_path / "phase.nii", units)
        close = {"rtol": 1e-3, "atol": 3e-3}
        np.testing.assert_allclose(read_image(find_volumes(tmp_path)[0], 1), expected[..., 1].T, **close)
    save(tmp_path / "phase.nii", phase * 1e5)
    with pytest.raises(SourceError, match=r"phase\.nii holds .*Units"):
        read_image(find_volumes(tmp_path)[0], 1)
    (tmp_path / "phase.json").write_text('{"Units": "rad"}', encoding="utf-8")
    save(tmp_path / "phase.nii", phase * 0.1 + 9 * np.pi)  # unwrapped
    np.testing.assert_allclose(
        np.angle(read_image(find_volumes(tmp_path)[0], 1)), np.angle(-np.exp(0.1j * phase[..., 1])).T, atol=1e-4
    )


def test_either_may_come_alone(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "a_magnitude.nii", np.abs(images))
    save(tmp_path / "b_phase.nii", np.angle(images))
    alone = {volume.name: inspect(volume) for volume in find_volumes(tmp_path)}
    assert (alone["a"].has_magnitude, alone["a"].has_phase) == (True, False)
    assert (alone["b"].has_magnitude, alone["b"].has_phase) == (False, True)


def test_bids_subject_is_the_patient(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "sub-07_part-mag_PDw.nii", np.abs(images))
    assert inspect_pair(tmp_path / "sub-07_part-mag_PDw.nii", None).patient_id == "07"


def test_bad_pairs(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "magnitude.nii", np.abs(images))
    save(tmp_path / "phase.nii", np.angle(images)[..., :2])
    with pytest.raises(SourceError, match="differ in shape"):
        inspect(find_volumes(tmp_path)[0])
    images[0, 0, 0] = np.nan
    save(tmp_path / "phase.nii", np.angle(images))
    with pytest.raises(SourceError, match=r"phase\.nii holds NaN"):
        inspect(find_volumes(tmp_path)[0])
    (tmp_path / "phase.nii").write_bytes((tmp_path / "phase.nii").read_bytes()[:400])
    with pytest.raises(SourceError, match=r"phase\.nii is truncated"):
        inspect(find_volumes(tmp_path)[0])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("magnet.nii", None),
        ("t1_image.nii", None),
        ("ABC_MAG.nii.gz", "magnitude"),
        ("sub-1_part-imag_T2w.nii", "imaginary"),
        ("sub-1_part-real_T2w.nii", "real"),
        ("sub-1_ses-phase2_T2w.nii", None),
        ("sub-1_ses-phase_T2w.nii.gz", None),
        ("sub-1_acq-mag_part-phase_T2w.nii", "phase"),
        ("sub-1_part-other_phase.nii", None),
        ("sub-1_phase.nii", "phase"),
        ("scan_imaginary.nii", "imaginary"),
        ("scan_ph.nii", "phase"),
        ("phase_mag.nii", None),
        ("graph.nii", None),
        ("phase.txt", None),
    ],
)
def test_words_count_whole(name: str, part: str | None) -> None:
    assert part_of(Path(name)) == part


def test_names_of_volumes() -> None:
    assert volume_name(Path("ABC_MAG.nii.gz")) == "ABC"
    assert volume_name(Path("sub-1_part-mag_T2w.nii.gz")) == "sub-1_T2w"
    assert volume_name(Path("phase.nii")) == "image"


def complex_files(folder: Path, images: np.ndarray, how: str) -> None:
    if how == "complex":
        nibabel.save(nibabel.Nifti1Image(images.astype(np.complex64), LAS), folder / "scan.nii.gz")
        return
    names = {"bids": "sub-1_part-{}_T2w.nii", "dcm2niix": "scan_{}.nii", "words": "{}.nii"}
    parts = {"bids": ("real", "imag")}.get(how, ("real", "imaginary"))
    for part, values in zip(parts, (images.real, images.imag), strict=True):
        save(folder / names[how].format(part), values)


@pytest.mark.parametrize("how", ["complex", "bids", "dcm2niix", "words"])
def test_complex_images(tmp_path: Path, images: np.ndarray, how: str) -> None:
    complex_files(tmp_path, images, how)
    (found,) = find_volumes(tmp_path)
    volume = inspect(found)
    assert (volume.has_magnitude, volume.has_phase) == (True, True)
    np.testing.assert_allclose(read_image(found, 2), images[..., 2].T, rtol=1e-5)


def colours(path: Path, images: np.ndarray) -> None:
    rgb = np.zeros(images.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, LAS), path)


def four_axes(path: Path, images: np.ndarray) -> None:
    save(path, np.stack([np.abs(images)] * 2, axis=-1))


def complex_named_magnitude(path: Path, images: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(images.astype(np.complex64), LAS), path)


def second_magnitude(path: Path, images: np.ndarray) -> None:
    save(path, np.abs(images))
    save(path.with_suffix(".nii.gz"), np.abs(images))


def imaginary_alone(path: Path, images: np.ndarray) -> None:
    save(path.with_name("imaginary.nii"), images.imag)


def another_place(path: Path, images: np.ndarray) -> None:
    save(path, np.abs(images))
    moved = LAS.copy()
    moved[0, 3] = 40
    nibabel.save(nibabel.Nifti1Image(np.angle(images).astype(np.float32), moved), path.with_name("phase.nii"))


def sidecar_of_a_phase(path: Path, images: np.ndarray) -> None:
    save(path, np.abs(images))
    path.with_suffix(".json").write_text('{"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}', encoding="utf-8")


def no_geometry(path: Path, images: np.ndarray) -> None:
    save(path, np.abs(images))
    content = bytearray(path.read_bytes())
    content[280:328] = np.zeros(12, "<f4").tobytes()  # srow_x, srow_y, srow_z
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (colours, "holds colours"),
        (four_axes, r"holds 2 volumes \(shape"),
        (complex_named_magnitude, "complex values, but its name says magnitude"),
        (second_magnitude, "which of them count can't be told"),
        (imaginary_alone, "which of them count can't be told"),
        (another_place, "lie in different places"),
        (sidecar_of_a_phase, "taken for the magnitude, but ImageType .* says phase"),
        (no_geometry, "affine is singular"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, images: np.ndarray, write, why: str) -> None:
    write(tmp_path / "magnitude.nii", images)
    with pytest.raises(SourceError, match=why) as raised:
        inspect(find_volumes(tmp_path)[0])
    assert "\n" not in str(raised.value)


ORIENTATIONS = ["LAS", "RAS", "LPS", "LPI", "ALS", "SAL", "PSR", "IRP"]


@pytest.mark.parametrize("order", ORIENTATIONS)
def test_the_same_anatomy_is_the_same_image(tmp_path: Path, images: np.ndarray, order: str) -> None:
    """However its axes are stored; slices lie 3 mm apart, so the header need not say which axis is theirs."""
    for number, stored in enumerate(("LAS", order)):
        (tmp_path / str(number)).mkdir()
        for part, values in (("magnitude", np.abs(images)), ("phase", np.angle(images))):
            image = nibabel.Nifti1Image(values.astype(np.float32), LAS)
            turn = nibabel.orientations.ornt_transform(
                nibabel.io_orientation(LAS), nibabel.orientations.axcodes2ornt(stored)
            )
            nibabel.save(image.as_reoriented(turn), tmp_path / str(number) / f"{part}.nii.gz")
    volumes = [find_volumes(tmp_path / str(number))[0] for number in range(2)]
    first, second = map(inspect, volumes)
    for index in range(SLICES):
        np.testing.assert_array_equal(*(read_image(volume, index) for volume in volumes))
    np.testing.assert_allclose(first.affine, second.affine, atol=1e-5)
    assert first.model_dump(exclude={"affine"}) == second.model_dump(exclude={"affine"})
    np.testing.assert_allclose(np.reshape(first.affine, (4, 4)), LAS, atol=1e-6)


def test_a_pair_may_be_stored_in_two_orders(tmp_path: Path, images: np.ndarray) -> None:
    save(tmp_path / "magnitude.nii", np.abs(images))
    phase = nibabel.Nifti1Image(np.angle(images).astype(np.float32), LAS)
    nibabel.save(nibabel.as_closest_canonical(phase), tmp_path / "phase.nii")
    (found,) = find_volumes(tmp_path)
    inspect(found)
    np.testing.assert_allclose(read_image(found, 1), images[..., 1].T, rtol=1e-5)


def test_a_file_without_orientation_is_taken_as_stored(tmp_path: Path, images: np.ndarray) -> None:
    image = nibabel.Nifti1Image(np.abs(images).astype(np.float32), None)
    image.header.set_zooms((0.5, 0.6, 3.0))
    nibabel.save(image, tmp_path / "magnitude.nii")
    (found,) = find_volumes(tmp_path)
    assert inspect(found).affine is None
    np.testing.assert_allclose(np.abs(read_image(found, 0)), np.abs(images[..., 0]).T, rtol=1e-6)


def test_real_image_is_read(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "mr_images" / "S0_10slices.nii.gz"
    (tmp_path / "s0_magnitude.nii.gz").symlink_to(source)
    (found,) = find_volumes(tmp_path)
    assert inspect(found).n_slices == 10
    shown = nibabel.as_closest_canonical(nibabel.squeeze_image(nibabel.load(source)))
    np.testing.assert_allclose(np.abs(read_image(found, 4)), np.asarray(shown.dataobj)[::-1, :, 4].T)


@pytest.mark.parametrize(("empty", "kept"), [((0,), [1, 2]), ((2,), [0, 1]), ((0, 2), [1])])
def test_empty_slices_at_the_ends_are_left_out_and_said(
    tmp_path: Path, images: np.ndarray, empty: tuple[int, ...], kept: list[int]
) -> None:
    """As skull-stripping leaves them; slices keep their numbers, and the scale is that of what is there."""
    stripped = images.copy()
    stripped[..., list(empty)] = 0
    save(tmp_path / "mag.nii", np.abs(stripped))
    save(tmp_path / "phase.nii", np.angle(images))
    (tmp_path / "phase.json").write_text('{"Units": "rad"}', encoding="utf-8")
    volume = inspect(find_volumes(tmp_path)[0])
    assert volume.remarks == ("empty slices at the ends",)
    assert volume.scale == pytest.approx(np.sqrt(np.mean(np.abs(images[..., kept]) ** 2)), rel=1e-5)
    records = open_study(tmp_path).records
    assert records["item"].to_list() == records["_slice"].to_list() == kept
    assert records["_reading"].unique().to_list() == list(volume.remarks)


def test_an_empty_slice_between_others_was_lost(tmp_path: Path, images: np.ndarray) -> None:
    magnitude = np.abs(images)
    magnitude[..., 1] = 0
    save(tmp_path / "mag.nii", magnitude)
    with pytest.raises(SourceError, match=r"mag\.nii: slice 1 of the image is all zero, between others"):
        inspect(find_volumes(tmp_path)[0])
    save(tmp_path / "mag.nii", 0 * magnitude)
    with pytest.raises(SourceError, match=r"slice 0 of the image is all zero\.$"):
        inspect(find_volumes(tmp_path)[0])


@pytest.mark.parametrize(
    ("factor", "sidecar", "unit"),
    [(1, "rad", "rad"), (1000, "mrad", "mrad"), (180 / np.pi, "deg", "degrees"), (4096 / np.pi, None, "±4096")],
)
def test_the_unit_of_the_phase_is_kept(
    tmp_path: Path, images: np.ndarray, factor: float, sidecar: str | None, unit: str
) -> None:
    phase = np.angle(images)
    phase[0, 0, :2] = -3.141, 3.141  # fills its range
    save(tmp_path / "mag.nii", np.abs(images))
    save(tmp_path / "phase.nii", np.round(phase * factor, 3 if sidecar else 0))
    if sidecar:
        (tmp_path / "phase.json").write_text(f'{{"Units": "{sidecar}"}}', encoding="utf-8")
    assert open_study(tmp_path).records["_phase_unit"].unique().to_list() == [unit]


@pytest.mark.slow
def test_the_real_template_is_read(shared_data: Path) -> None:
    """Skull-stripped: slices at the ends hold nothing."""
    path = shared_data / "mr_images" / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    volume = inspect(VolumeFiles(path))
    assert 0 < len(volume.filled) < volume.n_slices
    assert volume.filled == list(range(volume.filled[0], volume.filled[-1] + 1))


def with_header(change: Callable[[nibabel.Nifti1Image], object], affine: np.ndarray = LAS) -> Callable[[Path], None]:
    """A magnitude with a changed header."""

    def write(path: Path) -> None:
        values = np.random.default_rng(0).uniform(1, 2, (COLUMNS, ROWS, SLICES)).astype(np.float32)
        image = nibabel.Nifti1Image(values, affine)
        change(image)
        nibabel.save(image, path)

    return write


def turned_qform(image: nibabel.Nifti1Image) -> None:
    image.set_sform(LAS, 1)
    image.set_qform(np.diag([-1, 1, 1, 1]) @ LAS, 1)


SKEWED = LAS.copy()
SKEWED[0, 1] = 0.2
CONTRADICTIONS = {
    "pixdim and affine": (
        with_header(lambda image: image.header.set_zooms((1, 1, 1))),
        r"1 × 1 × 1 mm \(pixdim\), its affine",
    ),
    "sform and qform": (with_header(turned_qform), "by its sform its axes go to LAS, by its qform to RAS"),
    "rows and columns": (with_header(lambda _: None, SKEWED), "no right angle"),
    "negative magnitude": (
        lambda path: nibabel.save(
            nibabel.Nifti1Image(np.linspace(-1, 1, 27, dtype=np.float32).reshape(3, 3, 3), LAS), path
        ),
        "a magnitude is not negative",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    write, why = CONTRADICTIONS[name]
    write(tmp_path / "mag.nii")
    with pytest.raises(SourceError, match=why) as raised:
        open_study(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("unit", "millimetres"), [("meter", 1e3), ("mm", 1.0), ("micron", 1e-3), ("unknown", 1.0)])
def test_lengths_are_in_the_headers_unit(tmp_path: Path, unit: str, millimetres: float) -> None:
    affine = np.diag([*(np.diag(LAS)[:3] / millimetres), 1.0])
    with_header(lambda image: image.header.set_xyzt_units(unit), affine)(tmp_path / "mag.nii")
    volume = inspect(find_volumes(tmp_path)[0])
    assert volume.voxel_mm == pytest.approx((0.6, 0.5, 3.0))
    assert np.abs(np.reshape(volume.affine, (4, 4)).diagonal()) == pytest.approx([0.5, 0.6, 3.0, 1.0])


def test_two_pairs_in_one_study_are_not_mixed(tmp_path: Path, images: np.ndarray) -> None:
    for chunk in (1, 2):
        save(tmp_path / f"sub-1_chunk-{chunk}_part-mag_MEGRE.nii", np.abs(images))
        save(tmp_path / f"sub-1_chunk-{chunk}_part-phase_MEGRE.nii", np.angle(images))
    with pytest.raises(SourceError, match="holds 2 volumes"):
        open_study(tmp_path)
