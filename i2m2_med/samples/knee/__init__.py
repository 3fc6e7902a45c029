"""fastMRI knee: from k-space slices to magnitude and phase samples, their shifts and pictures."""

TRANSFORMS = {
    "LoadSliced": "i2m2_med.samples.knee.transforms",
    "Reconstructd": "i2m2_med.samples.knee.transforms",
    "Modalitiesd": "i2m2_med.samples.knee.transforms",
    "Undersampled": "i2m2_med.samples.undersampling",
}
"""By public name, the module that defines it."""
