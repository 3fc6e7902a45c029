"""A report says for which patterns of modalities its probabilities were calibrated."""

import pandas as pd

from i2m2_med.report.run_report import calibration_facts


def test_every_pattern_says_what_happened_to_it() -> None:
    one = pd.DataFrame({"pattern": ["a+b", "a+b", "a"], "calibrated": [True, True, False]})
    other = pd.DataFrame({"pattern": ["a", "b", "b"], "calibrated": [False, True, False]})
    assert calibration_facts({("i2m2", 0): one, ("i2m2", 1): other}) == {
        "Calibrated on samples of the same modalities": "a no, a+b yes, b in part"
    }
    assert calibration_facts({}) == {}
