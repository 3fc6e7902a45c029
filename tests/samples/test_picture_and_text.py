"""Laws of shifts of pictures with a text: padding and the last word stay, what is drawn depends on sample and severity alone."""

import polars as pl
import pytest
import torch

from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.picture_and_text import noisy, suite, without_words
from i2m2_med.samples.shifts import suite_for
from i2m2_med.sources import nlvr, vqa_rad, vqa_vs
from i2m2_med.sources.source import Labels

TEXT = torch.tensor([[3, 7, 9, 4, 8, 0, 0]])


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_has_its_deviation_and_leaves_padding():
    picture = torch.ones(2, 3, 40, 40)
    picture[1] = 0
    made = noisy(picture, 0.2, generator())
    assert (made[0] - 1).std() == pytest.approx(0.2, rel=0.05)
    assert (made[1] == 0).all()
    assert torch.equal(noisy(picture, 0.0, generator()), picture)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_words_are_lost_in_place_and_never_all(share):
    for seed in range(20):
        made = without_words(TEXT, share, generator(seed))
        assert (made != 0).any()
        assert ((made == TEXT) | (made == 0)).all()


def test_a_severer_loss_takes_the_words_of_a_milder_one_too():
    for seed in range(20):
        mild, severe = (without_words(TEXT, share, generator(seed)) for share in (0.1, 0.5))
        assert (mild[severe != 0] != 0).all()


def test_what_is_drawn_depends_on_the_sample_alone():
    records = pl.DataFrame({"patient": list("abc"), "study": list("abc"), "item": 0, "label_y": [0, 1, 0]})
    records = records.with_columns(split=pl.lit("test"), has_picture=pl.lit(True), has_text=pl.lit(True))
    arrays = {"picture": torch.ones(3, 1, 3, 6, 6).numpy(), "text": TEXT.expand(3, 1, 7).numpy()}
    samples = Samples(records, Labels(("y",), ("no", "yes")), ("picture", "text"), arrays)
    for shift in suite("own", "picture", "text").shifts.values():
        changed = shift.change(samples, shift.severities[-1])
        together, alone = changed.__getitems__([0, 1, 2]), changed.__getitems__([2])
        for name in ("picture", "text"):
            assert torch.equal(together.inputs[name][2], alone.inputs[name][0])
        assert torch.equal(together.target, samples.__getitems__([0, 1, 2]).target)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (nlvr.Source(nlvr.Settings(root="x")), "nlvr"),
        (nlvr.Source(nlvr.Settings(root="x", version=2)), "nlvr"),
        (vqa_rad.Source(vqa_rad.Settings(root="x")), "vqa"),
        (vqa_vs.Source(vqa_vs.Settings(root="x")), "vqa"),
    ],
)
def test_each_data_set_of_pictures_with_a_text_has_both_shifts(source, name):
    assert set(suite_for(name, source)) == {"picture_noise", "words_lost"}
