"""One sentence on where a model found the signal of its data, with its uncertainty."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Literal

import numpy as np

from i2m2_med.report.dependence.information import Amount
from i2m2_med.report.dependence.interaction import Interaction

LEAST = 0.005
"""Nats below which an amount counts as none, however sure."""
MINOR = 0.25
"""An amount is minor when even the upper end of its interval is less than this share of the total."""

Carrier = Literal[
    "single", "mostly single", "at least single", "between", "mostly between", "at least between", "both", "none", "unclear"
]  # fmt: skip
CONCLUSIONS: dict[Carrier, str] = {
    "single": "this model found the signal in single modalities",
    "mostly single": "this model found the signal in single modalities, and to a smaller part in their relation",
    "at least single": "this model found signal in single modalities; these samples are too few to tell whether their relation adds to it",
    "between": "this model found the signal in the relation between modalities",
    "mostly between": "this model found the signal in the relation between modalities, and to a smaller part in single ones",
    "at least between": "this model found signal in the relation between modalities; these samples are too few to tell what single ones add",
    "both": "this model found the signal in single modalities and in their relation",
    "none": "this model found no signal in these data",
    "unclear": "these samples are too few to tell",
}
REPEATS = {
    "no": "",
    "partly": "; they repeat one another in part",
    "wholly": "; they repeat one another: together they say no more than the best of them alone",
}


def verdict(interaction: Interaction) -> str:
    """'together 0.193 ± 0.020 nats; alone: a 0.193 ± 0.020, b 0.193 ± 0.020; net interaction −0.193 ± 0.020: this model found …'."""
    alone = ", ".join(f"{name} {own}" for name, own in interaction.own.items())
    conclusion = CONCLUSIONS[carried_by(interaction)] + REPEATS[repeat(interaction)]
    return f"together {interaction.total} nats; alone: {alone}; net interaction {interaction.net}: {conclusion}"


def verdicts(by_label: Mapping[str, Interaction]) -> dict[str, str]:
    """`overall` (the mean over labels, whose errors are taken as shared), then the verdict by label."""
    return {"overall": verdict(mean_interaction(list(by_label.values())))} | {
        label: verdict(each) for label, each in by_label.items()
    }


def carried_by(interaction: Interaction) -> Carrier:
    """Return where the signal lies. 'between' in any form is never left out while `between` or `beyond_additive` is surely above zero."""
    if not np.isfinite([interaction.total.margin, interaction.between.margin, interaction.within.margin]).all():
        return "unclear"
    if not surely(interaction.total):
        return "none" if max(interaction.total.high, interaction.between.high) < 2 * LEAST else "unclear"
    alone = any(surely(own) for own in interaction.own.values())
    relations = [each for each in (interaction.between, interaction.beyond_additive) if np.isfinite(each.margin)]
    related = any(surely(each) for each in relations)
    minor = max(LEAST, MINOR * interaction.total.value)
    little_between = all(each.high < minor for each in relations)
    little_within = interaction.within.high < minor
    if alone and related:
        return "mostly single" if little_between else "mostly between" if little_within else "both"
    if alone:
        return "single" if little_between else "at least single"
    if related:
        return "between" if little_within else "at least between"
    return "unclear"


def repeat(interaction: Interaction) -> Literal["no", "partly", "wholly"]:
    """Return how far the modalities repeat one another: the net interaction is surely below zero; wholly, where the best suffices."""
    if not (interaction.net.high < 0 and interaction.net.value <= -LEAST):
        return "no"
    return "partly" if surely(interaction.beyond_best) else "wholly"


def surely(amount: Amount) -> bool:
    """Return whether an amount's interval lies above zero and the amount reaches `LEAST`."""
    return bool(amount.low > 0 and amount.value >= LEAST)


def mean_interaction(labels: list[Interaction]) -> Interaction:
    """The mean over labels of every amount."""
    amounts = {
        each.name: [getattr(one, each.name) for one in labels] for each in fields(Interaction) if each.name != "own"
    }
    own = {name: _mean([one.own[name] for one in labels]) for name in labels[0].own}
    return Interaction(own=own, **{name: _mean(each) for name, each in amounts.items()})


def _mean(amounts: list[Amount]) -> Amount:
    known = [each for each in amounts if np.isfinite(each.value)]
    if not known:
        return Amount(float("nan"), float("nan"), float("nan"))
    return Amount(*(float(np.mean([getattr(each, name) for each in known])) for name in ("value", "margin", "seed_sd")))
