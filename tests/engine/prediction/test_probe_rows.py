"""Shapes are checked on samples that hold what an expert reads, wherever they stand."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from i2m2_med.engine.prediction.build import check_shapes, probe_rows
from i2m2_med.errors import ConfigError
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples
from i2m2_med.sources.source import Labels


def samples(**there: list[bool]) -> Samples:
    n = len(next(iter(there.values())))
    columns = {f"has_{name}": held for name, held in there.items()}
    records = pl.DataFrame({"label_y": [0] * n, **columns})
    arrays = {name: np.where(np.array(held)[:, None], np.float32(1), np.nan) for name, held in there.items()}
    return Samples(records, Labels(("y",), ("no", "yes")), tuple(there), arrays)


def model(width: int = 1, **reads: tuple[str, ...]) -> I2M2:
    return I2M2({name: Concatenated(len(read) * width) for name, read in reads.items()}, reads, nn.Identity(), (1, 2))


class Concatenated(nn.Linear):
    def __init__(self, width: int) -> None:
        super().__init__(width, 2)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.cat(inputs, dim=1))


def test_each_expert_is_asked_about_rows_that_it_can_read():
    data = samples(a=[False, False, True, True, False], b=[True, True, False, False, True])
    asked = model(one=("a",), two=("b",))
    assert (probe_rows(asked, "one", data), probe_rows(asked, "two", data)) == ((2, 3), (0, 1))
    check_shapes(asked, data)
    whole = samples(a=[True, False, True, True], b=[True, True, True, False])
    assert {probe_rows(model(one=("a",), two=("b",)), name, whole) for name in ("one", "two")} == {(0, 2)}


def test_an_expert_that_nothing_can_be_read_by_is_refused():
    data = samples(a=[False, True], b=[True, False])
    with pytest.raises(ConfigError, match="no training sample has a and b, which expert 'joint' reads"):
        check_shapes(model(joint=("a", "b")), data)


def test_a_network_of_other_shapes_is_named():
    with pytest.raises(ConfigError, match=r"expert 'one' can't read a \(1, 1\)"):
        check_shapes(model(3, one=("a",)), samples(a=[False, True]))
