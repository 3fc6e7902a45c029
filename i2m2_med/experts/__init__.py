"""Experts: tensors of the modalities an expert reads → logits (batch, label, classes). One network per file."""

from i2m2_med.experts.columns import ColumnsEncoder, ColumnsTransformer
from i2m2_med.experts.efficientnet import EfficientNetLite
from i2m2_med.experts.feature_head import FeatureHead
from i2m2_med.experts.film import FiLMSets
from i2m2_med.experts.fusion import LateFusion, LowRankFusion
from i2m2_med.experts.grud import GRUD, GRUDEncoder
from i2m2_med.experts.headless import ImageEncoder
from i2m2_med.experts.huggingface import (
    HuggingFaceEncoder,
    HuggingFaceJoint,
    HuggingFaceNotes,
    HuggingFacePair,
    HuggingFacePictures,
)
from i2m2_med.experts.i2moe import I2MoE
from i2m2_med.experts.joint import Joint, SeriesEncoder, StaticEncoder
from i2m2_med.experts.lenet import LeNet, LeNetEncoder
from i2m2_med.experts.notes import NotesAttention, NotesEncoder
from i2m2_med.experts.parts import ObjectParts, PictureParts
from i2m2_med.experts.preact_resnet import PreActEncoder, PreActResNet18
from i2m2_med.experts.series_transformer import SeriesTransformer, SeriesTransformerEncoder
from i2m2_med.experts.signal_resnet import SignalEncoder
from i2m2_med.experts.static_series import SeriesGRU, StaticMLP, StaticSeriesJoint
from i2m2_med.experts.token_transformer import TokenTransformer
from i2m2_med.experts.wide_resnet import WideResNet
from i2m2_med.experts.words import WordsGRU

__all__ = [
    "GRUD",
    "ColumnsEncoder",
    "ColumnsTransformer",
    "EfficientNetLite",
    "FeatureHead",
    "FiLMSets",
    "GRUDEncoder",
    "HuggingFaceEncoder",
    "HuggingFaceJoint",
    "HuggingFaceNotes",
    "HuggingFacePair",
    "HuggingFacePictures",
    "I2MoE",
    "ImageEncoder",
    "Joint",
    "LateFusion",
    "LeNet",
    "LeNetEncoder",
    "LowRankFusion",
    "NotesAttention",
    "NotesEncoder",
    "ObjectParts",
    "PictureParts",
    "PreActEncoder",
    "PreActResNet18",
    "SeriesEncoder",
    "SeriesGRU",
    "SeriesTransformer",
    "SeriesTransformerEncoder",
    "SignalEncoder",
    "StaticEncoder",
    "StaticMLP",
    "StaticSeriesJoint",
    "TokenTransformer",
    "WideResNet",
    "WordsGRU",
]
