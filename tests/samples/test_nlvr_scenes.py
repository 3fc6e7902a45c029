"""Scenes: what is drawn is found again, and symmetries keep a statement's truth."""

import numpy as np
import pytest
import torch

from i2m2_med.samples.nlvr.scenes import COLOUR, COLOURS, SHAPES, SIZES, ObjectSetd, Panelsd, objects_in
from i2m2_med.samples.nlvr.symmetries import RandSceneSymmetryd
from i2m2_med.samples.words import HashedWordsd
from i2m2_med.simulate.nlvr.scenes import Scene, draw_scene, render
from i2m2_med.simulate.nlvr.write import draw_presentation
from i2m2_med.sources.text.tokens import token


def pixels(scene: Scene) -> np.ndarray:
    return np.asarray(render(scene).convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("seed", range(7))
def test_every_object_that_was_drawn_is_found(seed):
    scene = draw_scene(np.random.default_rng(seed))
    for at, box in enumerate(scene):
        found = objects_in(pixels(scene)[:, :, at * 150 : at * 150 + 100])
        seen = sorted((list(COLOURS)[one.colour], SHAPES[one.shape], SIZES[one.size]) for one in found)
        assert seen == sorted((one.colour, one.shape, one.size) for one in box)


def sample(scene: Scene, text: str) -> dict[str, torch.Tensor]:
    record = {"picture": torch.from_numpy(pixels(scene)[None].copy()).float() / 255, "_sentence": text}
    return HashedWordsd()(ObjectSetd()(Panelsd()(record)))


@pytest.mark.parametrize("seed", range(5))
def test_a_symmetry_keeps_what_a_statement_says(seed):
    """'There is a yellow circle on the left': counted in the object set before and after."""
    scene = draw_scene(np.random.default_rng(seed))
    change = RandSceneSymmetryd(prob=1.0)
    change.set_random_state(seed)
    before = sample(scene, "there is a yellow thing on the left")
    after = change(dict(before))
    names = {token(name, 4096): at for at, name in enumerate(COLOURS)}
    sides = {token("left", 4096): -1.0, token("right", 4096): 1.0}

    def said(one: dict[str, torch.Tensor]) -> list[float]:
        words = one["sentence"][0].tolist()
        colour = next(names[word] for word in words if word in names)
        side = next(sides[word] for word in words if word in sides)
        things = one["picture"].flatten(0, 1)
        return sorted(((things[things[:, COLOUR + colour] > 0][:, 10] - 0.5) * side).round(decimals=4).tolist())

    assert said(after) == said(before)
    assert not torch.equal(after["sentence"], before["sentence"])


def test_nothing_is_mirrored_under_a_word_that_counts_boxes():
    scene = draw_scene(np.random.default_rng(1))
    change = RandSceneSymmetryd(prob=1.0)
    change.set_random_state(0)
    before = sample(scene, "the first box holds a circle")
    after = change(dict(before))
    per_box = [one["picture"][..., 10].sort(dim=1).values for one in (before, after)]
    torch.testing.assert_close(per_box[0], per_box[1])


def test_a_simulated_scene_and_a_sentence_alone_say_nothing():
    scenes, sentences = draw_presentation(np.random.default_rng(3))
    truth = [[sentence.true_of(scene) for scene in scenes] for sentence in sentences]
    assert truth == [[True, False], [False, True]]
