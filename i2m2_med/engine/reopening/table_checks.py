"""A prediction table held against the one that the stored model makes again: rows, probabilities, and every other column."""

import math

import numpy as np
import pandas as pd

from i2m2_med.engine.reopening.check import Check, Verdict, names
from i2m2_med.engine.reopening.checks import SMOOTH, same_names

ROWS = ("item", "level", "split", "label", "class")
"""Columns that name a row; the cohort gives its samples in one order."""
NAMES = ("patient", "study")
"""Keyed hashes: another workspace's key names the same patients otherwise."""
ORIGIN = ("model", "config_sha", "seconds")
"""Columns that name the run or say how long it took; the signed list alone vouches for them."""
DERIVED = ("set", "set_split", "decision")
"""Columns that are decided by comparing probabilities with limits: rounding flips a few on another machine."""
FEW = 0.01
"""The share of rows in which they may be flipped."""


def check_predictions(recorded: pd.DataFrame, again: pd.DataFrame, exact: bool) -> list[Check]:
    """Every row and column of the run's table; a column that only one of the tables has is noted."""
    rows = [name for name in ROWS if name in recorded and name in again]
    alike = len(recorded) == len(again) and all(same_text(recorded[name], again[name]).all() for name in rows)
    if not alike:
        return [Check(f"{len(recorded)} probabilities", "as kept", "other rows", "DIFFERS")]
    others = [name for name in map(str, recorded) if name in again and name not in {"p", *rows, *ORIGIN}]
    verdicts = {name: check_column(name, recorded, again, exact) for name in others}
    off = [name for name, verdict in verdicts.items() if verdict == "DIFFERS"]
    worst: Verdict = "DIFFERS" if off else "close" if "close" in verdicts.values() else "same"
    checks = [check_p(recorded["p"], again["p"], exact)]
    checks.append(Check(f"{len(others)} other columns", "as kept", names(off) or "as kept", worst))
    lone = sorted({*map(str, recorded)} ^ {*map(str, again)})
    return [*checks, Check("columns of another release", "none", names(lone), "noted")] if lone else checks


def check_p(recorded: pd.Series, again: pd.Series, exact: bool) -> Check:
    """Every probability."""
    off = np.abs(recorded.to_numpy(float) - again.to_numpy(float))
    off = off[~(recorded.isna() & again.isna()).to_numpy()]
    largest = math.inf if np.isnan(off).any() or not len(recorded) else float(off.max(initial=0.0))
    verdict: Verdict = "same" if largest == 0 else "close" if not exact and largest <= SMOOTH else "DIFFERS"
    return Check(f"{len(recorded)} probabilities", "as kept", f"largest difference {largest:.2g}", verdict)


def check_column(name: str, recorded: pd.DataFrame, again: pd.DataFrame, exact: bool) -> Verdict:
    """One column, by what it holds: names, numbers that are computed, or plain values."""
    was, now = recorded[name], again[name]
    if name in NAMES and not same_names(recorded, again):
        return "same" if (pd.factorize(was)[0] == pd.factorize(now)[0]).all() else "DIFFERS"
    if was.dtype.kind == now.dtype.kind == "f":
        return check_p(was, now, exact).verdict
    same = same_text(was, now)
    if same.all():
        return "same"
    return "close" if not exact and name in DERIVED and (~same).mean() <= FEW else "DIFFERS"


def same_text(was: pd.Series, now: pd.Series) -> np.ndarray:
    """Row by row, whether two columns say the same; what is missing is equal to what is missing."""
    missing = was.isna().to_numpy() & now.isna().to_numpy()
    return missing | (was.astype(str).to_numpy() == now.astype(str).to_numpy())
