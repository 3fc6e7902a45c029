"""NLVR: from pictures and sentences to boxes, object sets and hashed words; symmetries that keep a statement's truth."""

TRANSFORMS = {
    "LoadPicturesd": "i2m2_med.samples.photographs",
    "HashedWordsd": "i2m2_med.samples.words",
    "Panelsd": "i2m2_med.samples.nlvr.scenes",
    "ObjectSetd": "i2m2_med.samples.nlvr.scenes",
    "RandSceneSymmetryd": "i2m2_med.samples.nlvr.symmetries",
}
"""By public name, the module that defines it."""
