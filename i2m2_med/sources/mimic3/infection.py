"""Suspected infection: antibiotics and cultures close to each other (Seymour et al., JAMA 2016; mimic-code's suspicion_of_infection).

An antibiotic within 72 h after a culture: infection is suspected since the culture. A culture within 24 h after an antibiotic: since
the antibiotic. MIMIC-III dates antibiotics by day, and some cultures: such pairs are held together by days (0 to 3 after the culture,
0 or 1 before it), and an antibiotic counts from the day's beginning.
"""

import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.sources.mimic3.ingest import Ingested

STEMS = (
    *(
        "cillin",
        "cef",
        "ceph",
        "penem",
        "mycin",
        "micin",
        "floxacin",
        "cycline",
        "sulfameth",
        "trimethoprim",
        "nidazole",
    ),
    *("linezolid", "aztreonam", "bactam", "clavul", "amikacin", "rifamp", "chloramphenicol", "colisti", "polymyxin"),
    *(
        "pristin",
        "nitrofur",
        "zosyn",
        "unasyn",
        "augmentin",
        "bactrim",
        "septra",
        "flagyl",
        "levaquin",
        "cipro",
        "zyvox",
    ),
)
"""Parts of the names of antibiotics, after mimic-code's list of drugs; antifungals are not among them."""
NO_ANTIBIOTICS = ("bleomycin", "mitomycin", "dactinomycin", "plicamycin")
LOCAL_FORMS = ("cream", "desensitization", "ophth", "opht.", "gel", "otic", "enema")
LOCAL_ROUTES = ("OU", "OS", "OD", "AU", "AS", "AD", "TP")


def antibiotics(prescriptions: Ingested) -> pl.DataFrame:
    """SUBJECT_ID, HADM_ID, `given` (time), `day` of every prescription of an antibiotic that acts on the whole body."""
    drug = pl.col("DRUG").str.to_lowercase()
    route = pl.col("ROUTE").str.strip_chars().str.to_uppercase().fill_null("")
    named = pl.any_horizontal(drug.str.contains(stem, literal=True) for stem in STEMS)
    other = pl.any_horizontal(drug.str.contains(word, literal=True) for word in (*NO_ANTIBIOTICS, *LOCAL_FORMS))
    local = route.is_in(LOCAL_ROUTES) | route.str.contains("EAR|EYE")
    base = pl.col("DRUG_TYPE").str.strip_chars().str.to_uppercase() == "BASE"
    kept = prescriptions.scan().filter(named.fill_null(False) & ~other & ~local & ~base.fill_null(False))
    given = kept.select("SUBJECT_ID", "HADM_ID", given="STARTDATE", day=pl.col("STARTDATE").dt.truncate("1d"))
    return given.drop_nulls("given").unique().collect()


def cultures(microbiology: Ingested) -> pl.DataFrame:
    """SUBJECT_ID, `taken` (time, null where only the day is known), `culture_day`."""
    day = pl.coalesce(pl.col("CHARTTIME").dt.truncate("1d"), pl.col("CHARTDATE").dt.truncate("1d"))
    rows = microbiology.scan().select("SUBJECT_ID", taken="CHARTTIME", culture_day=day)
    return rows.drop_nulls("culture_day").unique().collect()


def suspicions(tables: dict[str, Ingested]) -> pl.DataFrame:
    """SUBJECT_ID, HADM_ID, `given`, `suspected` (time) of every antibiotic with a culture close to it.

    Raises SourceError where there are no antibiotics, or no cultures, of anybody.
    """
    given, taken = antibiotics(tables["PRESCRIPTIONS"]), cultures(tables["MICROBIOLOGYEVENTS"])
    for name, rows, what in (("PRESCRIPTIONS", given, "antibiotic"), ("MICROBIOLOGYEVENTS", taken, "culture")):
        if not rows.height:
            raise SourceError(
                f"{name} holds no {what} with a time: nobody's infection could be suspected; export it again"
            )
    pairs = given.join(taken, on="SUBJECT_ID")
    by_day = (pl.col("given") == pl.col("day")) | pl.col("taken").is_null()
    apart = pl.col("given") - pl.col("taken")
    days = (pl.col("day") - pl.col("culture_day")).dt.total_days()
    after = pl.when(by_day).then(days.is_between(0, 3)).otherwise((apart > HOURS_0) & (apart <= HOURS_72))
    before = pl.when(by_day).then(days == -1).otherwise((apart < HOURS_0) & (apart >= -HOURS_24))
    since = pl.when(after).then(pl.coalesce("taken", "culture_day")).when(before).then("given")
    return (
        pairs.with_columns(suspected=since)
        .drop_nulls("suspected")
        .select("SUBJECT_ID", "HADM_ID", "given", "suspected")
    )


HOURS_0, HOURS_24, HOURS_72 = (pl.duration(hours=hours) for hours in (0, 24, 72))
