"""Figures of evidence: forest of differences, values, reliability, ROC and precision–recall curves, decision curves."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from i2m2_med.report.pages.figures import CHANCE, TREAT_ALL, Ideal, nice, paradigm_colours
from i2m2_med.report.pages.html import Plot
from i2m2_med.report.pages.plots import Traces, band, line, points, rows_layout, square_layout, thinned, upright
from i2m2_med.report.pages.write import with_interval
from i2m2_med.report.statistics.metrics import LOWER_IS_BETTER
from i2m2_med.report.statistics.paired_predictions import PairedPredictions


def forest(table: pd.DataFrame, reference: str, metric: str, label: str, *, wide: bool = False) -> Plot:
    """The reference minus each other paradigm with its interval, and the line of no difference.

    table: rows of `Comparison.paired` of one metric and label.
    """
    rivals = [nice(name) for name in table["paradigm"]]
    ends = table[["difference", "low", "high"]].astype(float).to_numpy()
    text = [with_interval(*row) for row in ends]
    trace = points(ends, rivals, colour="#0072B2", text=text, name="difference")
    better = "lower" if metric in LOWER_IS_BETTER else "higher"
    said = "; ".join(f"{name} {words}" for name, words in zip(rivals, text, strict=True))
    return Plot(
        f"{label}: {nice(metric)} of {nice(reference)} minus that of the other ({better} is better), 95 % intervals",
        f"Differences of {nice(metric)} for {label}, {nice(reference)} minus: {said}",
        {"data": [trace], "layout": rows_layout(rivals, zero=True)},
        wide=wide,
    )


def values(
    table: pd.DataFrame, metric: str, label: str, title: str, ideal: Ideal | None = None, *, wide: bool = False
) -> Plot:
    """Each paradigm's value with its interval; a black tick is what an ideal observer reaches.

    table: one row per paradigm (`wide_rows`), of one metric and label.
    """
    paradigms = [str(name) for name in table["paradigm"]]
    ends = table[["value", "low", "high"]].astype(float).to_numpy()
    colours, text = paradigm_colours(paradigms), [with_interval(*row) for row in ends]
    names = [nice(name) for name in paradigms]
    traces = [
        points(ends[at : at + 1], names[at : at + 1], colour=colours[name], text=text[at : at + 1], name=names[at])
        for at, name in enumerate(paradigms)
    ]
    best = {nice(name): ideal[name][label] for name in paradigms if ideal and label in ideal.get(name, {})}
    if best:
        mark = {"symbol": "line-ns-open", "size": 18, "line": {"width": 3, "color": "#888"}, "color": "#888"}
        named = {"name": "ideal observer", "hovertemplate": "ideal observer %{x:.3f}<extra></extra>"}
        traces.append(
            {"type": "scatter", "mode": "markers", "x": list(best.values()), "y": list(best), "marker": mark, **named}
        )
    said = "; ".join(f"{name} {words}" for name, words in zip(names, text, strict=True))
    beside = " Grey ticks: what an ideal observer of these simulated data reaches." if best else ""
    layout = rows_layout(names)
    if metric in CHANCE:
        layout["shapes"] = [upright(CHANCE[metric])]
    return Plot(
        f"{title}: {nice(metric)}, 95 % intervals by patient.{beside}",
        f"{nice(metric)}, {title}: {said}",
        {"data": traces, "layout": layout},
        wide=wide,
    )


def reliability(table: pd.DataFrame) -> list[Plot]:
    """A figure per label: observed share against probability, the bands shaded. table: as of `reliability_table`, of one seed."""
    plots: list[Plot] = []
    for label, part in table.groupby("label", sort=False):
        traces: Traces = [line([0, 1], [0, 1], "perfect", "#999999", dash="dot")]
        for paradigm, mine in part.groupby("paradigm", sort=False):
            colour = paradigm_colours([str(name) for name in dict.fromkeys(part["paradigm"])])[str(paradigm)]
            traces += band(mine["confidence"], mine["low"], mine["high"], colour)
            traces.append(line(mine["confidence"], mine["observed"], nice(str(paradigm)), colour, marks=True))
        layout = square_layout("probability given", "share that came true")
        words = "Share of samples in which the label was true against the probability that was given, in ten bins."
        plots.append(Plot(f"{label}: reliability, 95 % bands by patient", words, {"data": traces, "layout": layout}))
    return plots


def decisions(table: pd.DataFrame) -> list[Plot]:
    """A figure per label: net benefit against the threshold. table: as of `calibration.decision_curve`."""
    plots: list[Plot] = []
    for label, part in table.groupby("label", sort=False):
        named = [str(name) for name in dict.fromkeys(part["paradigm"])]
        colours = paradigm_colours([name for name in named if name != TREAT_ALL]) | {TREAT_ALL: "#888888"}
        traces = [
            line(
                mine["threshold"],
                mine["value"],
                nice(str(name)),
                colours[str(name)],
                dash="dash" if name == TREAT_ALL else "solid",
            )
            for name, mine in part.groupby("paradigm", sort=False)
        ]
        top = float(np.nanmax([0.02, *part["value"]]))
        layout = square_layout("threshold on the probability", "net benefit")
        layout["yaxis"]["range"] = [-0.15 * top, 1.1 * top]
        words = "Net benefit of deciding by the probability, against treating all (dashed) or none (zero)."
        plots.append(Plot(f"{label}: decision curve", words, {"data": traces, "layout": layout}))
    return plots


def discrimination(judged: PairedPredictions) -> tuple[list[Plot], list[Plot]]:
    """ROC and precision–recall curves, a figure per label of two classes; first seed of each paradigm of the cohort."""
    rocs: list[Plot] = []
    recalls: list[Plot] = []
    if len(judged.first.classes) != 2:
        return rocs, recalls
    colours = paradigm_colours(judged.paradigms)
    for at, label in enumerate(judged.first.labels):
        roc: Traces = [line([0, 1], [0, 1], "chance", "#999999", dash="dot")]
        recall: Traces = []
        for paradigm in judged.paradigms:
            one = judged.of_paradigm(paradigm)[0]
            known = one.target[:, at] >= 0
            positive, p = one.target[known, at] == 1, one.p[known, at, 1]
            if positive.all() or not positive.any():
                continue
            false, true, _ = roc_curve(positive, p)
            precision, found, _ = precision_recall_curve(positive, p)
            roc.append(line(*thinned(false, true), nice(paradigm), colours[paradigm]))
            recall.append(line(*thinned(found, precision), nice(paradigm), colours[paradigm]))
        if recall:
            share = float(np.mean(judged.first.target[judged.first.target[:, at] >= 0, at] == 1))
            recall.append(line([0, 1], [share, share], "prevalence", "#999999", dash="dot"))
            shape = square_layout("1 − specificity", "sensitivity")
            rocs.append(
                Plot(
                    f"{label}: ROC",
                    f"ROC curves for {label}; their areas stand in the tables.",
                    {"data": roc, "layout": shape},
                )
            )
            shape = square_layout("sensitivity (recall)", "precision")
            recalls.append(
                Plot(
                    f"{label}: precision and recall",
                    f"Precision–recall curves for {label}.",
                    {"data": recall, "layout": shape},
                )
            )
    return rocs, recalls
