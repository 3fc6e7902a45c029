"""Changes of NLVR v1's object sets and sentences that keep a statement's truth: boxes permuted, colours renamed, left and right mirrored.

Colours are renamed and sides mirrored in the sentence too, so nothing is flipped under a "left" that stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms.transform import MapTransform, Randomizable
from torch import Tensor

from i2m2_med.errors import ConfigError
from i2m2_med.samples.nlvr.scenes import COLOUR, COLOURS, EDGES, FEATURES, THERE, X
from i2m2_med.sources.text.tokens import token

MIRRORED = (("left", "right"), ("leftmost", "rightmost"))
COUNTED = ("first", "second", "third", "last", "1st", "2nd", "3rd")
"""Words that count boxes from the left: nothing is mirrored under them."""
ORDERED = (*COUNTED, "middle", "left", "right", "leftmost", "rightmost")
"""Words under which boxes stay in their order."""


class RandSceneSymmetryd(MapTransform, Randomizable):
    """`picture` (box, object, feature) and `sentence` (1, token), each symmetry with probability `prob`.

    After `ObjectSetd` and `HashedWordsd` of the same vocabulary.
    """

    def __init__(
        self, keys: str | Sequence[str] = ("picture", "sentence"), vocabulary: int = 4096, prob: float = 0.5
    ) -> None:
        super().__init__(keys)
        self.prob = prob
        known = [*COLOURS, *(word for pair in MIRRORED for word in pair), *ORDERED]
        self.words = {word: token(word, vocabulary) for word in known}
        if len(set(self.words.values())) < len(self.words):
            raise ConfigError(
                f"RandSceneSymmetryd: of {vocabulary} buckets two words share one; give another vocabulary"
            )
        self.ordered, self.counted = (torch.tensor([self.words[one] for one in of]) for of in (ORDERED, COUNTED))

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        record = dict(data)
        boxes, objects, colours, mirror = (bool(draw) for draw in self.R.random(4) < self.prob)
        order, renamed = self.R.permutation(3), self.R.permutation(len(COLOURS))
        picture, sentence = (record.get(str(key)) for key in self.keys)
        if picture is None or sentence is None or picture.shape[-1] != FEATURES:
            return record
        ordered = torch.isin(sentence, self.ordered).any()
        if boxes and not ordered:
            picture = picture[torch.from_numpy(order)]
        if objects:
            picture = picture[:, torch.from_numpy(self.R.permutation(picture.shape[1]))]
        if colours:
            names = list(COLOURS)
            picture = picture.clone()
            picture[..., COLOUR + torch.from_numpy(renamed)] = picture[..., COLOUR : COLOUR + len(names)].clone()
            sentence = self.swapped(sentence, {name: names[to] for name, to in zip(names, renamed, strict=True)})
        if mirror and not torch.isin(sentence, self.counted).any():
            picture = mirrored(picture)
            both = {one: other for pair in MIRRORED for one, other in (pair, pair[::-1])}
            sentence = self.swapped(sentence, both)
        return {**record, str(self.keys[0]): picture, str(self.keys[1]): sentence}

    def swapped(self, sentence: Tensor, words: Mapping[str, str]) -> Tensor:
        """The sentence with some words in the place of others, all at once."""
        changed = sentence.clone()
        for word, other in words.items():
            changed[sentence == self.words[word]] = self.words[other]
        return changed


def mirrored(picture: Tensor) -> Tensor:
    """Boxes (in turned order) and objects as in a mirror: x from the other side, left and right walls for one another."""
    changed = picture.flip(0).clone()
    there = changed[..., THERE] > 0
    changed[..., X] = torch.where(there, 1 - changed[..., X], changed[..., X])
    changed[..., [EDGES, EDGES + 1]] = changed[..., [EDGES + 1, EDGES]]
    return changed
