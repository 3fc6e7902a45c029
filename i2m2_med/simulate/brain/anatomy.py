"""An axial brain in closed form: u runs from the forehead (−) to the back of the head (+), v across."""

import numpy as np

from i2m2_med.simulate.fastmri.anatomy import Anatomy, Plane, Pose, Protocol, inside, softness, texture

SIGNAL = {
    "AXT1": {"scalp": 1.0, "fluid": 0.25, "grey": 0.6, "white": 0.85},
    "AXT1POST": {"scalp": 1.0, "fluid": 0.25, "grey": 0.68, "white": 0.85},
    "AXT2": {"scalp": 0.8, "fluid": 1.0, "grey": 0.65, "white": 0.45},
    "AXFLAIR": {"scalp": 0.8, "fluid": 0.25, "grey": 0.75, "white": 0.6},
}
"""Brightness of tissues by acquisition."""
BATCHES = {"AXT1": 202, "AXT1POST": 200, "AXT2": 200, "AXFLAIR": 201}
"""The batch of each acquisition, a number in the names of fastMRI's files."""
FIRST_FILE = 6000001
PIXEL_MM = 0.6875
SLICE_MM = 5.0


def tissue(u: Plane, v: Plane, pose: Pose, rng: np.random.Generator) -> Plane:
    """Signal of a brain without a finding (readout, phase), 0 in air, about 1 in bright tissue, with texture that no slice repeats."""
    soft, bright = softness(v), SIGNAL[pose.acquisition]
    radius = np.hypot(u / 0.97, v / 0.82)
    angle = np.arctan2(v, u)
    folds = 0.035 * np.cos(14 * angle) * (1 - 0.4 * pose.depth)
    open_ = 0.6 + 0.4 * np.cos(1.5 * pose.depth)

    def within(distance: Plane) -> Plane:
        return inside(distance, soft)

    head, skull = within(0.98 - radius), within(0.92 - radius) * within(radius - 0.87)
    brain, white = within(0.82 - radius), within(0.7 + folds - radius)
    horns = within(0.2 * open_ - np.hypot((u - 0.02) / 1.6, (np.abs(v) - 0.11) / 0.5))
    cleft = within(0.012 - np.abs(v)) * within(np.abs(u) - 0.35)
    signal = head * bright["scalp"]
    layers = ((within(0.92 - radius), bright["fluid"]), (brain, bright["grey"]), (white, bright["white"]))
    for mask, brightness in (*layers, (horns * brain, bright["fluid"]), (cleft * brain, bright["fluid"])):
        signal += mask * (brightness - signal)
    signal *= 1 - 0.85 * skull
    return (signal * (1 + texture(u.shape, 0.02 * u.shape[0] / 4, 0.05, rng))).astype(np.float32)


BRAIN = Anatomy(
    name="brain",
    labels=("abnormal", "white_matter_lesion", "nonspecific_lesion", "posttreatment", "mass", "small_vessel_disease"),
    of_studies=frozenset({"small_vessel_disease"}),
    within={
        "abnormal": (-0.54, -0.24),
        "white_matter_lesion": (-0.18, -0.42),
        "nonspecific_lesion": (0.18, -0.42),
        "posttreatment": (0.54, -0.24),
        "mass": (-0.36, 0.0),
        "small_vessel_disease": (0.0, 0.0),
    },
    between={
        "abnormal": (-0.54, 0.24),
        "white_matter_lesion": (-0.18, 0.42),
        "nonspecific_lesion": (0.18, 0.42),
        "posttreatment": (0.54, 0.24),
        "mass": (0.36, 0.0),
        "small_vessel_disease": (0.72, 0.0),
    },
    radius=0.1,
    findings={
        "abnormal": ("Edema", "Dural thickening", "Enlarged ventricles", "Lacunar infarct", "Encephalomalacia"),
        "white_matter_lesion": ("Nonspecific white matter lesion",),
        "nonspecific_lesion": ("Nonspecific lesion",),
        "posttreatment": ("Posttreatment change", "Craniotomy", "Resection cavity"),
        "mass": ("Mass", "Extra-axial mass"),
        "small_vessel_disease": ("Global label: Small vessel chronic white matter ischemic change",),
    },
    blemish="Motion artifact",
    normal="Normal for age",
    healthy=0.37,
    acquisitions=("AXFLAIR", "AXFLAIR", "AXFLAIR", "AXT1", "AXT1", "AXT1POST", "AXT1POST", "AXT2"),
    unreviewed=frozenset({"AXT2"}),
    protocol=Protocol("HFS", PIXEL_MM, SLICE_MM),
    tissue=tissue,
    file_name=lambda number, acquisition: f"file_brain_{acquisition}_{BATCHES[acquisition]}_{FIRST_FILE + number}",
)
