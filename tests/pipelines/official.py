"""Small data sets in the official layouts, with drawn pictures: NLVR2 with its real sentences, and VQA-VS with its nine shifted sets."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from i2m2_med.simulate.vqa_vs import simulate

NLVR2_TEXT = (
    Path(os.environ.get("I2M2_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    / "nlvr"
    / "nlvr2_text_dev_test.zip"
)
"""Real sentences of the parts dev and test1."""


def nlvr2(root: Path, train: int = 60, judged: int = 24) -> Path:
    """NLVR2's folder: real sentences of dev and test1 (a part of dev stands for train), each pair of pictures two drawn noises."""
    with zipfile.ZipFile(NLVR2_TEXT) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        lines = {part: archive.read(names[f"{part}.json"]).decode().splitlines() for part in ("dev", "test1")}
    parts = {"train": lines["dev"][-train:], "dev": lines["dev"][:judged], "test1": lines["test1"][:judged]}
    rng = np.random.default_rng(0)
    for part, chosen in parts.items():
        statements = [json.loads(line) for line in chosen]
        for at, one in enumerate(statements):
            one["identifier"] = part + one["identifier"][one["identifier"].index("-") :]
            one |= {"directory": at % 3} if part == "train" else {}
            folder = root / "images" / part / (str(one["directory"]) if part == "train" else "")
            folder.mkdir(parents=True, exist_ok=True)
            for side in (0, 1):
                path = folder / f"{one['identifier'].rpartition('-')[0]}-img{side}.png"
                Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
        (root / "data").mkdir(exist_ok=True)
        (root / "data" / f"{part}.json").write_text(
            "".join(f"{json.dumps(one)}\n" for one in statements), encoding="utf-8"
        )
    return root


def vqa_vs(root: Path, questions: int = 200, variants: int = 1) -> Path:
    """VQA-VS's folder with simulated questions. variants: how many answers each of the simulator's becomes."""
    simulate(root, questions=questions, seed=3)
    if variants > 1:
        for path in (root / "VQA-VS").rglob("*-Ans.json"):
            path.write_text(varied(path, variants), encoding="utf-8")
    return root


def varied(answers: Path, variants: int) -> str:
    """A file of answers in which each becomes as many as `variants`, by the picture."""
    content = json.loads(answers.read_text(encoding="utf-8"))
    for one in content:
        for given in one["answers"]:
            given["answer"] += f" {one['image_id'] % variants}"
        one["multiple_choice_answer"] += f" {one['image_id'] % variants}"
    return json.dumps(content)
