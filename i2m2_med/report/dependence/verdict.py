"""One sentence on where the signal lies, with its uncertainty."""

from collections.abc import Mapping

import numpy as np

from i2m2_med.report.dependence.conditions import ALL
from i2m2_med.report.dependence.information import Amount

LEAST = 0.005
"""Nats below which an amount counts as none, however sure."""
MINOR = 0.25
"""An amount is minor when even the upper end of its interval is less than this share of both together."""


def verdict(intra: Amount, inter: Amount) -> str:
    """'intra: 0.210 ± 0.020 nats, inter: 0.010 ± 0.010: this data set is carried by single modalities'."""
    return f"intra: {intra} nats, inter: {inter} nats: {_conclusion(intra, inter)}"


def verdicts(found: Mapping[tuple[str, str], Mapping[str, Amount]]) -> dict[str, str]:
    """By label, and `overall` (the mean over labels, whose errors are taken as shared): the verdict on all modalities together."""
    own = {label: amounts for (label, modality), amounts in found.items() if modality == ALL}
    said = {label: verdict(amounts["intra"], amounts["inter"]) for label, amounts in own.items()}
    mean = {kind: _mean([amounts[kind] for amounts in own.values()]) for kind in ("intra", "inter")}
    return {"overall": verdict(mean["intra"], mean["inter"])} | said


def carried_by(intra: Amount, inter: Amount) -> str:
    """`single`, `between`, `both`, `none` or `unclear`; `mostly single`, `mostly between` where the minor amount is there for sure."""
    if not np.isfinite([intra.value, inter.value, intra.margin, inter.margin]).all():
        return "unclear"
    within, between = (each.low > 0 and each.value >= LEAST for each in (intra, inter))
    minor = max(LEAST, MINOR * (max(intra.value, 0.0) + max(inter.value, 0.0)))
    if within and inter.high < minor:
        return "mostly single" if between else "single"
    if between and intra.high < minor:
        return "mostly between" if within else "between"
    if within and between:
        return "both"
    return "none" if max(intra.high, inter.high) < 2 * LEAST else "unclear"


def _conclusion(intra: Amount, inter: Amount) -> str:
    return {
        "single": "this data set is carried by single modalities",
        "mostly single": "this data set is carried by single modalities, and to a smaller part by their relation",
        "between": "this data set is carried by the relation between modalities",
        "mostly between": "this data set is carried by the relation between modalities, and to a smaller part by single ones",
        "both": "this data set is carried by single modalities and by their relation",
        "none": "this model finds no signal here",
        "unclear": "these samples are too few to tell",
    }[carried_by(intra, inter)]


def _mean(amounts: list[Amount]) -> Amount:
    known = [each for each in amounts if np.isfinite(each.value)]
    if not known:
        return Amount(float("nan"), float("nan"), float("nan"))
    return Amount(*(float(np.mean([getattr(each, name) for each in known])) for name in ("value", "margin", "seed_sd")))
