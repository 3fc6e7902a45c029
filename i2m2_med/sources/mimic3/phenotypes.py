"""The 25 phenotypes of mimic3-benchmarks: groups of ICD-9 codes (`phenotypes.csv`, one row per phenotype).

Which 25 groups: Harutyunyan et al., Multitask learning and benchmarking with clinical time series data, Scientific Data 2019,
Table 2. Which codes: Clinical Classifications Software 2015 for ICD-9-CM of the Agency for Healthcare Research and Quality
(single-level diagnoses, appendix A, revised 24 March 2016), in the public domain; `ccs` is the group's number there.
"""

from functools import lru_cache
from importlib.resources import files

import polars as pl


@lru_cache
def read_phenotypes() -> pl.DataFrame:
    """`phenotype`, `ccs` (number of the group), `title` (as the agency writes it), `codes` (list, without dots)."""
    text = files("i2m2_med.sources.mimic3").joinpath("phenotypes.csv").read_bytes()
    return pl.read_csv(text).with_columns(pl.col("codes").str.split(" "))


def names() -> tuple[str, ...]:
    """The 25 labels, in the order of the publication's table (that of their titles)."""
    return tuple(read_phenotypes()["phenotype"])


def of_admissions(codes: pl.DataFrame) -> pl.DataFrame:
    """`row` and a 0/1 column per phenotype, for each row that has a code. codes: `row`, `code` (without dots)."""
    groups = read_phenotypes().select("phenotype", code="codes").explode("code")
    hits = codes.join(groups, on="code", how="left").group_by("row").agg("phenotype")
    return hits.select("row", *(pl.col("phenotype").list.contains(name).cast(pl.Int8).alias(name) for name in names()))
