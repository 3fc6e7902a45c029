"""What training took: means over seeds, and nothing where runs don't say."""

import pandas as pd

from i2m2_med.report.pages.cost import COLUMNS, cost_sections, cost_table

COSTS = {
    ("inter", 0): {"parameters": 1_234_567, "epochs": 4, "seconds": 10.0},
    ("inter", 1): {"parameters": 1_234_567, "epochs": 6, "seconds": 20.0},
    ("stacked", 0): {"parameters": 10, "epochs": 0, "seconds": 1.0},
    ("older", 0): {},
}


def test_one_line_per_paradigm_with_means_over_seeds() -> None:
    table = cost_table(COSTS)
    assert list(table) == COLUMNS
    assert table.iloc[0].tolist() == ["inter", 1_234_567, 5.0, 15.0, 3.0]
    assert table["paradigm"].tolist() == ["inter", "stacked"]
    assert pd.isna(table["seconds per epoch"].iloc[1])


def test_the_page_groups_digits_and_is_silent_without_costs() -> None:
    (section,) = cost_sections(COSTS)
    assert section.tables[0][1]["parameters"].tolist() == ["1,234,567", "10"]
    assert cost_sections({("older", 0): {}}) == []
