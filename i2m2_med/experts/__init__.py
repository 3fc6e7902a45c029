"""Experts: tensors of the modalities an expert reads → logits (batch, label, classes). One network per file."""

from i2m2_med.experts.fusion import LateFusion, LowRankFusion
from i2m2_med.experts.lenet import LeNet
from i2m2_med.experts.mimic import SeriesGRU, StaticMLP, StaticSeriesJoint
from i2m2_med.experts.preact_resnet import PreActResNet18
from i2m2_med.experts.wide_resnet import WideResNet

__all__ = [
    "LateFusion",
    "LeNet",
    "LowRankFusion",
    "PreActResNet18",
    "SeriesGRU",
    "StaticMLP",
    "StaticSeriesJoint",
    "WideResNet",
]
