"""ICD-10 codes beside ICD-9 ones (MIMIC-IV has both): the paper's groups and comorbidities by ranges of codes.

A group is a range of ICD-9 categories, most of them chapters; in ICD-10 it is the chapter (or part of one) of the same name:

| group | ICD-9 | ICD-10 | | group | ICD-9 | ICD-10 |
|---|---|---|---|---|---|---|
| 0 infectious | 001–139 | A00–B99 | | 11 skin | 680–709 | L00–L99 |
| 1 neoplasms | 140–239 | C00–D49 | | 12 musculoskeletal | 710–739 | M00–M99 |
| 2 endocrine | 240–279 | E00–E89 | | 13 congenital | 740–759 | Q00–Q99 |
| 3 blood | 280–289 | D50–D89 | | 14 perinatal | 760–779 | P00–P96 |
| 4 mental | 290–319 | F01–F99 | | 15 symptoms | 780–789 | R00–R69 |
| 5 nervous system, senses | 320–389 | G00–H95 | | 16 abnormal findings | 790–796 | R70–R94 |
| 6 circulatory | 390–459 | I00–I99 | | 17 ill-defined | 797–799 | R95–R99 |
| 7 respiratory | 460–519 | J00–J99 | | 18 injury, poisoning | 800–999 | S00–T88 |
| 8 digestive | 520–579 | K00–K95 | | 19 other reasons | V | Z00–Z99 |
| 9 genitourinary | 580–629 | N00–N99 | | 20 external causes | E | V00–Y99 |
| 10 pregnancy | 630–677 | O00–O9A | | | | |

Codes moved between chapters with ICD-10, so the groups are not the same to the code. Held against the General Equivalence Mappings,
of group 1's 806 ICD-9 codes 803 have a counterpart in C00–D49 (neurofibromatosis became Q85), and 1,606 of the 1,612 ICD-10 codes there
one in 140–239 (monoclonal gammopathy D47.2, macroglobulinaemia C88.0 and three anaemias D46/D47 came in; polyps of stomach and colon,
211.1 and 211.3, may be coded K31.7 and K63.5 now). Of group 7's 210 ICD-9 codes 203 have one in J00–J99 (legionellosis, aspergillosis and pneumonia in
other infections went to A and B, pleurisy without effusion may be R09.1), and 298 of the 324 there one in 460–519 (what procedures
did to the lung, J95, was 997–998; malignant effusion J91.0 was 197.2; streptococcal sore throat was 034.0). U07.1 (COVID-19) and
all of U00–U85 have no ICD-9 counterpart and are of no group.
"""

import polars as pl

GROUPS = (
    ("A00", "B99", 0), ("C00", "D49", 1), ("E00", "E89", 2), ("D50", "D89", 3), ("F01", "F99", 4), ("G00", "H95", 5),
    ("I00", "I99", 6), ("J00", "J99", 7), ("K00", "K95", 8), ("N00", "N99", 9), ("O00", "O9A", 10), ("L00", "L99", 11),
    ("M00", "M99", 12), ("Q00", "Q99", 13), ("P00", "P96", 14), ("R00", "R69", 15), ("R70", "R94", 16), ("R95", "R99", 17),
    ("S00", "T88", 18), ("Z00", "Z99", 19), ("V00", "Y99", 20),
)  # fmt: skip
"""First and last category (three signs) of each group's ICD-10 codes, and the group's number."""
COMORBIDITIES: dict[str, tuple[tuple[str, str], ...]] = {
    "aids": (("B20", "B22"), ("B24", "B24")),
    "hematologic_malignancy": (("C81", "C96"),),
    "metastatic_cancer": (("C77", "C79"), ("C800", "C800")),
}
"""Ranges of the first three (or four) signs, both ends in, as mimic-code's SAPS II has them (mimic-iv/concepts/score/sapsii.sql)."""


def code() -> pl.Expr:
    """ICD10_CODE in capitals, without blanks and dots."""
    return pl.col("ICD10_CODE").str.strip_chars().str.to_uppercase().str.replace(".", "", literal=True)


def group_of(code: pl.Expr) -> pl.Expr:
    """The group of an ICD-10 code, null for one of no group (U) and for what is no code."""
    category = code.str.head(3)
    group = pl.lit(None, pl.Int32)
    for first, last, number in GROUPS:
        group = pl.when((category >= first) & (category <= last)).then(number).otherwise(group)
    return group


def is_comorbid(code: pl.Expr, name: str) -> pl.Expr:
    """Whether a code is one of a comorbidity's."""
    ranges = COMORBIDITIES[name]
    return pl.any_horizontal(
        (code.str.head(len(low)) >= low) & (code.str.head(len(low)) <= high) for low, high in ranges
    )
