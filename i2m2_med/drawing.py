"""Figures whose texts are shown as they are: a title that holds `$` is no formula, and a wrong formula ends no report."""

import io

from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

rcParams["text.parse_math"] = False
rcParams["text.usetex"] = False

__all__ = ["Figure", "png"]


def png(figure: Figure, synthetic: bool) -> bytes:
    """The figure as PNG at 150 dots per inch, with a watermark where the data are synthetic."""
    if synthetic:
        figure.text(
            0.5, 0.52, "synthetic data", fontsize=34, color="#000000", alpha=0.12, rotation=18, ha="center", va="center"
        )
    FigureCanvasAgg(figure)
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=150, metadata={"Software": ""})
    return held.getvalue()
