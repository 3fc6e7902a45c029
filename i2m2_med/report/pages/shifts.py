"""The page of metrics under shifts, with severity curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from i2m2_med.drawing import Figure, png
from i2m2_med.files import replace_file
from i2m2_med.report.pages.comparison import with_intervals
from i2m2_med.report.pages.data import cohort_sections, facts_of, provenance_section
from i2m2_med.report.pages.figures import COLOURS, nice
from i2m2_med.report.pages.glossary import GLOSSARY
from i2m2_med.report.pages.html import Plot, Section, render_html
from i2m2_med.report.pages.plots import band, line, square_layout
from i2m2_med.report.pages.write import with_interval
from i2m2_med.report.statistics.shifts import MODEL
from i2m2_med.report.statistics.subgroups import SUPPRESSED

HOW = (
    "Means over labels and seeds on the same patients at every severity, with intervals by patient. Step 0 is no shift. "
    "An expert's divergence from the model grows where the product leans away from it."
)


GROUPS = (
    "Training saw the groups called 'only …'; it saw nobody of what is called left out (train with `split.test_group` to leave an "
    "acquisition or a database out), nor any patient of the rest."
)


def write_shifts(
    folder: Path,
    table: pd.DataFrame,
    areas: pd.DataFrame,
    groups: pd.DataFrame,
    *,
    title: str,
    manifest: Mapping[str, Any],
    synthetic: bool,
    skipped: Sequence[str] = (),
    provenance: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Path]:
    """shifts.html, shifts.png, shifts.csv, shift_areas.csv and shift_groups.csv in `folder`; the paths by name."""
    picture = severity_curves(table, title, synthetic)
    main = areas[areas["metric"].isin(["auroc", "divergence", "coverage"])]
    sections = [
        Section("Severity curves", [HOW], notes=list(skipped), plots=severity_plots(table)),
        Section(
            "Area under the curves, and the worst",
            tables=[("AUROC, divergence, coverage", with_intervals(main))],
            folded=[("Every metric", with_intervals(areas))],
        ),
        Section(
            "One acquisition or database alone, or left out",
            [GROUPS],
            tables=[("AUROC, accuracy, NLL of the model", with_intervals(main_groups(groups)))],
            folded=[("Every metric, and each expert", with_intervals(groups))],
        )
        if len(groups)
        else Section("One acquisition or database alone, or left out"),
        Section("Every value", folded=[("By shift and severity", with_intervals(table))]),
        *cohort_sections(manifest),
        provenance_section(manifest, provenance),
        GLOSSARY,
    ]
    page = render_html(title, sections, synthetic=synthetic, answer=worst_shift(areas), facts=facts_of(manifest))
    contents = {"shifts.html": page.encode(), "shifts.png": picture}
    contents |= {
        f"{name}.csv": one.to_csv(index=False).encode()
        for name, one in (("shifts", table), ("shift_areas", areas), ("shift_groups", groups))
    }
    paths = {name: folder / name for name in contents}
    for name, content in contents.items():
        with replace_file(paths[name]) as beside:
            beside.write_bytes(content)
    return paths


def worst_shift(areas: pd.DataFrame) -> str:
    """The sentence that the page begins with: under which shift the model's AUROC changes most for the worse; empty without one."""
    if not len(areas):
        return ""
    own = areas[(areas["who"] == MODEL) & (areas["metric"] == "auroc") & (areas["what"] == "worst minus none")]
    own = own.dropna(subset="value").sort_values("value", kind="stable")
    if not len(own):
        return ""
    first = own.iloc[0]
    words = with_interval(*own[["value", "low", "high"]].astype(float).to_numpy()[0])
    others = f", the furthest down of {len(own)} shifts" if len(own) > 1 else ""
    return f"At its worst, {nice(str(first['shift']))} moves the model's AUROC by {words}{others}."


def main_groups(groups: pd.DataFrame) -> pd.DataFrame:
    """The model's own rows of `group_table`."""
    return groups[(groups["who"] == MODEL) & groups["metric"].isin(["auroc", "accuracy", "nll", SUPPRESSED])]


def severity_plots(table: pd.DataFrame) -> list[Plot]:
    """A figure per shift: AUROC against severity, the model with its band, each expert in colour."""
    table = table[table["metric"] == "auroc"]
    people = list(dict.fromkeys(table["who"]))
    colours = dict(zip([name for name in people if name != MODEL], COLOURS, strict=False)) | {MODEL: "#888888"}
    plots: list[Plot] = []
    for shift, part in table.groupby("shift", sort=False):
        traces: list[dict[str, Any]] = []
        for who, mine in part.sort_values("step").groupby("who", sort=False):
            if who == MODEL:
                traces += band(mine["step"], mine["low"], mine["high"], colours[MODEL])
            traces.append(line(mine["step"], mine["value"], nice(str(who)), colours[str(who)], marks=True))
        one = part[part["who"] == MODEL].sort_values("step")
        ticks = ["none" if pd.isna(severity) else f"{severity:g}" for severity in one["severity"]]
        layout = square_layout(str(one["unit"].iloc[0]), "AUROC")
        layout["xaxis"] |= {"range": None, "tickvals": [float(step) for step in one["step"]], "ticktext": ticks}
        layout["yaxis"] |= {"range": None}
        words = f"AUROC of the model and of each expert under {nice(str(shift))}; the values stand in the table below."
        plots.append(
            Plot(
                f"{nice(str(shift))}: AUROC against severity, band by patient",
                words,
                {"data": traces, "layout": layout},
            )
        )
    return plots


def severity_curves(table: pd.DataFrame, title: str, synthetic: bool) -> bytes:
    """One panel per shift: AUROC against severity, the model in black with its band, each expert in colour."""
    table = table[table["metric"] == "auroc"]
    shifts, people = list(dict.fromkeys(table["shift"])), list(dict.fromkeys(table["who"]))
    columns = min(4, max(1, len(shifts)))
    lines = -(-max(1, len(shifts)) // columns)
    figure = Figure(figsize=(3.0 * columns + 0.6, 2.7 * lines + 0.7), layout="constrained")
    panels = list(np.atleast_1d(figure.subplots(lines, columns, squeeze=False, sharey=True)).ravel())
    colours = dict(zip([name for name in people if name != MODEL], COLOURS, strict=False)) | {MODEL: "#000000"}
    for axes, shift in zip(panels, shifts, strict=False):
        for who in people:
            mine = table[(table["shift"] == shift) & (table["who"] == who)].sort_values("step")
            axes.plot(
                mine["step"],
                mine["value"],
                "o-",
                ms=3.5,
                lw=2 if who == MODEL else 1.2,
                color=colours[who],
                label=nice(who),
            )
            if who == MODEL:
                axes.fill_between(mine["step"], mine["low"], mine["high"], color="#000000", alpha=0.12, lw=0)
        one = table[(table["shift"] == shift) & (table["who"] == MODEL)].sort_values("step")
        ticks = ["none" if pd.isna(severity) else f"{severity:g}" for severity in one["severity"]]
        axes.set_xticks(list(one["step"]), ticks)
        axes.axhline(0.5, color="#999999", lw=1, ls=":")
        axes.set_title(nice(shift), fontsize=9)
        axes.set_xlabel(str(one["unit"].iloc[0]), fontsize=8)
        axes.grid(axis="y", color="#E5E5E5", lw=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(shifts) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel("AUROC")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=9
    )
    return png(figure, synthetic)
