"""A coronal knee in closed form: u runs from the thigh (−) to the shin (+), v across the leg."""

import numpy as np

from i2m2_med.simulate.fastmri.anatomy import Anatomy, Plane, Pose, Protocol, inside, softness, texture

FAT_SUPPRESSED, PLAIN = "CORPDFS_FBK", "CORPD_FBK"
PIXEL_MM = 0.4375
SLICE_MM = 3.0
FIRST_FILE = 1000001


def tissue(u: Plane, v: Plane, pose: Pose, rng: np.random.Generator) -> Plane:
    """Signal of the healthy knee (readout, phase), 0 in air, about 1 in bright tissue, with texture that no slice repeats."""
    soft = softness(v)
    fat, marrow = (0.45, 0.5) if pose.acquisition == FAT_SUPPRESSED else (1.0, 0.8)
    condyle = 1 - 0.12 * pose.depth**2

    def within(distance: Plane) -> Plane:
        return inside(distance, soft)

    leg = within(1.02 + 0.04 * np.cos(3 * u) - np.abs(v))
    muscle = within(0.9 + 0.04 * np.cos(3 * u) - np.abs(v))
    shaft = within(0.32 + 0.4 * np.exp(-(((np.abs(u) - 0.5) / 0.3) ** 2)) - np.abs(v)) * within(np.abs(u) - 0.45)
    knobs = within(0.42 * condyle - np.hypot((u + 0.36), (np.abs(v) - 0.42 * condyle)))
    plateau = within(0.78 - 0.3 * (u - 0.2) - np.abs(v)) * within(u - 0.24) * within(0.85 - u)
    bone = np.maximum(np.maximum(shaft, knobs), plateau)
    joint = within(0.16 - np.abs(u - 0.1)) * within(0.85 - np.abs(v))
    meniscus = within(0.13 - np.abs(u - 0.1) - 0.4 * np.maximum(0.85 - np.abs(v), 0) + 0.1) * joint
    cord = within(0.07 - np.abs(v + 0.35 * (u - 0.05))) * within(0.42 - np.abs(u))

    signal = leg * fat
    for mask, brightness in ((muscle, 0.6), (joint, 0.85), (bone, marrow), (meniscus, 0.5), (cord, 0.55)):
        signal += mask * (brightness - signal)
    rim = bone * (1 - bone) * 4
    signal *= 1 - 0.5 * rim
    return (signal * (1 + texture(u.shape, 0.02 * u.shape[0] / 4, 0.05, rng))).astype(np.float32)


KNEE = Anatomy(
    name="knee",
    labels=("abnormal", "meniscus_tear", "acl", "cartilage"),
    within={"abnormal": (0.58, -0.4), "meniscus_tear": (0.1, -0.68), "acl": (-0.2, 0.0), "cartilage": (-0.42, -0.5)},
    between={"abnormal": (0.58, 0.4), "meniscus_tear": (0.1, 0.68), "acl": (0.22, 0.0), "cartilage": (-0.42, 0.5)},
    radius=0.16,
    findings={
        "abnormal": (
            "Joint Effusion ",
            "Bone- Subchondral edema",
            "Bone-Fracture/Contusion/dislocation",
            "Periarticular cysts",
            "Ligament - MCL Low-Mod Grade Sprain",
            "Displaced Meniscal Tissue",
        ),
        "meniscus_tear": ("Meniscus Tear",),
        "acl": ("Ligament - ACL Low Grade sprain", "Ligament - ACL High Grade Sprain"),
        "cartilage": ("Cartilage - Partial Thickness loss/defect", "Cartilage - Full Thickness loss/defect"),
    },
    blemish="artifact",
    list_ends="\nKnee data\n",
    acquisitions=(FAT_SUPPRESSED, PLAIN),
    protocol=Protocol("FFS", PIXEL_MM, SLICE_MM),
    tissue=tissue,
    file_name=lambda number, _: f"file{FIRST_FILE + number}",
)
