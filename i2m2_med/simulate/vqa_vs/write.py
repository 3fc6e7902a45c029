"""Questions in VQA-VS's format: `i2m2 simulate vqa_vs OUT --questions N --seed K`.

OUT/VQA-VS/{Training,Val}/…, IID-Test/…, OOD-Test/<shift>/… lists; OUT/{train,val}2014/COCO_…jpg drawn pictures; OUT/ideal.json with
the ideal observers' accuracy on the IID test and each shift (`accuracy`), and their AUROC (`auroc`).
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sklearn.metrics import roc_auc_score

from i2m2_med.config.run import IDEAL
from i2m2_med.console import TerminalProgress
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, write_json
from i2m2_med.simulate.vqa_vs.world import ANSWERS, COUNT, Dials, Drawn, draw, observed, shifts

STEMS = {"train": "Training/Training", "valid": "Val/Val", "test": "IID-Test/IID-Test"}
"""By part, the official names of its lists but for their ending."""
HELD = {"valid": 0.1, "test": 0.3}
SIDE = 48
TYPES = ("what is", "what kind of", "which", "is it the", "how about", "where is", "do you see", "can you name")
KEYWORDS = ("small", "big", "old", "new", "bright", "dark", "near", "far")
NOUNS = ("thing", "shape", "sign", "spot", "mark", "label", "piece", "item")
COLOURS = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (128, 128, 128),
)
AGREE = 0.85
"""How likely each of the ten annotators gives the answer; the others give any."""
LARGE = 20_000


def simulate(
    out: Path,
    *,
    questions: int = 6000,
    seed: int = 0,
    text: float = 0.4,
    image: float = 0.4,
    joint: float = 0.2,
    truth: float = 0.6,
) -> dict[str, Any]:
    """Write questions about drawn pictures in VQA-VS's format, with shortcuts. Everything is synthetic; the same call writes the same bytes.

    Args:
        out: folder to make; it must not hold anything yet.
        questions: how many; 60 % train, 10 % validation, 30 % IID test, of which the nine shifted sets are cut.
        seed: same seed, same bytes.
        text: strength of the shortcut in the question's type, 0 to below 1.
        image: strength of the shortcut in the picture's object.
        joint: strength of the shortcut in the relation of both.
        truth: strength of the truthful evidence, which is in the relation of both too.

    Raises ConfigError for a number that can't be, and UserError when `out` holds something already.
    """
    dials = Dials(text, image, joint, truth)
    if questions < 100 or seed < 0 or not all(0 <= dial < 1 for dial in dials):
        raise ConfigError(
            "--questions are at least 100, --seed from 0 up, and --text, --image, --joint, --truth from 0 to below 1"
        )
    rng = np.random.default_rng(seed)
    counts = {part: round(share * questions) for part, share in HELD.items()}
    counts = {"train": questions - sum(counts.values()), **counts}
    with replace_folder(out) as folder:
        first = 1
        for part in STEMS:
            drawn = draw(counts[part], dials, rng)
            _write_part(folder, part, drawn, first, rng)
            first += counts[part]
        write_json(folder / IDEAL, ideal(dials, seed))
    return {"out": str(out), "synthetic": True, "questions": counts, "dials": dials._asdict()}


def ideal(dials: Dials, seed: int) -> dict[str, Any]:
    """Return the accuracy of the ideal observers on the IID test and each shift, and their AUROC, on a large draw."""
    drawn = draw(LARGE, dials, np.random.default_rng([seed, 1]))
    believed, tails = observed(drawn, dials), shifts(drawn)
    sets = {"IID": np.ones(LARGE, dtype=bool), **tails}
    right = {name: log_p.argmax(axis=1) == drawn.answer for name, log_p in believed.items()}
    accuracy = {
        name: {one: round(float(hit[rows].mean()), 4) for one, rows in sets.items() if rows.any()}
        for name, hit in right.items()
    }
    truth = np.eye(COUNT)[drawn.answer]
    auroc = {name: round(float(roc_auc_score(truth, np.exp(log_p))), 4) for name, log_p in believed.items()}
    return {
        "auroc": {"answer": auroc},
        "accuracy": accuracy,
        "explained": "Observers who know the generative model, by enumeration over the eight answers, on 20,000 questions. `inter` takes "
        "all evidence once, `shortcut_free` the truthful only, `i2m2` is the product of ideal experts, which counts each modality's "
        "shortcut twice.",
        "dials": dials._asdict(),
        "seed": seed,
    }


def _write_part(folder: Path, part: str, drawn: Drawn, first: int, rng: np.random.Generator) -> None:
    home, year = folder / "VQA-VS", "val2014" if part == "valid" else "train2014"
    (folder / year).mkdir(exist_ok=True)
    rows = range(len(drawn.answer))
    for at in TerminalProgress().track(rows, f"drawing {part}", len(rows)):
        picture = draw_picture(int(drawn.object[at]), int(drawn.badge[at]), int(drawn.colour[at]), rng)
        picture.save(folder / year / f"COCO_{year}_{first + at:012d}.jpg", quality=90)
    asked = [_question(drawn, at, first + at) for at in rows]
    answered = [_answers(ANSWERS[drawn.answer[at]], first + at, rng) for at in rows]
    _write_lists(home, part, asked, answered)
    if part == "test":
        tails = shifts(drawn)
        for name, rare in tails.items():
            kept = np.flatnonzero(rare)
            _write_lists(home, name, [asked[at] for at in kept], [answered[at] for at in kept])


def _write_lists(home: Path, part: str, asked: list[dict[str, Any]], answered: list[dict[str, Any]]) -> None:
    stem = STEMS.get(part, f"OOD-Test/{part}/OOD-Test-{part}")
    for path, content in ((home / f"{stem}-Ques.json", asked), (home / f"{stem}-Ans.json", answered)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)


def _question(drawn: Drawn, at: int, image_id: int) -> dict[str, Any]:
    text = f"{TYPES[drawn.type[at]]} the {KEYWORDS[drawn.keyword[at]]} {NOUNS[drawn.noun[at]]}?".capitalize()
    return {"image_id": image_id, "question_id": image_id * 1000, "question": text}


def _answers(answer: str, image_id: int, rng: np.random.Generator) -> dict[str, Any]:
    given = [answer if agrees else str(rng.choice(ANSWERS)) for agrees in rng.random(10) < AGREE]
    listed = [{"answer": one, "answer_confidence": "yes", "answer_id": at + 1} for at, one in enumerate(given)]
    about = {
        "question_id": image_id * 1000,
        "image_id": image_id,
        "question_type": "none of the above",
        "answer_type": "other",
    }
    return {**about, "multiple_choice_answer": answer, "answers": listed}


def draw_picture(thing: int, badge: int, colour: int, rng: np.random.Generator) -> Image.Image:
    """Return a picture: the object as a polygon of 3 to 10 corners, the badge as bars, the colour of the frame."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    brush = ImageDraw.Draw(picture)
    brush.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=COLOURS[colour], width=6)
    turn = float(rng.random() * 360)
    brush.regular_polygon((SIDE / 2, SIDE / 2 - 3, 12), thing + 3, rotation=turn, fill=COLOURS[thing])
    for bar in range(3):
        if badge >> bar & 1:
            brush.rectangle((10 + 10 * bar, SIDE - 14, 16 + 10 * bar, SIDE - 9), fill="black")
    return picture
