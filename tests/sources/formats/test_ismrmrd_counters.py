"""Counters, flags and encodings of ISMRMRD files: what gives the image of a plain scan, what is asked for, what is refused."""

from collections.abc import Callable
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd
from ismrmrd.acquisition import Acquisition

from i2m2_med.errors import SourceError
from i2m2_med.samples.fastmri.reconstruction import reconstruct_volume
from i2m2_med.sources.fastmri.slices import VolumeFiles
from i2m2_med.sources.formats.hdf5 import close_files
from i2m2_med.sources.formats.ismrmrd_counters import Choice
from i2m2_med.sources.formats.ismrmrd_raw import inspect_raw, read_raw
from tests.scans import Scan, header, line, lines_of, write_raw

N, LINES, COILS = 24, 17, 2
SCAN = Scan((N, LINES, 1), (24, 17, 3), (N, LINES, 1), (24, 17, 3))
RANDOM = np.random.default_rng(3)
KSPACE = (RANDOM.normal(size=(COILS, N, LINES)) + 1j * RANDOM.normal(size=(COILS, N, LINES))).astype(np.complex64)
OTHER = KSPACE[:, ::-1] * 2
Lines = list[Acquisition]


def plain(kspace: np.ndarray = KSPACE, **about: object) -> Lines:
    return [line(kspace[:, :, step], step, **about) for step in range(kspace.shape[2])]


def extra(*flags: int, **about: object) -> Lines:
    return [line(OTHER[:, :, 3], 3, flags=flags, **about)]


def with_waste(one: Acquisition) -> Acquisition:
    """The same readout with samples at both ends that are to be discarded."""
    waste = np.full((COILS, 3), 99, np.complex64)
    padded = np.concatenate([waste[:, :2], one.data, waste], axis=1)
    centre = one.center_sample + 2
    return line(padded, one.idx.kspace_encode_step_1, center_sample=centre, discard_pre=2, discard_post=3)


SAME: dict[str, Callable[[], Lines]] = {
    "plain": plain,
    "in any order": lambda: plain()[::-1],
    "averages": lambda: [*plain(KSPACE * 0.5, average=0), *plain(KSPACE * 1.5, average=1)],
    "averages of some lines": lambda: [*plain(average=0), *plain(KSPACE, average=1)[4:9]],
    "segments": lambda: [one for step, one in enumerate(plain()) if not setattr(one.idx, "segment", step % 3)],
    "noise": lambda: [*extra(ismrmrd.ACQ_IS_NOISE_MEASUREMENT), *plain()],
    "noise of another length": lambda: [
        line(np.ones((COILS, 5)), 0, flags=[ismrmrd.ACQ_IS_NOISE_MEASUREMENT]),
        *plain(),
    ],
    "navigators": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_NAVIGATION_DATA)],
    "phase correction": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_PHASECORR_DATA, ismrmrd.ACQ_IS_REVERSE)],
    "dummy scans": lambda: [*extra(ismrmrd.ACQ_IS_DUMMYSCAN_DATA), *plain()],
    "feedback": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_HPFEEDBACK_DATA), *extra(ismrmrd.ACQ_IS_RTFEEDBACK_DATA)],
    "surface coil": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_SURFACECOILCORRECTIONSCAN_DATA)],
    "phase stabilisation": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_PHASE_STABILIZATION_REFERENCE)],
    "separate calibration": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)],
    "calibration that is image": lambda: plain(
        flags=[ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING]
    ),
    "reversed lines beside": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_REVERSE)],
    "another encoding": lambda: [*plain(), *extra(encoding_space_ref=1)],
    "another encoding, noise in set 4": lambda: [*plain(), *extra(ismrmrd.ACQ_IS_NOISE_MEASUREMENT, set=4)],
    "only contrast 2": lambda: plain(contrast=2),
    "samples to discard": lambda: [with_waste(one) for one in plain()],
}


@pytest.mark.parametrize("name", SAME)
def test_it_is_the_plain_image(tmp_path: Path, name: str) -> None:
    path = write_raw(tmp_path / "raw.h5", header(SCAN), SAME[name]())
    np.testing.assert_allclose(read_raw(path, 0), KSPACE, rtol=1e-6, atol=1e-7)
    volume = inspect_raw(path)
    assert (volume.n_slices, volume.n_coils) == (1, COILS)
    assert bool(volume.remarks) == (
        name not in {"plain", "in any order", "calibration that is image", "only contrast 2", "samples to discard"}
    )


@pytest.mark.parametrize("counter", ["contrast", "set", "phase", "repetition"])
def test_images_of_their_own_are_asked_for(tmp_path: Path, counter: str) -> None:
    path = write_raw(tmp_path / "raw.h5", header(SCAN), [*plain(), *plain(OTHER, **{counter: 3})])
    with pytest.raises(SourceError, match=rf"holds 2 images by their {counter} \(0, 3\).*source\.ismrmrd\.{counter}"):
        inspect_raw(path)
    for value, expected in ((0, KSPACE), (3, OTHER)):
        np.testing.assert_array_equal(read_raw(path, 0, Choice(**{counter: value})), expected)
    with pytest.raises(SourceError, match=rf"no {counter} 1 .*it has 0, 3"):
        inspect_raw(path, Choice(**{counter: 1}))


def test_another_encoding_may_be_asked_for(tmp_path: Path) -> None:
    head = header(SCAN)
    head.encoding.append(head.encoding[0])
    path = write_raw(tmp_path / "raw.h5", head, [*plain(), *plain(OTHER, encoding_space_ref=1)])
    np.testing.assert_array_equal(read_raw(path, 0), KSPACE)
    np.testing.assert_array_equal(read_raw(path, 0, Choice(encoding=1)), OTHER)
    with pytest.raises(SourceError, match="2 encodings, not an encoding 2"):
        inspect_raw(path, Choice(encoding=2))


REFUSED: dict[str, tuple[Callable[[], Lines], str]] = {
    "a line twice": (lambda: [*plain(), *extra()], "line 3 of slice 0 .* 2 times under the same counters"),
    "told apart by a user counter": (lambda: [*plain(), *extra(user=1)], "2 times under the same counters"),
    "EPI": (lambda: [*plain()[::2], *plain(flags=[ismrmrd.ACQ_IS_REVERSE])[1::2]], "only measured backwards"),
    "noise alone": (lambda: plain(flags=[ismrmrd.ACQ_IS_NOISE_MEASUREMENT]), "no image readouts"),
    "a slice is missing": (lambda: [*plain(), *plain(slice=2)], "no readout of slice 1"),
    "slices tilted": (
        lambda: [
            *plain(read_dir=(1, 0, 0), phase_dir=(0, 1, 0)),
            *plain(slice=1, read_dir=(1, 0, 0), phase_dir=(0, 0, 1)),
        ],
        "tilted against each other",
    ),
    "slices uneven": (
        lambda: [
            one
            for number, z in enumerate((0, 3, 20))
            for one in plain(slice=number, read_dir=(1, 0, 0), phase_dir=(0, 1, 0), position=(0, 0, z))
        ],
        "don't lie evenly",
    ),
    "directions askew": (lambda: plain(read_dir=(1, 0, 0), phase_dir=(0.7, 0.7, 0)), "no right angle"),
    "directions no numbers": (lambda: plain(read_dir=(1, np.nan, 0), phase_dir=(0, 1, 0)), "no numbers"),
    "a partition outside": (lambda: plain(kspace_encode_step_2=1), "partition 1 lies outside"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(tmp_path: Path, name: str) -> None:
    lines, why = REFUSED[name]
    path = write_raw(tmp_path / "raw.h5", header(SCAN), lines())
    with pytest.raises(SourceError, match=why) as raised:
        inspect_raw(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("namespace", ["", "http://example.org/other", "http://www.ismrm.org/ISMRMRD"])
def test_header_of_any_namespace(tmp_path: Path, namespace: str) -> None:
    xml = xsd.ToXML(header(SCAN)).replace('"http://www.ismrm.org/ISMRMRD"', f'"{namespace}"')
    xml = xml if namespace else xml.replace(' xmlns:ns0=""', "").replace("ns0:", "")
    path = write_raw(tmp_path / "raw.h5", xml, plain())
    np.testing.assert_array_equal(read_raw(path, 0), KSPACE)


@pytest.mark.parametrize(
    ("found", "instead", "why"),
    [
        ("x>24<", "x>many<", "no number where encoding needs one"),
        ("x>24<", "x>0<", "matrix of 0"),
        ("x>24.0<", "x>0<", "pixels have no size"),
        ("cartesian", "spiral", "spiral trajectory"),
    ],
)
def test_headers_that_say_nothing(tmp_path: Path, found: str, instead: str, why: str) -> None:
    path = write_raw(tmp_path / "raw.h5", xsd.ToXML(header(SCAN)).replace(found, instead), plain())
    with pytest.raises(SourceError, match=why):
        inspect_raw(path)


def truth_3d(shape: tuple[int, int, int]) -> np.ndarray:
    """An image (partition, readout, phase) without symmetry."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    ball = ((grid[0] - 0.1) ** 2 + (grid[1] + 0.2) ** 2 / 0.8 + grid[2] ** 2 / 0.5 < 0.4).astype(float)
    return ball * np.exp(1j * (grid[0] + 2 * grid[1]))


def fft3(image: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image), norm="ortho")).astype(np.complex64)


def lines_3d(kspace: np.ndarray, keep: Callable[[int, int], bool] = lambda *_: True, **about: object) -> Lines:
    depth, _, width = kspace.shape
    steps = [(kz, ky) for kz in range(depth) for ky in range(width) if keep(kz, ky)]
    return [line(kspace[None, kz, :, ky], ky, kspace_encode_step_2=kz, **about) for kz, ky in steps]


@pytest.mark.parametrize("depth", [8, 7])
def test_partitions_are_transformed(tmp_path: Path, depth: int) -> None:
    truth = truth_3d((depth, 20, 16))
    scan = Scan((20, 16, depth), (20, 16, 2 * depth), (20, 16, depth), (20, 16, 2 * depth))
    path = write_raw(tmp_path / "raw.h5", header(scan), lines_3d(fft3(truth)))
    images = reconstruct_volume(VolumeFiles(path))
    np.testing.assert_allclose(images.image, truth, atol=1e-5)
    assert images.voxel_mm == pytest.approx((1, 1, 2))


def test_partitions_are_cropped_and_interpolated_by_millimetres(tmp_path: Path) -> None:
    depth, shown = 12, 16  # oversampled 12 × 2 mm, shown 16 mm as 16 slices of 1 mm
    truth = truth_3d((depth, 20, 16))
    scan = Scan((20, 16, depth), (20, 16, 24), (20, 16, shown), (20, 16, 16))
    images = reconstruct_volume(VolumeFiles(write_raw(tmp_path / "raw.h5", header(scan), lines_3d(fft3(truth)))))
    assert images.image.shape == (shown, 20, 16)
    np.testing.assert_allclose(images.image[::2], truth[2:10], atol=1e-5)


SAMPLING: dict[str, Callable[[int, int], bool]] = {
    "elliptical": lambda kz, ky: ((kz - 6) / 6) ** 2 + ((ky - 8) / 8) ** 2 <= 1.05,
    "variable density": lambda kz, ky: abs(kz - 6) + abs(ky - 8) < 4 or (kz * 7 + ky * 3) % 4 == 0,
    "partial Fourier along both": lambda kz, ky: kz >= 3 and ky >= 4,
}


@pytest.mark.parametrize("name", SAMPLING)
def test_lines_that_were_not_measured_are_zero(tmp_path: Path, name: str) -> None:
    shape, keep = (12, 20, 16), SAMPLING[name]
    kspace = fft3(truth_3d(shape))
    mask = np.array([[keep(kz, ky) for ky in range(shape[2])] for kz in range(shape[0])])
    scan = Scan((20, 16, 12), (20, 16, 12), (20, 16, 12), (20, 16, 12))
    images = reconstruct_volume(VolumeFiles(write_raw(tmp_path / "raw.h5", header(scan), lines_3d(kspace, keep))))
    expected = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(kspace * mask[:, None]), norm="ortho"))
    np.testing.assert_allclose(images.image, expected, atol=1e-5)


def test_partial_fourier_counted_from_its_first_line(tmp_path: Path) -> None:
    """As scanners count: the first line measured is 0, and the header says which crosses the centre."""
    kspace = fft3(truth_3d((12, 20, 16)))
    lines = [
        line(kspace[None, kz + 3, 5:, ky + 4], ky, kspace_encode_step_2=kz, center_sample=5)
        for kz in range(9)
        for ky in range(12)
    ]
    scan = Scan((20, 16, 12), (20, 16, 12), (20, 16, 12), (20, 16, 12))
    images = reconstruct_volume(VolumeFiles(write_raw(tmp_path / "raw.h5", header(scan, centres=(4, 3)), lines)))
    kspace[:3] = kspace[:, :5] = kspace[..., :4] = 0
    expected = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(kspace), norm="ortho"))
    np.testing.assert_allclose(images.image, expected, atol=1e-5)


def test_a_centre_is_not_guessed(tmp_path: Path) -> None:
    head = header(SCAN)
    head.encoding[0].encodingLimits.kspace_encoding_step_1.center = 0
    path = write_raw(tmp_path / "raw.h5", head, plain()[:12])
    with pytest.raises(SourceError, match="steps 0 to 11 of 17 were measured, and the header does not say"):
        inspect_raw(path)


def test_slabs_are_refused(tmp_path: Path) -> None:
    scan = Scan((20, 16, 4), (20, 16, 8), (20, 16, 4), (20, 16, 8))
    kspace = fft3(truth_3d((4, 20, 16)))
    path = write_raw(tmp_path / "raw.h5", header(scan), [*lines_3d(kspace), *lines_3d(kspace, slice=1)])
    with pytest.raises(SourceError, match="2 slabs"):
        inspect_raw(path)


def test_contrasts_of_a_volume_are_read_by_the_source(tmp_path: Path) -> None:
    from i2m2_med.sources.fastmri.source import Settings, Source

    (tmp_path / "study").mkdir()
    write_raw(tmp_path / "study" / "raw.h5", header(SCAN), [*plain(), *plain(OTHER, contrast=1)])
    with pytest.raises(SourceError, match=r"source\.ismrmrd\.contrast"):
        Source(Settings(root=tmp_path)).study(tmp_path / "study")
    records = Source(Settings(root=tmp_path, ismrmrd={"contrast": 1})).study(tmp_path / "study").records
    from i2m2_med.samples import LoadSliced

    np.testing.assert_array_equal(LoadSliced()(records.row(0, named=True))["kspace"].numpy(), OTHER)
    close_files()


def slices_at(positions: list[tuple[float, float, float]], read: object, phase: object) -> Lines:
    return [
        one
        for number, position in enumerate(positions)
        for one in plain(KSPACE * (number + 1), slice=number, position=position, read_dir=read, phase_dir=phase)
    ]


def test_slices_are_ordered_by_where_they_lie(tmp_path: Path) -> None:
    positions = [(5.0, 6.0, z) for z in (0.0, 8.0, 4.0, 12.0)]  # interleaved
    path = write_raw(tmp_path / "raw.h5", header(SCAN), slices_at(positions, (0, -1, 0), (1, 0, 0)))
    volume = inspect_raw(path)
    sizes = [np.abs(read_raw(path, number)).max() / np.abs(KSPACE).max() for number in range(4)]
    assert sizes == pytest.approx([1, 3, 2, 4])
    affine = np.reshape(volume.affine, (4, 4))
    assert volume.voxel_mm == pytest.approx((1, 1, 4))
    middle = affine @ [LINES // 2, N // 2, 0, 1]
    assert middle[:3] == pytest.approx([-5, -6, 0])  # ISMRMRD counts towards left and posterior
    assert affine[:3, :3] == pytest.approx(np.diag([-1.0, 1.0, 4.0]))


@pytest.mark.parametrize(
    ("read", "phase"),
    [((0, 1, 0), (1, 0, 0)), ((1, 0, 0), (0, 1, 0)), ((0, -1, 0), (-1, 0, 0)), ((-1, 0, 0), (0, 1, 0))],
)
def test_the_same_anatomy_is_shown_the_same_way(tmp_path: Path, read: tuple[int, ...], phase: tuple[int, ...]) -> None:
    """However the scan was turned, a pixel of the image lies where the affine says, and letters are the same."""
    n = 21
    scan = Scan((n, n, 1), (n, n, 3), (n, n, 1), (n, n, 3))
    points = {(4.0, 3.0): 1.0, (-6.0, 2.0): 0.5}  # left, posterior → signal
    image = np.zeros((n, n), complex)
    for (left, back), signal in points.items():
        row, column = (round(read[0] * left + read[1] * back), round(phase[0] * left + phase[1] * back))
        image[n // 2 + row, n // 2 + column] = signal
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho"))
    path = write_raw(tmp_path / "raw.h5", header(scan), lines_of(kspace, read_dir=read, phase_dir=phase))
    images = reconstruct_volume(VolumeFiles(path))
    expected = np.zeros((n, n))
    for (left, back), signal in points.items():
        expected[n // 2 - round(back), n // 2 + round(left)] = signal  # rows towards anterior, columns towards left
        row, column = np.argwhere(np.abs(np.abs(images.image[0]) - signal) < 1e-4)[0]
        place = np.reshape(images.volume.affine, (4, 4)) @ [column, row, 0, 1]
        assert place[:2] == pytest.approx([-left, -back])
    np.testing.assert_allclose(np.abs(images.image[0]), expected, atol=1e-5)
