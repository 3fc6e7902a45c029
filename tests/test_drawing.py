"""Texts in figures are shown as they are."""

import io

from i2m2_med.drawing import Figure


def test_a_title_with_a_wrong_formula_is_drawn() -> None:
    figure = Figure()
    figure.suptitle(r"knee $\foo$ $")
    axes = figure.subplots()
    axes.set_title(r"$\frac{$")
    axes.plot([0, 1], label=r"$\bar$")
    figure.legend()
    figure.savefig(io.BytesIO(), format="png")
