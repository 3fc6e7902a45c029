"""Study folders to score, healthy and damaged: `i2m2 simulate studies OUT`.

A folder holds what was acquired and nothing else. Every pattern of missing modalities comes up in turn; with `--damage`
forty of the studies are each damaged in one way, which their `damage.txt` names; `damage.py` here and beside each kind has the
tables.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from i2m2_med.console import TerminalProgress
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder
from i2m2_med.simulate.damage import Damage, anywhere
from i2m2_med.simulate.fastmri.anatomy import Geometry
from i2m2_med.simulate.fastmri.data_set import matrix_size
from i2m2_med.simulate.knee import studies as knee
from i2m2_med.simulate.knee.damage import DAMAGE as KNEE
from i2m2_med.simulate.mimic3 import studies as mimic3
from i2m2_med.simulate.mimic3.damage import DAMAGE as MIMIC3
from i2m2_med.simulate.mimic3.damage import WHOLE

Kind = Literal["knee", "mimic3"]


@dataclass(frozen=True)
class StudyPlan:
    """One study folder to write."""

    kind: Kind
    pattern: str
    damage: Damage | None = None


def simulate(
    out: Path,
    *,
    kind: Literal["knee", "mimic3", "both"] = "both",
    count: int = 20,
    seed: int = 0,
    damage: bool = False,
    matrix: str = "128x96",
    slices: int = 2,
) -> dict[str, Any]:
    """Write synthetic study folders for `i2m2 score`.

    Args:
        out: folder to make; it must not hold anything yet.
        kind: knee studies, intensive-care stays, or both in turn.
        count: number of study folders. With --damage at least the 40 damaged ones and one healthy of each pattern.
        seed: same seed, same bytes.
        damage: damage 40 of the studies, each in another way, named in its `damage.txt`.
        matrix: READOUTxPHASE of the knees' k-space; images are READOUT/2 square.
        slices: slices per knee.

    Raises ConfigError for a number that can't be, and UserError when `out` holds something already.
    """
    for name, number in (("count", count), ("slices", slices)):
        if number < 1:
            raise ConfigError(f"--{name} is {number}; give 1 or more")
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; give 0 or more")
    size = matrix_size(matrix)
    kinds: tuple[Kind, ...] = ("knee", "mimic3") if kind == "both" else (kind,)
    plans = _plans(kinds, count, seed, damage)
    with replace_folder(out) as folder:
        for number in TerminalProgress().track(range(len(plans)), "simulating studies", len(plans)):
            rng = np.random.default_rng([seed, 5, number])
            _write(folder / study_name(number), plans[number], size, slices, rng)
        _inflict(folder, plans)
    damaged = {plan.damage.name: plan.damage.expected for plan in plans if plan.damage}
    return {
        "folder": str(out),
        "synthetic": True,
        "studies": len(plans),
        "patterns": dict(Counter(f"{plan.kind}: {plan.pattern}" for plan in plans if not plan.damage)),
        "damage": dict(sorted(damaged.items())),
    }


def _plans(kinds: tuple[Kind, ...], count: int, seed: int, damage: bool) -> list[StudyPlan]:
    """Return the plan of each folder, in the order of folders; healthy and damaged ones are shuffled."""
    hurt = _damaged(kinds) if damage else []
    patterns = {kind: _patterns(kind) for kind in kinds}
    every = sum(map(len, patterns.values()))
    healthy: list[StudyPlan] = []
    for number in range(max(count - len(hurt), every if hurt else 1)):
        kind = kinds[number % len(kinds)]
        healthy.append(StudyPlan(kind, patterns[kind][number // len(kinds) % len(patterns[kind])]))
    order = np.random.default_rng([seed, 4]).permutation(len(healthy) + len(hurt)) if hurt else range(len(healthy))
    return [(healthy + hurt)[number] for number in order]


def _patterns(kind: Kind) -> list[str]:
    return list(knee.PATTERNS) if kind == "knee" else mimic3.PATTERNS


def _damaged(kinds: tuple[Kind, ...]) -> list[StudyPlan]:
    """Forty damaged studies: ten that befall any study, and thirty of the kind, or fifteen of each kind."""
    tables, whole = {"knee": KNEE, "mimic3": MIMIC3}, {"knee": "kspace", "mimic3": WHOLE}
    general = {kind: anywhere(whole[kind]) for kind in kinds}
    plans: list[StudyPlan] = []
    for number in range(len(general[kinds[0]])):
        kind = kinds[number % len(kinds)]
        plans.append(StudyPlan(kind, whole[kind], general[kind][number]))
    for kind in kinds:
        own = tables[kind][: len(tables[kind]) // len(kinds)]
        plans += [StudyPlan(kind, damage.pattern, damage) for damage in own]
    return plans


def _write(study: Path, plan: StudyPlan, matrix: tuple[int, int], slices: int, rng: np.random.Generator) -> None:
    """Write one healthy study."""
    study.mkdir()
    if plan.kind == "knee":
        drawn = knee.draw_study(Geometry(*matrix), slices, rng)
        knee.PATTERNS[plan.pattern](study, drawn)
    else:
        mimic3.write_stay(study, plan.pattern, rng)


def _inflict(folder: Path, plans: list[StudyPlan]) -> None:
    """Damage the studies that are to be damaged; all are written by now."""
    for number, plan in enumerate(plans):
        if plan.damage:
            neighbour = plans.index(StudyPlan(plan.kind, plan.pattern))
            plan.damage.inflict(folder / study_name(number), folder / study_name(neighbour))
            (folder / study_name(number) / "damage.txt").write_text(plan.damage.name + "\n", encoding="utf-8")


def study_name(number: int) -> str:
    """Folder name of a study."""
    return f"study_{number + 1:05d}"
