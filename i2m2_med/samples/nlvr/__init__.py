"""NLVR: from pictures and sentences to boxes and object sets; symmetries that keep a statement's truth."""

TRANSFORMS = {
    "Panelsd": "i2m2_med.samples.nlvr.scenes",
    "ObjectSetd": "i2m2_med.samples.nlvr.scenes",
    "RandSceneSymmetryd": "i2m2_med.samples.nlvr.symmetries",
}
"""By public name, the module that defines it."""
