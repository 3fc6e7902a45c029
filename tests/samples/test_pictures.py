"""Pictures: a bar as long as it says, letters on the patient's sides, axes of one size whatever the image's shape."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from i2m2_med.samples.pictures import Panel, Place, _grid, draw_grid, draw_image, draw_rows

IMAGE = np.random.default_rng(0).random((60, 40))


def drawn(place: Place):
    figure = Figure()
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    draw_image(axis, IMAGE, place, cmap="gray")
    return axis


@pytest.mark.parametrize(("pixel", "bar"), [(0.5, 5), (1.0, 10), (4.0, 50), (0.01, None)])
def test_the_bar_is_as_long_as_it_says(pixel: float, bar: int | None) -> None:
    axis = drawn(Place((2 * pixel, pixel)))
    assert axis.get_aspect() == 2
    if bar is None:
        assert not axis.lines
        return
    (line,) = axis.lines
    share = np.ptp(line.get_xdata())
    assert share * 40 * pixel == pytest.approx(bar)
    assert axis.texts[0].get_text() == f"{bar} mm"


def test_nothing_is_said_that_is_not_known() -> None:
    axis = drawn(Place())
    assert not axis.lines
    assert not axis.texts
    assert str(Place()) == "pixel size not known, orientation nominal"


@pytest.mark.parametrize(
    ("toward", "top"), [(("L", "S"), "S"), (("L", "I"), "S"), (("P", "S"), "S"), (("R", "A"), "A")]
)
def test_letters_stand_on_their_sides(toward: tuple[str, str], top: str) -> None:
    axis = drawn(Place(None, toward))
    found = {text.get_text(): text.get_position() for text in axis.texts}
    assert found[toward[0]][0] > 0.9
    assert found[top][1] > 0.9
    assert len(found) == 4
    first_row_is_at_the_bottom = axis.get_ylim()[0] < axis.get_ylim()[1]
    assert first_row_is_at_the_bottom == (toward[1] == top)


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (200, 20)])
def test_rows_of_axes_align(shape: tuple[int, int]) -> None:
    figure, axes, _ = _grid(np.ones(shape), Place(), 2, 3)
    for row in axes:
        for axis in row:
            draw_image(axis, np.ones(shape), Place(), cmap="gray")
    figure.draw_without_rendering()
    boxes = [[axis.get_position() for axis in row] for row in axes]
    for above, below in zip(*boxes, strict=True):
        assert (above.x0, above.width, above.height) == pytest.approx((below.x0, below.width, below.height), abs=1e-6)


def test_files_are_written(tmp_path: Path) -> None:
    panel = Panel("slice 0", IMAGE, IMAGE, [(3.0, 4.0, 5.0, 6.0, "here")], Place((0.5, 0.5), ("L", "S")))
    draw_grid([panel, panel], tmp_path / "a.png", "title")
    draw_rows(
        [("magnitude", np.stack([IMAGE] * 2)), ("flat", np.zeros((2, 60, 40)))],
        [0, 3],
        tmp_path / "b.png",
        "t",
        Place(),
    )
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_what_was_not_acquired_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that no panel has takes no row; one that some panels lack is said to be missing there."""
    drawn: list[str] = []
    monkeypatch.setattr("i2m2_med.samples.pictures.draw_image", lambda *_, cmap, **__: drawn.append(str(cmap)))
    alone, both = Panel("slice 0", IMAGE, IMAGE, parts=("magnitude",)), Panel("slice 1", IMAGE, IMAGE)
    draw_grid([alone, alone], tmp_path / "a.png", "t")
    assert drawn == ["gray", "gray"]
    draw_grid([alone, both], tmp_path / "b.png", "t")
    assert len(drawn) == 5
