"""Figures whose texts are shown as they are: a title that holds `$` is no formula, and a wrong formula ends no report."""

from matplotlib import rcParams
from matplotlib.figure import Figure

rcParams["text.parse_math"] = False
rcParams["text.usetex"] = False

__all__ = ["Figure"]
