"""The section of examples: samples whose experts conflict most and worst errors, with pictures and what everybody says."""

from pathlib import Path

import pandas as pd

from i2m2_med.examples import MODEL, Example, read_examples
from i2m2_med.report.pages.figures import nice
from i2m2_med.report.pages.html import Card, Section, number

HOW = (
    "Test samples, chosen by two rules only: the highest Jensen–Shannon divergence between the experts (0.69 nats: two experts sure of "
    "different classes), and the truth that the model holds least likely. They are no sample of the cohort: what they share may be what "
    "made them stand out. Studies are named by pseudonyms."
)
LOOKS = (
    "Maps show where in an image an expert's answer came from (GradCAM, or occlusion where an expert has no convolution); they are "
    "of what the network read, they do not show why, and they are no proof of a finding."
)
WHY = {"conflict": "Experts in conflict", "error": "Error"}


def example_sections(folder: Path | None, paradigm: str) -> list[Section]:
    """The section of a report; none where no examples are kept. paradigm: whose they are."""
    examples = read_examples(folder)
    if folder is None or not examples:
        return []
    text = [f"Of {nice(paradigm)}, its first seed. {HOW}", *([LOOKS] if any(one.picture for one in examples) else [])]
    return [Section("Examples", text, cards=[card(one, folder) for one in examples])]


def card(example: Example, folder: Path) -> Card:
    """One example as it is shown."""
    conflict = "" if example.divergence is None else f", divergence {number(example.divergence)} nats"
    head = f"{WHY[example.why]}{conflict}: {example.label} of study {example.study}, item {example.item}; truth: {example.truth}"
    rows = [
        {
            "who": voice.who if voice.who == MODEL else f"expert {voice.who}",
            "says": voice.says,
            "p": voice.p,
        }
        | {"p of the truth": voice.p_truth}
        for voice in example.voices
    ]
    picture = (folder / example.picture).read_bytes() if example.picture else b""
    return Card(head, pd.DataFrame(rows), picture=picture, alt=example.alt, text=example.text)
