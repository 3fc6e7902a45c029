"""Name maps: every tensor of ours answers to exactly one published name that exists, of the same shape."""

import subprocess
import sys

import pytest

from i2m2_med.experts import (
    LateFusion,
    LeNet,
    LowRankFusion,
    PreActResNet18,
    SeriesGRU,
    StaticMLP,
    StaticSeriesJoint,
    WideResNet,
)

CASES = {
    "knee joint": (lambda: PreActResNet18(channels=2), "knee", None),
    "knee magnitude": (lambda: PreActResNet18(channels=1), "knee", None),
    "static": (lambda: StaticMLP(classes=2), "mimic_icd9", "unimodal_0"),
    "series": (lambda: SeriesGRU(classes=2), "mimic_icd9", "unimodal_1"),
    "static and series": (lambda: StaticSeriesJoint(classes=2), "mimic_icd9", "inter"),
    "image": (lambda: LeNet(size=28), "avmnist", "unimodal_0"),
    "audio": (lambda: LeNet(size=112), "avmnist", "unimodal_1"),
    "late fusion": (LateFusion, "avmnist", "lf"),
    "low-rank fusion": (LowRankFusion, "avmnist", "lrtf"),
}
NEVER_USED = {"inter", "intra_1", "intra_2", "conv1.weight", "conv1_p.weight", "bn1.weight", "bn1.bias"}


@pytest.mark.parametrize("case", CASES)
def test_names_and_shapes_are_the_published(case, golden):
    build, file, prefix = CASES[case]
    network, listed = build(), golden(file)
    published = dict(listed["param_names"][prefix] if prefix else listed["parameters_of_model_cat"])
    names, state = network.published_names(), network.state_dict()
    assert list(names) == list(state)
    assert len(set(names.values())) == len(names)
    learnt = {
        ours for ours, _ in network.named_parameters() if "factors" not in ours
    }  # the published list has no factors
    assert {names[ours]: list(state[ours].shape) for ours in learnt}.items() <= published.items()
    unused = set(published) - set(names.values())
    assert all(name in NEVER_USED or name.startswith(("globalpool2", "bn_2D", "bn_3D")) for name in unused)


def test_a_network_without_published_code_says_so():
    assert WideResNet(widen=1).published_names() == {}


def test_importing_experts_does_not_import_monai():
    code = "import sys, i2m2_med.experts; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
