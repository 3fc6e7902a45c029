"""What training saw is inside its own envelope; what lies further off than a bound allows is named, without its value."""

import numpy as np
import polars as pl
import pytest

from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.envelope import fit_envelope, outside
from i2m2_med.sources.source import Bound, Kind, Labels

BOUNDS = {"_dose": Bound(("dose",), 2.0), "_grid": Bound(("rows", "columns"), 1.0)}


def samples(dose: float = 4.0, grid: tuple[int, int] = (7, 5), rms: float = 1.0) -> Samples:
    records = pl.DataFrame(
        {"label_ill": [0, 1, 0], "_dose": [dose] * 3, "_grid": [list(grid)] * 3, "_secret": [9.0] * 3}
    )
    image = np.full((3, 2, 4), rms, np.float32)
    return Samples(records, Labels(("ill",), ("no", "yes")), ["image"], {"image": image})


def warnings(seen: Samples, new: Samples) -> list[str]:
    batch, rows = new.__getitems__(range(len(new))), new.records.to_dicts()
    return outside(fit_envelope(seen, BOUNDS), batch, rows, BOUNDS)


def test_what_was_seen_is_inside():
    assert warnings(samples(), samples()) == []


@pytest.mark.parametrize(("dose", "far"), [(8.0, False), (2.0, False), (8.1, True), (1.9, True)])
def test_a_bound_leaves_its_slack_on_both_sides(dose, far):
    assert warnings(samples(), samples(dose=dose)) == ["record: dose outside what the model saw"] * far


def test_each_number_of_a_column_has_its_own_name():
    assert warnings(samples(), samples(grid=(7, 6))) == ["record: columns outside what the model saw"]
    assert warnings(samples(), samples(grid=(6, 5))) == ["record: rows outside what the model saw"]


def test_a_tensor_of_another_scale_is_named():
    assert warnings(samples(), samples(rms=2.9)) == []
    assert warnings(samples(), samples(rms=3.1)) == ["image: scale outside what the model saw"]


def test_columns_without_a_bound_are_not_measured():
    assert set(fit_envelope(samples(), BOUNDS)["record"]) == {"_dose 0", "_grid 0", "_grid 1"}
    assert "record" not in fit_envelope(samples(), {})


KINDS = {"group_scanner": Kind("scanner"), "_lines": Kind("k-space with", plain=True)}


def worded(scanner: str | None, lines: str | None = None, dose: float | None = 4.0) -> Samples:
    records = pl.DataFrame(
        {"label_ill": [0, 1], "_dose": [dose] * 2, "group_scanner": [scanner] * 2, "_lines": [lines] * 2},
        schema_overrides={"group_scanner": pl.String, "_lines": pl.String, "_dose": pl.Float64},
    )
    return Samples(records, Labels(("ill",), ("no", "yes")), ["image"], {"image": np.ones((2, 4), np.float32)})


def warned(seen: Samples, new: Samples) -> list[str]:
    batch, rows = new.__getitems__(range(len(new))), new.records.to_dicts()
    return outside(fit_envelope(seen, BOUNDS, KINDS), batch, rows, BOUNDS, KINDS)


def test_a_word_that_training_never_saw_is_warned_of_without_it():
    assert warned(worded("Avanto"), worded("Avanto")) == []
    assert warned(worded("Avanto"), worded("Prisma")) == ["record: scanner was never seen in training"]


def test_plain_words_are_said():
    assert warned(worded("A", "all lines"), worded("A", "gaps")) == [
        "record: k-space with gaps was never seen in training"
    ]


def test_what_a_study_does_not_say_or_training_never_knew_is_passed_over():
    assert warned(worded("Avanto"), worded(None)) == []
    assert warned(worded(None), worded("Prisma")) == []


def test_a_number_that_training_always_had_and_a_study_lacks_is_warned_of():
    assert warned(worded("A"), worded("A", dose=None)) == ["record: dose is not known"]


def test_words_of_files_do_not_travel_with_a_model():
    assert "Avanto" not in str(fit_envelope(worded("Avanto"), BOUNDS, KINDS))


def test_an_older_models_envelope_still_serves():
    new = worded("Prisma", "gaps")
    envelope = fit_envelope(worded("Avanto"), BOUNDS)
    assert outside(envelope, new.__getitems__([0, 1]), new.records.to_dicts(), BOUNDS, KINDS) == []
