"""Tables of a stranger: from a row's paths to images."""

TRANSFORMS = {
    "LoadFiled": "i2m2_med.samples.table.transforms",
    "Pathsd": "i2m2_med.samples.table.transforms",
}
"""By public name, the module that defines it."""
