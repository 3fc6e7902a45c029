"""A setting that came later leaves the fingerprints of data prepared before it as they were."""

from i2m2_med.config.run import Split
from i2m2_med.config.settings import Settings


class Before(Settings):
    kept: int = 3


class After(Before):
    came_later = ("added",)
    added: str = "none"


def test_a_later_setting_counts_only_where_it_is_used():
    assert After().fingerprinted() == Before().fingerprinted() == {"kept": 3}
    assert After(added="some").fingerprinted() == {"kept": 3, "added": "some"}


def test_a_group_that_is_left_out_counts():
    assert "test_group" not in Split().fingerprinted()
    assert Split(test_group={"site": "A"}).fingerprinted()["test_group"] == {"site": "A"}
