"""What each paradigm's training took: whether a comparison was fair, and what a gain costs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from i2m2_med.report.pages.html import Section
from i2m2_med.report.statistics.paired_predictions import Model

COLUMNS = ["paradigm", "parameters", "epochs", "seconds", "seconds per epoch"]
HOW = (
    "Parameters of the whole model (experts and combiner). Epochs and seconds of training, validation included, over all stages and "
    "learning rates that were tried, as means over seeds: an expert that several paradigms share was trained once and counts in each. "
    "Seconds are by the clock of the machine that trained, and whatever else ran on it."
)


def cost_table(costs: Mapping[Model, Mapping[str, int | float]]) -> pd.DataFrame:
    """One line per paradigm, means over its seeds; without those whose runs don't say."""
    known = {model: cost for model, cost in costs.items() if cost}
    rows: list[dict[str, object]] = []
    for paradigm in dict.fromkeys(paradigm for paradigm, _ in known):
        own = [cost for (name, _), cost in known.items() if name == paradigm]
        epochs, seconds = (float(np.mean([cost[name] for cost in own])) for name in ("epochs", "seconds"))
        each = seconds / epochs if epochs else float("nan")
        rows.append(dict(zip(COLUMNS, (paradigm, int(own[0]["parameters"]), epochs, seconds, each), strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def cost_sections(costs: Mapping[Model, Mapping[str, int | float]]) -> list[Section]:
    """The section, or nothing where no run says what it cost."""
    table = cost_table(costs)
    forms = {"parameters": "{:,}", "epochs": "{:.4g}", "seconds": "{:.1f}", "seconds per epoch": "{:.2f}"}
    shown = table.assign(**{name: table[name].map(form.format) for name, form in forms.items()})
    return [Section("What training took", [HOW], tables=[("By paradigm", shown)])] if len(table) else []
