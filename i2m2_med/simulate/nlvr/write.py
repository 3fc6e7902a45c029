"""Statements in NLVR v1's format: `i2m2 simulate nlvr OUT --statements N --noise P --seed K`.

OUT/nlvr/{train,dev,test}/<part>.json, images/<directory>/<part>-<identifier>-0.png; OUT/ideal.json

A presentation is two sentences about two scenes: of each scene one is true and the other false, and of each sentence one scene. So
every scene and every sentence is seen once with each label: alone they say nothing, together everything. Noise turns all four labels
of some presentations round: the relation says less, and scene and sentence alone still nothing.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import entropy

from i2m2_med.config.run import IDEAL
from i2m2_med.console import TerminalProgress
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.nlvr.scenes import Scene, draw_scene, render
from i2m2_med.simulate.nlvr.sentences import Sentence, draw_sentence

HELD = {"dev": 0.15, "test": 0.15}
"""Shares of the presentations; the others train."""
EACH = 4
"""Statements of a presentation."""
PER_DIRECTORY = 100
IDEAL_NOTE = (
    "AUROC and nats of an observer who reads scene and sentence without error: who sees both is right where the labels were not "
    "turned round, who sees one has seen it once with either label."
)


def simulate(out: Path, *, statements: int = 4000, noise: float = 0.0, seed: int = 0) -> dict[str, Any]:
    """Write drawn scenes with sentences in NLVR v1's format. Everything is synthetic; the same call writes the same bytes.

    Args:
        out: folder to make; it must not hold anything yet.
        statements: how many, in presentations of four; 70 % train, 15 % dev, 15 % test.
        noise: share of presentations whose labels are turned round, 0 to below 0.5.
        seed: same seed, same bytes.

    Raises ConfigError for a number that can't be, and UserError when `out` holds something already.
    """
    if statements < 40 or seed < 0 or not 0 <= noise < 0.5:
        raise ConfigError("--statements are at least 40, --seed from 0 up, and --noise from 0 to below 0.5")
    rng = np.random.default_rng(seed)
    held = {part: max(2, round(share * statements / EACH)) for part, share in HELD.items()}
    counts = {"train": round(statements / EACH) - sum(held.values()), **held}
    with replace_folder(out) as folder:
        number = 0
        for part, count in counts.items():
            numbers = range(number, number + count)
            drawn = TerminalProgress().track(numbers, f"drawing {part}", count)
            lines = [line for at in drawn for line in _presentation(folder / "nlvr" / part, part, at, noise, rng)]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / "nlvr" / part / f"{part}.json").write_text(text, encoding="utf-8")
            number += count
        write_json(folder / IDEAL, {**ideal(noise), "explained": IDEAL_NOTE, "noise": noise, "seed": seed})
    return {"out": str(out), "synthetic": True, "statements": {part: EACH * count for part, count in counts.items()}}


def ideal(noise: float) -> dict[str, Any]:
    """Return AUROC and information (nats) of an observer without error, by paradigm.

    >>> ideal(0.0)["auroc"]["statement"]["inter"], round(ideal(0.0)["nats"]["statement"]["inter"], 4)
    (1.0, 0.6931)
    """
    alone = ("intra", "unimodal_picture", "unimodal_sentence")
    by_paradigm = {
        "auroc": dict.fromkeys(("inter", "i2m2"), 1 - noise) | dict.fromkeys(alone, 0.5),
        "nats": dict.fromkeys(("inter", "i2m2"), float(np.log(2) - entropy([noise, 1 - noise])))
        | dict.fromkeys(alone, 0.0),
    }
    return {kind: {"statement": values} for kind, values in by_paradigm.items()}


def _presentation(home: Path, part: str, number: int, noise: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Write the pictures of one presentation and return its lines, in random order."""
    scenes, sentences = draw_presentation(rng)
    directory = str(number // PER_DIRECTORY)
    (home / "images" / directory).mkdir(parents=True, exist_ok=True)
    pictures = [render(scene) for scene in scenes]
    turned = bool(noise) and bool(rng.random() < noise)  # without noise nothing is drawn: the bytes of earlier versions
    lines: list[dict[str, Any]] = []
    for at, which in enumerate(rng.permutation(EACH)):
        scene, sentence = divmod(int(which), 2)
        identifier = f"{number}-{at}"
        pictures[scene].save(home / "images" / directory / f"{part}-{identifier}-0.png")
        described = [[one.described() for one in box] for box in scenes[scene]]
        truth = "true" if sentences[sentence].true_of(scenes[scene]) != turned else "false"
        lines.append(
            {
                "sentence": sentences[sentence].text,
                "identifier": identifier,
                "label": truth,
                "directory": directory,
                "evals": {"r0": truth},
                "structured_rep": described,
            }
        )
    return lines


def draw_presentation(rng: np.random.Generator) -> tuple[tuple[Scene, Scene], tuple[Sentence, Sentence]]:
    """Return two scenes and two sentences: the first is true of the first scene only, the second of the second only."""
    while True:
        first, second = draw_scene(rng), draw_scene(rng)
        chosen: dict[bool, Sentence] = {}
        for _ in range(40):
            sentence = draw_sentence(rng)
            truths = sentence.true_of(first), sentence.true_of(second)
            if truths[0] != truths[1]:
                chosen.setdefault(truths[0], sentence)
        if len(chosen) == 2:
            return (first, second), (chosen[True], chosen[False])
