import json

import pytest

from i2m2_med.cli import main
from i2m2_med.report.statistics.planning import Assumptions, expected_widths, plan_table

PLAN = Assumptions(prevalence=0.2, auroc=0.8)


def test_more_patients_make_narrower_intervals():
    table = plan_table(PLAN, [400, 50, 100, 100])
    assert table["patients"].tolist() == [50, 100, 400]
    for name in table.columns[2:]:
        assert table[name].is_monotonic_decreasing


def test_more_seeds_make_the_difference_narrower_and_nothing_else():
    few, many = (expected_widths(Assumptions(prevalence=0.2, auroc=0.8, seeds=seeds), 300) for seeds in (2, 8))
    assert many.pop("auroc difference") < few.pop("auroc difference")
    assert many == few


def test_a_sample_without_positives_defines_nothing():
    assert all(width != width for width in expected_widths(Assumptions(prevalence=0.01, auroc=0.8), 20).values())


def test_the_verb_prints_widths_and_refuses_what_is_no_share(capsys):
    asked = ["plan-sample", "--prevalence", "0.2", "--auroc", "0.8", "--patients", "100", "300", "--json"]
    assert main(asked) == 0
    lines = json.loads(capsys.readouterr().out)["widths"]
    assert [line["patients"] for line in lines] == [100, 300]
    assert lines[0]["auroc"] == pytest.approx(0.25, abs=0.05)
    assert main(["plan-sample", "--prevalence", "20", "--auroc", "0.8"]) == 1
    assert main(["plan-sample", "--prevalence", "0.2", "--auroc", "0.8", "--patients", "1"]) == 1
