"""Clinical columns, report sentences and lab values that show a patient's evidence and sign."""

from typing import Any

import numpy as np

TEMPERS = ("was cooperative", "slept well", "came on foot", "lives alone", "retired early")
FOR, AGAINST = ("confused", "forgetful", "disoriented", "slow"), ("alert", "attentive", "oriented", "quick")
MENTIONS = 6
"""Words of a report that speak for or against."""


def clinical(evidence: float, sign: int, rng: np.random.Generator) -> dict[str, str]:
    """age and sex say nothing; mmse falls with the evidence, apoe4 is the sign. One cell in twenty is empty."""
    cells = {
        "age": f"{rng.normal(72, 6):.1f}",
        "sex": "f" if rng.random() < 0.5 else "m",
        "mmse": f"{np.clip(24 - 1.5 * evidence, 0, 30):.1f}",
        "apoe4": "carrier" if sign > 0 else "none",
        "education": str(int(rng.integers(8, 19))),
    }
    return {name: "" if name in ("age", "education") and rng.random() < 0.05 else cell for name, cell in cells.items()}


def report(evidence: float, sign: int, rng: np.random.Generator) -> str:
    """A few sentences: how many words speak for the illness is as high as the evidence, the hand is the sign."""
    speak_for = rng.permutation(MENTIONS) < round(MENTIONS / (1 + np.exp(-evidence)))
    words = [str(rng.choice(FOR if one else AGAINST)) for one in speak_for]
    hand = "right" if sign > 0 else "left"
    parts = [
        f"Patient {rng.choice(TEMPERS)}",
        f"{hand}-handed",
        f"appeared {', '.join(words[:3])}",
        f"later {', '.join(words[3:])}",
    ]
    return "; ".join(parts) + "."


def labs(evidence: float, sign: int, hours: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Measurements over time: crp lies as high as the evidence, hb rises or falls by the sign, sodium says nothing."""
    rows: list[dict[str, Any]] = []
    for item, spacing in (("crp", 6), ("hb", 6), ("sodium", 12)):
        for at in np.arange(rng.uniform(0, spacing), hours, spacing):
            level = {
                "crp": 10 + 2 * evidence + rng.normal(0, 0.5),
                "hb": 13 + sign * 1.5 * (at / hours - 0.5) + rng.normal(0, 0.2),
                "sodium": rng.normal(140, 3),
            }[item]
            rows.append({"hour": round(float(at), 2), "item": item, "value": round(float(level), 2)})
    return rows
