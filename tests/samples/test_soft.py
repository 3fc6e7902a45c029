"""Soft scores: sparse beside the records, dense in a batch."""

import polars as pl
import torch

from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.soft import read_soft
from i2m2_med.sources.source import Labels

LABELS = Labels(("answer",), ("yes", "no", "two", "red"))
SCORES = [[{"class": 0, "score": 1.0}, {"class": 3, "score": 1 / 3}], [], [{"class": 2, "score": 2 / 3}]]
DENSE = torch.tensor([[[1, 0, 0, 1 / 3]], [[0, 0, 0, 0]], [[0, 0, 2 / 3, 0]]])


def records(with_scores: bool = True) -> pl.DataFrame:
    schema = {"soft_answer": pl.List(pl.Struct({"class": pl.Int16, "score": pl.Float32}))}
    frame = pl.DataFrame({"patient": ["a", "b", "c"], "study": ["a", "b", "c"], "item": 0, "label_answer": [0, -2, 2]})
    return frame.with_columns(pl.DataFrame({"soft_answer": SCORES}, schema=schema)) if with_scores else frame


def test_scores_are_dense_in_a_batch_and_follow_their_rows():
    samples = Samples(records(), LABELS, [])
    torch.testing.assert_close(samples.__getitems__([2, 0]).target, DENSE[[2, 0]])
    torch.testing.assert_close(samples.take(torch.tensor([1, 2]).numpy()).__getitems__([1]).target, DENSE[[2]])


def test_a_class_has_its_score_and_no_other():
    soft = read_soft(records(), LABELS.names, 4)
    every = torch.arange(4).expand(3, 1, 4)
    torch.testing.assert_close(soft.of(every), DENSE)


def test_shares_sum_to_the_samples_that_have_a_score():
    shares = read_soft(records(), LABELS.names, 4).shares()
    torch.testing.assert_close(shares, torch.tensor([[0.75, 0.0, 1.0, 0.25]]))


def test_without_the_column_targets_are_class_indices():
    samples = Samples(records(with_scores=False), LABELS, [])
    assert samples.soft is None
    assert samples.__getitems__([0, 1]).target.tolist() == [[0], [-2]]
