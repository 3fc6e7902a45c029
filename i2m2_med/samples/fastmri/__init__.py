"""fastMRI: from k-space slices to magnitude and phase samples, their shifts and pictures."""

TRANSFORMS = {
    "LoadSliced": "i2m2_med.samples.fastmri.transforms",
    "Reconstructd": "i2m2_med.samples.fastmri.transforms",
    "Modalitiesd": "i2m2_med.samples.fastmri.transforms",
    "Undersampled": "i2m2_med.samples.undersampling",
}
"""By public name, the module that defines it."""
