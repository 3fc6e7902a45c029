"""What simulated fastMRI data sets share, whatever part of the body they show: evidence, acquisition, files, ideal observer."""
