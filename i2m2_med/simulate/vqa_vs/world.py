"""The world of simulated questions: an answer gives a question type, an object, a pair of both, and a truthful sign.

Given the answer y (of eight, equally likely) four pieces of evidence are independent:

    question type t     t = y with the strength of the text shortcut, else any
    object o            o = y with that of the image shortcut, else any
    keyword k, badge b  k is any; (k + b) mod 8 = y with that of the joint shortcut, else any
    noun n, colour c    n is any; (n + c) mod 8 = y with that of the truth, else any

so question (t, k, n) and picture (o, b, c) each hold a shortcut, and their relation holds a shortcut and the truth. What an ideal
observer of some of it believes is a sum of log-likelihoods over eight answers, by enumeration. In the shifted test sets the
shortcuts' evidence points to common answers and the truth does not.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import log_softmax

ANSWERS = ("red", "blue", "green", "yellow", "dog", "cat", "car", "tree")
COUNT = len(ANSWERS)


class Dials(NamedTuple):
    """Strengths, 0 (chance) to below 1 (certain): the share of questions in which the evidence points to the answer by intent."""

    text: float
    image: float
    joint: float
    truth: float


class Drawn(NamedTuple):
    """Questions; every value is from 0 to 7."""

    answer: Int[np.ndarray, "question"]
    type: Int[np.ndarray, "question"]
    keyword: Int[np.ndarray, "question"]
    noun: Int[np.ndarray, "question"]
    object: Int[np.ndarray, "question"]
    badge: Int[np.ndarray, "question"]
    colour: Int[np.ndarray, "question"]


def draw(count: int, dials: Dials, rng: np.random.Generator) -> Drawn:
    """Return so many questions."""
    answer, keyword, noun = (rng.integers(COUNT, size=count) for _ in range(3))

    def pointing(strength: float) -> np.ndarray:
        return np.where(rng.random(count) < strength, answer, rng.integers(COUNT, size=count))

    asked, seen = pointing(dials.text), pointing(dials.image)
    badge, colour = (pointing(dials.joint) - keyword) % COUNT, (pointing(dials.truth) - noun) % COUNT
    return Drawn(answer, asked, keyword, noun, seen, badge, colour)


def evidence(drawn: Drawn, dials: Dials) -> dict[str, Float[np.ndarray, "question answer"]]:
    """Return log-likelihoods of each answer by piece of evidence: text, image, joint, truth."""
    pointed = {
        "text": drawn.type,
        "image": drawn.object,
        "joint": (drawn.keyword + drawn.badge) % COUNT,
        "truth": (drawn.noun + drawn.colour) % COUNT,
    }
    made: dict[str, np.ndarray] = {}
    for name, to in pointed.items():
        strength = getattr(dials, name)
        log_p = np.full((len(to), COUNT), np.log((1 - strength) / COUNT + 1e-12))
        log_p[np.arange(len(to)), to] = np.log(strength + (1 - strength) / COUNT)
        made[name] = log_p
    return made


OBSERVERS: Mapping[str, Sequence[str]] = {
    "unimodal_question": ("text",),
    "unimodal_picture": ("image",),
    "intra": ("text", "image"),
    "inter": ("text", "image", "joint", "truth"),
    "shortcut_free": ("truth",),
    "i2m2": ("text", "image", "text", "image", "joint", "truth"),
}
"""By paradigm, the evidence that its ideal experts multiply: the product of all three counts each shortcut of one modality twice."""


def observed(drawn: Drawn, dials: Dials) -> dict[str, Float[np.ndarray, "question answer"]]:
    """Return what each ideal observer believes, log-probabilities."""
    by_piece = evidence(drawn, dials)
    return {name: log_softmax(sum(by_piece[piece] for piece in pieces), axis=1) for name, pieces in OBSERVERS.items()}


def tail(groups: Sequence[np.ndarray], answer: np.ndarray) -> np.ndarray:
    """(question,): whether its answer is rare in its group: not among those that make up the first half of the group's questions.

    groups: values that together name a group. Groups whose answers are even (entropy above 0.95 of the largest) have no tail.
    """
    _, code = np.unique(np.stack(groups), axis=1, return_inverse=True)
    counts = np.zeros((code.max() + 1, COUNT))
    np.add.at(counts, (code, answer), 1)
    share = counts / counts.sum(axis=1, keepdims=True)
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(axis=1) / np.log(COUNT)
    order = np.argsort(-share, axis=1)
    before = np.cumsum(np.take_along_axis(share, order, axis=1), axis=1) - np.take_along_axis(share, order, axis=1)
    rare = np.zeros_like(share, dtype=bool)
    np.put_along_axis(rare, order, before >= 0.5, axis=1)
    return (rare & (entropy < 0.95)[:, None])[code, answer]


def shifts(drawn: Drawn) -> dict[str, np.ndarray]:
    """Return by the official names which questions are of each shifted set. KO is the object, KOP object and badge."""
    asked, word, noun, seen, badge = drawn.type, drawn.keyword, drawn.noun, drawn.object, drawn.badge
    groups = {
        "QT": [asked],
        "KW": [asked, noun],
        "KWP": [asked, word, noun],
        "QT+KW": [asked, word],
        "KO": [seen],
        "KOP": [seen, badge],
        "QT+KO": [asked, seen],
        "KW+KO": [word, seen],
        "QT+KW+KO": [asked, word, seen],
    }
    return {name: tail(each, drawn.answer) for name, each in groups.items()}
