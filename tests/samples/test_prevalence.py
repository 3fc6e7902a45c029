"""Prevalences count slices, volumes and patients apart, and leave unknown labels out."""

import polars as pl

from i2m2_med.samples.prevalence import prevalences


def test_prevalences() -> None:
    records = pl.DataFrame(
        {
            "split": ["train"] * 4 + ["test"] * 2,
            "patient": list("aaabcc"),
            "study": list("112344"),
            "label_acl": [1, 0, 0, -1, 1, 1],
        }
    )
    train, test = prevalences(records, ["acl"])
    assert (train["split"], train["samples"]) == ("train", {"with": 1, "of": 3, "share": 0.3333})
    assert train["studies"] == {"with": 1, "of": 2, "share": 0.5}
    assert train["patients"] == {"with": 1, "of": 1, "share": 1.0}
    assert test["samples"]["share"] == 1.0


def test_a_split_of_unknowns_has_no_share() -> None:
    records = pl.DataFrame({"split": ["test"], "patient": ["a"], "study": ["1"], "label_acl": [-1]})
    assert prevalences(records, ["acl"])[0]["samples"] == {"with": 0, "of": 0, "share": None}
