"""The parts of a report's figures, as Plotly's plain data that the reader's browser draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from i2m2_med.report.pages.html import Plot, number

FEW_POINTS = 200
"""A curve is thinned to so many points: more can't be seen."""
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
Traces = list[dict[str, Any]]


def points(ends: np.ndarray, names: Sequence[str], *, colour: str, text: Sequence[str], name: str) -> dict[str, Any]:
    """Values with intervals, one below the other. ends: (row, 3), value, low, high."""
    value, low, high = np.nan_to_num(ends.T, nan=0.0)
    there = np.isfinite(ends).all(axis=1)
    shown = [float(each) if known else None for each, known in zip(value, np.isfinite(ends[:, 0]), strict=True)]
    reach = {"type": "data", "symmetric": False, "thickness": 1.6, "width": 4, "color": colour}
    error = reach | {
        "array": np.where(there, high - value, 0).tolist(),
        "arrayminus": np.where(there, value - low, 0).tolist(),
    }
    return {
        "type": "scatter", "mode": "markers", "x": shown, "y": list(names), "error_x": error, "text": list(text), "name": name,
        "marker": {"size": 9, "color": colour}, "hovertemplate": "%{y}: %{text}<extra></extra>",
    }  # fmt: skip


def line(
    x: Any, y: Any, name: str, colour: str, *, dash: str = "solid", marks: bool = False, width: float = 2
) -> dict[str, Any]:
    """A curve."""
    return {
        "type": "scatter", "mode": "lines+markers" if marks else "lines", "x": floats(x), "y": floats(y), "name": name,
        "line": {"color": colour, "width": width, "dash": dash}, "marker": {"size": 6},
    }  # fmt: skip


def band(x: Any, low: Any, high: Any, colour: str) -> Traces:
    """The area between two curves."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    filled = {"fill": "tonexty", "fillcolor": f"rgba({red},{green},{blue},0.15)"}
    return [edge | {"x": floats(x), "y": floats(low)}, edge | {"x": floats(x), "y": floats(high)} | filled]


def floats(numbers: Any) -> list[float | None]:
    """Plain numbers, None where undefined: JSON knows no NaN."""
    return [round(float(each), 6) if np.isfinite(each) else None for each in np.asarray(numbers, dtype=np.float64)]


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most FEW_POINTS of a curve's points, its ends among them."""
    at = np.unique(np.linspace(0, len(x) - 1, FEW_POINTS).astype(int))
    return x[at], y[at]


def upright(x: float) -> dict[str, Any]:
    """A dotted line from bottom to top."""
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "#888", "width": 1, "dash": "dot"},
    }


def rows_layout(names: Sequence[str], *, zero: bool = False) -> dict[str, Any]:
    """The layout of values one below the other, the first on top; the caption above says what the axis is."""
    longest = max(map(len, names), default=0)
    return {
        "height": 60 + 30 * len(names),
        "margin": {"l": min(190, 24 + 7 * longest), "r": 16, "t": 8, "b": 36},
        "showlegend": False,
        "xaxis": {"zeroline": zero, "zerolinewidth": 2},
        "yaxis": {"autorange": "reversed", "type": "category", "fixedrange": True},
    }


def square_layout(x: str, y: str) -> dict[str, Any]:
    """The layout of a curve with its legend below."""
    return {
        "height": 380,
        "margin": {"l": 56, "r": 12, "t": 8, "b": 48},
        "legend": {"orientation": "h", "y": -0.22, "x": 0},
        "xaxis": {"title": {"text": x}, "zeroline": False, "range": [0, 1]},
        "yaxis": {"title": {"text": y}, "zeroline": True, "range": [0, 1.005]},
    }


def amounts(table: Mapping[str, Sequence[float]], title: str, labels: Sequence[str]) -> Plot:
    """Stacked bars, one per label: amounts by kind (own, repeated, between), which may be negative."""
    traces = [
        {
            "type": "bar", "orientation": "h", "name": kind, "y": list(labels), "x": floats(each),
            "marker": {"color": PALETTE[at % len(PALETTE)]}, "hovertemplate": f"%{{y}}, {kind}: %{{x:.3f}}<extra></extra>",
        }
        for at, (kind, each) in enumerate(table.items())
    ]  # fmt: skip
    said = "; ".join(
        f"{label}: " + ", ".join(f"{kind} {number(float(each[at]))}" for kind, each in table.items())
        for at, label in enumerate(labels)
    )
    layout = rows_layout(labels, zero=True)
    layout |= {
        "barmode": "relative",
        "showlegend": True,
        "legend": {"orientation": "h", "y": -0.35},
        "height": 150 + 44 * len(labels),
    }
    return Plot(title, said, {"data": traces, "layout": layout}, wide=True)
