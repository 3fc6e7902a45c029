"""fastMRI knee: from k-space slices to magnitude and phase samples, their shifts and pictures."""
