"""What a study's `series.csv` may hold: concepts, the units each is accepted in, and limits beyond which a value is no measurement."""

from dataclasses import dataclass

Number = int | float
Units = dict[str, tuple[Number, Number]]
PRESSURE: Units = {"mmhg": (1, 0), "mm hg": (1, 0), "kpa": (7.50062, 0)}
RATE: Units = {"bpm": (1, 0), "1/min": (1, 0), "/min": (1, 0), "insp/min": (1, 0)}
POINTS: Units = {"points": (1, 0), "": (1, 0)}
SALT: Units = {"meq/l": (1, 0), "mmol/l": (1, 0)}
PERCENT: Units = {"%": (1, 0), "fraction": (100, 0)}
CELSIUS: Units = {
    **dict.fromkeys(("degc", "°c", "c", "deg c", "deg. c"), (1.0, 0.0)),
    **dict.fromkeys(("degf", "°f", "f", "deg f", "deg. f"), (1 / 1.8, -32 / 1.8)),
}


@dataclass(frozen=True)
class Concept:
    """One concept: limits in its own unit, and by accepted unit (lower case) factor and offset into it."""

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
    "urine": Concept(-5_000, 20_000, {"ml": (1, 0), "l": (1000, 0)}),
    "bun": Concept(0, 300, {"mg/dl": (1, 0), "mmol/l": (2.8, 0)}),
    "wbc": Concept(0, 1000, {"k/ul": (1, 0), "10^9/l": (1, 0), "10*9/l": (1, 0), "g/l": (1, 0)}),
    "bicarbonate": Concept(0, 100, SALT),
    "sodium": Concept(0, 200, SALT),
    "potassium": Concept(0, 30, SALT),
    "bilirubin": Concept(0, 150, {"mg/dl": (1, 0), "umol/l": (1 / 17.1, 0), "µmol/l": (1 / 17.1, 0)}),
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
    "glucose": Concept(0, 2000, {"mg/dl": (1, 0), "mmol/l": (18.0, 0)}),
    "heart_rate": Concept(0, 350, RATE),
    "height": Concept(0, 240, {"cm": (1, 0), "m": (100, 0), "in": (2.54, 0)}),
    "map": Concept(14, 330, PRESSURE),
    "spo2": Concept(0, 100, PERCENT),
    "respiratory_rate": Concept(0, 300, RATE),
    "sbp": Concept(0, 375, PRESSURE),
    "temperature": Concept(26, 45, CELSIUS),
    "weight": Concept(0, 250, {"kg": (1, 0), "lb": (0.45359237, 0), "g": (0.001, 0)}),
    "ph": Concept(6.3, 8.4, {"units": (1, 0), "ph": (1, 0), "": (1, 0)}),
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
