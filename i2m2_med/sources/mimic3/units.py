"""Units by their many spellings, and what a study's `series.csv` may hold: concepts, accepted units, limits beyond which a value
is no measurement."""

import re
from dataclasses import dataclass

Number = int | float

SPELLINGS: dict[str, tuple[str, ...]] = {
    "mmHg": ("mm Hg", "mm[Hg]", "mm of Hg", "millimeter mercury column", "millimeters of mercury"),
    "kPa": (),
    "cmH2O": ("cm[H2O]",),
    "torr": (),
    "bpm": (
        "1/min", "/min", "1/minute", "/minute", "per min", "per minute", "min-1", "min^-1", "beats/min", "beats/minute",
        "beats per minute", "{beats}/min", "{beat}/min", "{beats}/minute", "heartbeats/min", "counts/minute", "counts per minute",
        "insp/min", "breaths/min", "breath/min", "breaths/minute", "breaths per minute", "{breaths}/min", "{breath}/min", "resp/min",
        "rpm", "{counts}/min",
    ),
    "points": ("point", "score", "{score}", "{points}", "{pts}", "pts", "1", "unitless", "no unit"),
    "mEq/L": ("meq/l", "mequiv/l", "milliequivalent per liter", "meq per liter"),
    "mmol/L": ("millimole per liter", "mmol per liter", "mM"),
    "%": ("percent", "pct", "{percent}", "% sat", "vol%", "vol %", "%{saturation}"),
    "fraction": ("decfrc", "dec frc", "decimal fraction", "ratio", "{fraction}", "{ratio}"),
    "degC": ("Cel", "C", "°C", "?C", "\ufffdC", "deg C", "deg. C", "degrees C", "celsius", "degree celsius", "degrees celsius", "oC"),
    "degF": (
        "[degF]", "F", "°F", "?F", "\ufffdF", "deg F", "deg. F", "degrees F", "fahrenheit", "degree fahrenheit", "degrees fahrenheit",
        "oF",
    ),
    "mL": ("cc", "milliliter", "milliliters", "millilitre"),
    "L": ("liter", "liters", "litre"),
    "mg/dL": ("mg%", "mg/100mL", "mg per deciliter", "milligram per deciliter"),
    "umol/L": ("mcmol/l", "micromol/l", "micromole per liter", "umol per liter"),
    "K/uL": (
        "k/mcl", "k/mm3", "k/cumm", "k/cu mm", "x10^3/uL", "x10*3/uL", "10^3/uL", "10*3/uL", "10e3/uL", "x10E3/uL", "x10(3)/uL",
        "10(3)/uL", "x1000/uL", "1000/uL", "thous/uL", "thou/uL", "thousand/uL", "thousands/uL", "thous/mcL", "th/uL", "thousand per microliter",
        "10^3/mm3", "x10^3/mm3", "10*3/mm3", "10^9/L", "10*9/L", "x10^9/L", "x10*9/L", "10e9/L", "x10E9/L", "10(9)/L", "giga/L", "Gpt/L", "/nL",
    ),
    "1/uL": ("/uL", "/mm3", "/cumm", "/cu mm", "#/uL", "#/cu mm", "#/cumm", "#/mm3", "{cells}/uL", "cells/uL", "cells/mm3"),
    "g/dL": ("gm/dl", "g%", "g/100mL", "gram per deciliter"),
    "g/L": ("gm/l",),
    "L/min": ("lpm", "liters/min", "liter/min", "l per minute", "liters per minute"),
    "units": ("unit", "U", "pH", "[pH]", "pH units"),
    "cm": ("centimeter", "centimeters"),
    "m": ("meter", "meters"),
    "in": ("inch", "inches", "[in_i]", "[in_us]", "in."),
    "kg": ("kgs", "kilogram", "kilograms", "kilo"),
    "g": ("gm", "gram", "grams"),
    "lb": ("lbs", "lbs.", "[lb_av]", "pound", "pounds"),
    "oz": ("[oz_av]", "ounce", "ounces"),
}  # fmt: skip
"""A unit → its other spellings, those of UCUM among them. Case, blanks, dots, and µ or mc for micro make no difference."""
SAME_SIGN = str.maketrans({"µ": "u", "μ": "u", "²": "2", "³": "3", "⁹": "9", "×": "x", "℃": "°", "º": "°", "˚": "°"})


def plain(unit: str) -> str:
    """A unit's spelling without what makes no difference.

    >>> plain("Deg. F"), plain("×10³ / µL")
    ('degf', 'x103/ul')
    """
    return re.sub(r"[\s.^]", "", unit.translate(SAME_SIGN)).lower()


BY_SPELLING = {plain(spelling): name for name, others in SPELLINGS.items() for spelling in (name, *others)}


def unit_of(spelling: str) -> str | None:
    """The unit that a spelling stands for; None if it is in no table.

    >>> unit_of("beats/min"), unit_of("[degF]"), unit_of("X10^3/UL"), unit_of("furlong")
    ('bpm', 'degF', 'K/uL', None)
    """
    return BY_SPELLING.get(plain(spelling))


Units = dict[str, tuple[Number, Number]]
PRESSURE: Units = {"mmHg": (1, 0), "torr": (1, 0), "kPa": (7.50062, 0)}
RATE: Units = {"bpm": (1, 0)}
POINTS: Units = {"points": (1, 0), "": (1, 0)}
SALT: Units = {"mEq/L": (1, 0), "mmol/L": (1, 0)}
PERCENT: Units = {"%": (1, 0), "fraction": (100, 0)}
CELSIUS: Units = {"degC": (1.0, 0.0), "degF": (1 / 1.8, -32 / 1.8)}


@dataclass(frozen=True)
class Concept:
    """One concept: limits in its own unit, and by accepted unit ("" where none is needed) factor and offset into it."""

    low: Number
    high: Number
    units: Units


SAPS: dict[str, Concept] = {
    "gcs": Concept(3, 15, POINTS),
    "sbp": Concept(0, 400, PRESSURE),
    "heart_rate": Concept(0, 300, RATE),
    "temperature": Concept(10, 50, CELSIUS),
    "pao2": Concept(0, 800, PRESSURE),
    "fio2": Concept(20, 100, PERCENT),
    "urine": Concept(-5_000, 20_000, {"mL": (1, 0), "L": (1000, 0)}),
    "bun": Concept(0, 300, {"mg/dL": (1, 0), "mmol/L": (2.8, 0)}),
    "wbc": Concept(0, 1000, {"K/uL": (1, 0), "g/L": (1, 0)}),  # G/L: giga per litre
    "bicarbonate": Concept(0, 100, SALT),
    "sodium": Concept(0, 200, SALT),
    "potassium": Concept(0, 30, SALT),
    "bilirubin": Concept(0, 150, {"mg/dL": (1, 0), "umol/L": (1 / 17.1, 0)}),
}
"""The 13 raw series of the paper's task."""
BENCHMARK: dict[str, Concept] = {
    "capillary_refill": Concept(0, 1, POINTS),
    "dbp": Concept(0, 375, PRESSURE),
    "fio2": Concept(0.2, 1, {"fraction": (1, 0), "%": (0.01, 0)}),
    "gcs_eye": Concept(1, 4, POINTS),
    "gcs_motor": Concept(1, 6, POINTS),
    "gcs_total": Concept(3, 15, POINTS),
    "gcs_verbal": Concept(1, 5, POINTS),
    "glucose": Concept(0, 2000, {"mg/dL": (1, 0), "mmol/L": (18.0, 0)}),
    "heart_rate": Concept(0, 350, RATE),
    "height": Concept(0, 240, {"cm": (1, 0), "m": (100, 0), "in": (2.54, 0)}),
    "map": Concept(14, 330, PRESSURE),
    "spo2": Concept(0, 100, PERCENT),
    "respiratory_rate": Concept(0, 300, RATE),
    "sbp": Concept(0, 375, PRESSURE),
    "temperature": Concept(26, 45, CELSIUS),
    "weight": Concept(0, 250, {"kg": (1, 0), "lb": (0.45359237, 0), "g": (0.001, 0)}),
    "ph": Concept(6.3, 8.4, {"units": (1, 0), "": (1, 0)}),
}
"""The 17 channels of mimic3-benchmarks."""
SYNONYMS = {
    "systolic_bp": "sbp",
    "diastolic_bp": "dbp",
    "mean_bp": "map",
    "po2": "pao2",
    "urine_output": "urine",
    "hr": "heart_rate",
}


def known_concepts(channels: str) -> dict[str, Concept]:
    """By every name that is understood."""
    own = SAPS if channels == "saps12" else BENCHMARK
    also = {other: own[name] for other, name in SYNONYMS.items() if name in own}
    return {**own, **also, **({"gcs_total": own["gcs"]} if channels == "saps12" else {})}


def canonical(name: str, channels: str) -> str:
    """A concept's own name: `systolic_bp` is `sbp`, and the total coma score is the paper's `gcs`."""
    return "gcs" if channels == "saps12" and name == "gcs_total" else SYNONYMS.get(name, name)
