"""The report's section on studies that are right only as a whole."""

from collections.abc import Mapping

import pandas as pd

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.report.pages.html import Section
from i2m2_med.report.statistics.consistency import consistency_table
from i2m2_med.report.statistics.paired_predictions import Model, pair_predictions


def consistency_sections(
    evaluation: Evaluation, tables: Mapping[Model, pd.DataFrame], split: str
) -> tuple[Section, ...]:
    """Return how the items of a study are decided together, where `evaluation.consistency` asks for it; or nothing."""
    if not evaluation.consistency:
        return ()
    judged = pair_predictions(tables).of(split)
    table = consistency_table(judged.take(judged.common))
    text = [
        "The share of studies all of whose items are decided right; intervals by patient. Alike, right or wrong, are those of several items "
        "with one answer; accuracies of kinds of items are of studies that hold several kinds."
    ]
    return (Section("Consistency", text, tables=[("Studies of several items", table)]),)
