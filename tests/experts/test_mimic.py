"""The MIMIC-III experts: published sizes, any number of channels, hours, labels and classes."""

import pytest
import torch

from i2m2_med.experts import SeriesGRU, StaticMLP, StaticSeriesJoint


@pytest.mark.parametrize(("build", "parameters"), [(StaticMLP, 856), (SeriesGRU, 19_111), (StaticSeriesJoint, 33_616)])
def test_published_sizes_without_dead_scalars(build, parameters):
    assert sum(tensor.numel() for tensor in build().parameters()) == parameters


def test_other_tables_hours_and_labels():
    network = StaticSeriesJoint(channels=3, hours=5, static_channels=2, labels=4, classes=2)
    assert network(torch.randn(1, 2), torch.randn(1, 5, 3)).shape == (1, 4, 2)
    assert SeriesGRU(channels=3, hours=5, labels=4, classes=2)(torch.randn(2, 5, 3)).shape == (2, 4, 2)
    assert StaticMLP(channels=7, labels=4, classes=2)(torch.randn(2, 7)).shape == (2, 4, 2)
