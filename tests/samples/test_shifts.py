"""Laws of shifts: patients and targets stay, severity grows, a shift of nothing is nothing, the wrong track is refused."""

import numpy as np
import polars as pl
import pytest
import torch
from monai.transforms.compose import Compose

from i2m2_med.errors import ConfigError
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.fastmri import shifts as fastmri_shifts
from i2m2_med.samples.mimic3 import shifts as mimic3
from i2m2_med.samples.physics import centred_fft, centred_ifft
from i2m2_med.samples.shifts import groups_apart, suite_for
from i2m2_med.sources import avmnist, fastmri
from i2m2_med.sources import mimic3 as mimic3_source
from i2m2_med.sources.source import Labels

SHAPE = (3, 33, 26)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.fixture
def kspace() -> torch.Tensor:
    return torch.randn(SHAPE, dtype=torch.complex64, generator=generator())


@pytest.mark.parametrize(
    "change",
    [
        fastmri_shifts.drop_coils,
        fastmri_shifts.add_noise,
        fastmri_shifts.spike,
        fastmri_shifts.move,
        fastmri_shifts.offset_phase,
        fastmri_shifts.ramp_phase,
        fastmri_shifts.bend_phase,
    ],
)
def test_shape_and_type_stay_and_the_same_seed_gives_the_same(kspace, change):
    one, other = (change(kspace, generator(), 0.75) for _ in range(2))
    assert one.shape == kspace.shape
    assert one.dtype == torch.complex64
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    "change", [fastmri_shifts.move, fastmri_shifts.offset_phase, fastmri_shifts.ramp_phase, fastmri_shifts.bend_phase]
)
def test_phase_shifts_turn_and_do_not_scale(kspace, change):
    torch.testing.assert_close(change(kspace, generator(), 1.3).abs(), kspace.abs())
    torch.testing.assert_close(change(kspace, generator(), 0.0), kspace)


def test_a_move_after_the_last_column_is_a_shifted_image():
    image = torch.zeros(1, 32, 32, dtype=torch.complex64)
    image[0, 16, 16] = 1
    turn = -2 * torch.pi * fastmri_shifts.frequencies(32)[:, None] * 3
    moved = centred_ifft(centred_fft(image) * torch.polar(torch.ones_like(turn), turn), 32, 32).abs()
    assert moved[0].argmax() == 19 * 32 + 16


def test_noise_has_the_ratio_asked_for(kspace):
    many = kspace.repeat(20, 1, 1)
    noise = fastmri_shifts.add_noise(many, generator(), 2.0) - many
    assert (kspace.abs().square().mean() / noise.abs().square().mean()).sqrt() == pytest.approx(2.0, rel=0.05)


def test_spikes_and_dead_coils_are_counted(kspace):
    assert ((fastmri_shifts.spike(kspace, generator(), 4.0) != kspace).flatten(1).sum(dim=1) <= 4).all()
    for share, alive in ((0.25, 2), (0.75, 1), (1.0, 1)):
        dropped = fastmri_shifts.drop_coils(kspace, generator(), share)
        assert (dropped.abs().sum(dim=(1, 2)) > 0).sum() == alive
    with pytest.raises(ConfigError, match="needs several coils"):
        fastmri_shifts.drop_coils(kspace[:1], generator(), 0.5)


def series() -> np.ndarray:
    rng = np.random.default_rng(0)
    made = rng.normal(size=(23, 24, 12)).astype(np.float32) + np.arange(12, dtype=np.float32)
    made[:, :, 4][rng.random(23) < 0.5] = np.nan
    made[7] = np.nan
    return made


def stays() -> Samples:
    state = {"series": {"mean": np.arange(12.0).tolist(), "std": [2.0] * 12}}
    records = pl.DataFrame(
        {"label_died": [0, 1] * 11 + [0], "group_source": ["carevue"] * 9 + ["metavision"] * 13 + [None]}
    )
    notes = np.random.default_rng(0).integers(1, 50, (23, 8, 5))
    notes[:, 6:] = 0
    static = np.ones((23, 5), dtype=np.float32)
    arrays = {"series": series(), "static": static, "notes": notes}
    return Samples(records, Labels(("died",), ("no", "yes")), ["series", "static", "notes"], arrays, state=state)


def everything(samples: Samples) -> dict[str, torch.Tensor]:
    return dict(samples.__getitems__(range(len(samples))).inputs)


@pytest.mark.parametrize("name", sorted(mimic3.SUITE.shifts))
def test_a_shift_changes_its_modality_only(name):
    samples = stays()
    before = everything(samples)
    shift = mimic3.SUITE.shifts[name]
    changed = shift.change(samples, shift.severities[-1])
    after = everything(changed)
    touched = {key for key in before if not torch.equal(before[key].nan_to_num(-99), after[key].nan_to_num(-99))}
    assert touched == {"notes" if "notes" in name else "series"}
    assert torch.equal(changed.target, samples.target)
    assert torch.equal(
        everything(samples)["series"].nan_to_num(-99), before["series"].nan_to_num(-99)
    )  # the first stay as they were
    present = changed.__getitems__(range(23)).present
    assert (~present["series"]).nonzero().flatten().tolist() == [7]


def test_sensors_dropped_leave_one_that_was_measured():
    made = mimic3.drop_sensors(series(), 0.99, np.random.default_rng(0))
    known = np.isfinite(made).any(axis=1).sum(axis=1)
    assert (known[np.arange(23) != 7] >= 1).all()
    assert known[7] == 0


def test_thinning_repeats_and_the_cut_stands_still():
    full = series()
    assert np.array_equal(mimic3.thin(full, 1.1, np.random.default_rng(0)), full, equal_nan=True)
    cut = mimic3.cut_hours(full, 8.0, np.random.default_rng(0))
    assert np.array_equal(cut[:, :16], full[:, :16], equal_nan=True)
    assert (np.nan_to_num(cut[:, 15:]) == np.nan_to_num(full[:, 15:16])).all()


def test_notes_keep_what_is_asked():
    notes = stays().arrays["notes"]
    first = mimic3.truncate_notes(notes, 0.5, np.random.default_rng(0))
    assert (first[:, :3] == notes[:, :3]).all()
    assert (first[:, 3:] == 0).all()
    gone = mimic3.remove_section(notes, 0.5, np.random.default_rng(0))
    assert ((gone != 0).any(axis=2).sum(axis=1) == 3).all()


def test_unit_errors_turn_degrees():
    made = mimic3.mistake_units(np.full((4, 24, 12), 37.0), 1.1, np.random.default_rng(0))
    assert made[:, :, 3] == pytest.approx(98.6)
    with pytest.raises(ConfigError, match="12 channels"):
        mimic3.mistake_units(np.ones((4, 24, 17)), 1.0, np.random.default_rng(0))


class LoadSliced:
    """As in a config: a record's k-space."""

    def __call__(self, record: dict) -> dict:
        kspace = torch.randn(SHAPE, dtype=torch.complex64, generator=torch.Generator().manual_seed(record["item"]))
        return {**record, "kspace": kspace}


class Magnitude:
    def __call__(self, record: dict) -> dict:
        return {"magnitude": record["kspace"].abs()}


def slices(cache: bool) -> Samples:
    records = pl.DataFrame({"item": range(5), "_data": ["a.h5"] * 2 + ["b.h5"] * 3, "label_acl": [0, 1, 0, 1, 1]})
    return Samples(
        records.with_columns(group_acquisition=pl.Series(["PD", "PD", "PDFS", "PDFS", "PDFS"])),
        Labels(("acl",), ("no", "yes")),
        ["magnitude"],
        transform=Compose([LoadSliced(), Magnitude()]),
        cache=cache,
    )


def test_what_is_kept_in_memory_is_not_taken_for_shifted_or_for_other_rows():
    kept, plain = slices(cache=True), slices(cache=False)
    for _ in range(2):  # the second time from memory
        whole = everything(kept)["magnitude"]
        torch.testing.assert_close(whole, everything(plain)["magnitude"])
        for name in ("noise", "spikes", "coil_drop"):
            shift = fastmri_shifts.SUITE.shifts[name]
            for severity in shift.severities:
                ours, theirs = (everything(shift.change(one, severity))["magnitude"] for one in (kept, plain))
                torch.testing.assert_close(ours, theirs)
                assert not torch.equal(ours, whole)
        for name, part in groups_apart(kept, "group_acquisition").items():
            rows = slice(0, 2) if name == "only PD" else slice(2, 5)
            torch.testing.assert_close(everything(part)["magnitude"], whole[rows])


def test_sources_are_evaluated_apart():
    apart = groups_apart(stays(), "group_source")
    assert {name: len(part) for name, part in apart.items()} == {"only carevue": 9, "only metavision": 13}
    assert torch.equal(everything(apart["only metavision"])["notes"], everything(stays())["notes"][9:22])
    assert groups_apart(stays().take(np.arange(5)), "group_source") == {}


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("fastmri", mimic3_source, "not for data of 'mimic3'; choose from mimic3"),
        ("fastmri", avmnist, "there are no shifts for data of 'avmnist'"),
        ("fastmr", fastmri, "did you mean 'fastmri'"),
        ("fastmri.noize", fastmri, "did you mean 'noise'"),
    ],
)
def test_the_wrong_suite_is_one_line(name, source, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        suite_for(name, source.Source(source.Settings(root=".")))
    assert "\n" not in str(caught.value)


def test_a_shift_that_the_run_does_not_read_is_one_line():
    samples = stays().take(np.arange(9))
    del samples.arrays["notes"]
    shift = mimic3.SUITE.shifts["notes_truncated"]
    with pytest.raises(ConfigError, match="changes notes, which this run does not read"):
        shift.change(samples, 0.5)
