"""Parts of a work are done beside each other where they do not overlap, and not otherwise."""

from pathlib import Path

import pytest

from i2m2_med.errors import UserError
from i2m2_med.parts import WHOLE, Part, hold_folder


@pytest.mark.parametrize("other", [WHOLE, Part(0, 3), Part(1, 2)])
def test_what_overlaps_a_part_waits_for_it(other: Part, tmp_path: Path) -> None:
    for first, second in ((Part(1, 2), other), (other, Part(1, 2))):
        with hold_folder(tmp_path / "run", first):
            with pytest.raises(UserError, match="in use by another run"), hold_folder(tmp_path / "run", second):
                pass
            with hold_folder(tmp_path / "another run", second):
                pass
        with hold_folder(tmp_path / "run", second):
            pass


def test_parts_of_one_number_are_done_beside_each_other(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "run", Part(0, 3)), hold_folder(tmp_path / "run", Part(2, 3)):
        pass
