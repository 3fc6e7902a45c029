"""The five static columns: age, AIDS, haematological malignancy, metastatic cancer, type of admission."""

import numpy as np
import polars as pl

from i2m2_med.sources.mimic3 import icd10
from i2m2_med.sources.mimic3.cohort import CAPPED_AGE, YEAR
from i2m2_med.sources.mimic3.icd9 import code as icd9_code
from i2m2_med.sources.mimic3.ingest import Ingested
from i2m2_med.sources.mimic3.settings import Settings

STATIC = ("age", "aids", "hematologic_malignancy", "metastatic_cancer", "admission_type")
"""Age in years (at most 90) or published days; three 0/1 flags; 0 medical, 1 scheduled surgical, 2 unscheduled surgical."""
COMORBIDITIES: dict[str, tuple[tuple[str, str], ...]] = {
    "aids": (("042  ", "0449 "),),
    "hematologic_malignancy": (
        ("20000", "20238"),
        ("20240", "20248"),
        ("20250", "20302"),
        ("20310", "20312"),
        ("20302", "20382"),
        ("20400", "20522"),
        ("20580", "20702"),
        ("20720", "20892"),
        ("2386 ", "2386 "),
        ("2733 ", "2733 "),
    ),
    "metastatic_cancer": (("1960 ", "1991 "), ("20970", "20975"), ("20979", "20979"), ("78951", "78951")),
}
"""ICD-9 code ranges, both ends in, codes padded with blanks to five (gen_17features_first24h.sql, after Elixhauser)."""
CANCER = ("hematologic_malignancy", "metastatic_cancer")


def static(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> np.ndarray:
    """(row, 5) float32, aligned with `samples`; NaN where the tables say nothing: no service of the admission, no diagnosis at all."""
    flags = comorbidities(tables, samples, settings)
    surgery = surgical(tables, samples, settings)
    columns = samples.select("row", age(settings).alias("age"), "ADMISSION_TYPE").join(
        flags.join(surgery, on="row"), on="row", maintain_order="left"
    )
    planned = pl.col("ADMISSION_TYPE").str.to_uppercase() == "ELECTIVE"
    surgical_kind = pl.when(planned).then(1).when(~planned).then(2)
    kind = pl.when(pl.col("surgical")).then(surgical_kind).when(~pl.col("surgical")).then(0)
    return (
        columns.select("age", *COMORBIDITIES, kind.alias("admission_type"))
        .cast(pl.Float64)
        .to_numpy()
        .astype(np.float32)
    )


def age(settings: Settings) -> pl.Expr:
    """Age at ICU admission: years, at most 90; or the published days, rounded to hundredths of a year and never capped."""
    if settings.age == "days":
        days = (pl.col("INTIME").dt.date() - pl.col("DOB").dt.date()).dt.total_days()
        return (days / 365.242).round(2) * 365.242
    years = (pl.col("INTIME") - pl.col("DOB")).dt.total_seconds() / 86_400 / YEAR
    return years.clip(upper_bound=CAPPED_AGE)


def codes_known(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`row`, `code`, `tenth`: the ICD-9 and ICD-10 codes that comorbidities come from: of this admission (coded after discharge: a leak), or of
    the patient's admissions that ended before this ICU stay began."""
    read = tables["DIAGNOSES_ICD"].scan().select("HADM_ID", code=icd9_code(), tenth=icd10.code())
    codes = read.filter(pl.any_horizontal(pl.col("code", "tenth").is_not_null()))
    if settings.comorbidities == "this_admission":
        return samples.lazy().select("row", "HADM_ID").join(codes, on="HADM_ID").drop("HADM_ID").collect()
    past = tables["ADMISSIONS"].scan().select("SUBJECT_ID", "HADM_ID", ended="DISCHTIME")
    of_patient = samples.lazy().select("row", "SUBJECT_ID", "INTIME").join(past, on="SUBJECT_ID")
    earlier = of_patient.filter(pl.col("ended") <= pl.col("INTIME")).select("row", "HADM_ID")
    return earlier.join(codes, on="HADM_ID").drop("HADM_ID").collect()


def comorbidities(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`row` and one 0/1 column per comorbidity; no code known is 0, null where the tables hold no codes of anybody."""
    code = pl.col("code").str.pad_end(5, " ")
    flags = {
        name: (
            pl.any_horizontal(((code >= low) & (code <= high)) for low, high in ranges).fill_null(False)
            | icd10.is_comorbid(pl.col("tenth"), name).fill_null(False)
        )
        .any()
        .cast(pl.Int8)
        for name, ranges in COMORBIDITIES.items()
    }
    flagged = (
        codes_known(tables, samples, settings).group_by("row").agg(flag.alias(name) for name, flag in flags.items())
    )
    known = tables["DIAGNOSES_ICD"].scan().select(pl.col("ICD9_CODE", "ICD10_CODE").is_not_null().any())
    coded = any(known.collect().row(0))
    joined = samples.select("row").join(flagged, on="row", how="left", maintain_order="left")
    filled = joined.fill_null(0) if coded else joined
    return filled if settings.cancer_flags else filled.with_columns(pl.lit(0, pl.Int8).alias(name) for name in CANCER)


def surgical(tables: dict[str, Ingested], samples: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`row`, `surgical`: whether the admission's first service is called surgical (ORTHO and TRAUM are not, as published); null
    without a service."""
    services = tables["SERVICES"].scan().select("HADM_ID", "TRANSFERTIME", "CURR_SERVICE").collect()
    known = samples.select("row", "HADM_ID", "origin").join(services, on="HADM_ID")
    if settings.comorbidities == "earlier_admissions":  # nothing from after the window
        known = known.filter(pl.col("TRANSFERTIME") <= pl.col("origin") + pl.duration(hours=settings.window_hours))
    first = known.sort("row", "TRANSFERTIME", "CURR_SERVICE").unique("row", keep="first", maintain_order=True)
    flagged = first.select("row", surgical=pl.col("CURR_SERVICE").str.to_lowercase().str.contains("surg"))
    return samples.select("row").join(flagged, on="row", how="left", maintain_order="left")
