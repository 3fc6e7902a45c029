"""PaO2 and FiO2 of arterial samples, as the paper's views find them (gen_pao2_fio2.sql, after mimic-code)."""

import polars as pl

WEIGHTS: dict[str, tuple[float, float, float]] = {
    "spo2_chart": (-0.15356, 97.49420, 0.13429),
    "fio2_chart": (0.00621, 51.49550, -0.24958),
    "gas_hemoglobin": (0.10559, 10.32307, 0.05954),
    "so2": (0.13251, 93.66539, -0.23172),
    "pco2": (-0.01511, 42.08866, -0.01630),
    "fio2_lab": (0.01480, 63.97836, -0.31142),
    "aado2": (-0.00200, 442.21186, -0.01328),
    "gas_bicarbonate": (-0.03220, 22.96894, -0.06535),
    "gas_co2": (0.05384, 24.72632, -0.01405),
    "gas_lactate": (0.08202, 3.06436, 0.06038),
    "gas_ph": (0.10956, 7.36233, -0.00617),
    "o2_flow": (0.00848, 7.59362, -0.35803),
}
"""Of the logistic model that tells an arterial sample: weight, the mean put in where the value is missing, and what that adds."""
PO2_WEIGHT, INTERCEPT, THRESHOLD = 0.04598, -0.02544, 0.75
CHARTED_BEFORE = {"spo2_chart": 2, "fio2_chart": 4}
"""Hours before the sample within which the latest charted value counts."""


def arterial(charted: pl.DataFrame, checked: bool) -> pl.DataFrame:
    """`row`, `seconds`, `concept` (pao2 in mmHg, fio2 in %), `value` of every arterial sample.

    checked: a sample called venous is not arterial, whatever the model says (the published query lets it in).
    """
    gases = by_sample(charted)
    for concept, hours in CHARTED_BEFORE.items():
        latest = charted.filter(pl.col("concept") == concept).group_by("stay", "seconds").agg(pl.col("value").max())
        gases = gases.join_asof(
            latest.rename({"value": concept}).sort("seconds"),
            on="seconds",
            by="stay",
            tolerance=hours * 3600,
            strategy="backward",
            check_sortedness=False,
        )
    probable = probability() > THRESHOLD
    called = pl.col("specimen") == 1
    is_arterial = pl.coalesce(called, probable) if checked else called.fill_null(False) | probable
    fio2 = pl.coalesce("fio2_lab", "fio2_chart")
    means = (
        gases.filter(is_arterial)
        .group_by("row", "seconds")
        .agg(pl.col("pao2").mean(), fio2.mean().alias("fio2"))
        .unpivot(["pao2", "fio2"], index=["row", "seconds"], variable_name="concept", value_name="value")
    )
    return means.drop_nulls("value")


def by_sample(charted: pl.DataFrame) -> pl.DataFrame:
    """One row per blood sample with a PO2, sorted by time: the largest of each lab value; called arterial only if never otherwise."""
    labs = ["pao2", *(name for name in WEIGHTS if name not in CHARTED_BEFORE)]
    of_them = charted.filter(pl.col("concept").is_in([*labs, "specimen"]))
    largest = [pl.col("value").filter(pl.col("concept") == lab).max().alias(lab) for lab in labs]
    called = pl.col("value").filter(pl.col("concept") == "specimen").min().alias("specimen")
    samples = of_them.group_by("row", "stay", "seconds").agg(*largest, called)
    return samples.filter(pl.col("pao2").is_not_null()).sort("seconds", "stay")


def probability() -> pl.Expr:
    """That the sample is arterial."""
    score = INTERCEPT + PO2_WEIGHT * pl.col("pao2")
    for name, (weight, mean, missing) in WEIGHTS.items():
        score = score + (weight * pl.col(name)).fill_null(weight * mean + missing)
    return 1 / (1 + (-score).exp())
