"""The words of a report, for a reader who knows medicine and not this method."""

from i2m2_med.report.pages.html import Section

GLOSSARY = Section(
    "Glossary",
    terms={
        "Paradigm": "A choice of experts: each modality alone (unimodal), all of them multiplied (intra), one network that reads all (inter), or both (I2M2).",
        "Expert": "One network that reads one modality, or all of them, and gives a probability for every class.",
        "Product of experts": "The experts' probabilities multiplied and made to add up to one; an expert whose modality is missing says nothing.",
        "Reference": "The paradigm that all others are compared with.",
        "95 % interval": "Of repetitions of the study on other patients, 95 in 100 such intervals hold the true value. Patients are resampled, not slices or stays.",
        "AUROC": "The chance that a sample with the finding gets a higher score than one without; 0.5 is guessing.",
        "Average precision": "The area under the precision–recall curve; guessing gives the prevalence.",
        "NLL": "Negative log-likelihood, in nats: the mean of −log of the probability that was given to what came true. Lower is better.",
        "Brier score": "The mean squared error of the probabilities. Lower is better.",
        "ECE": "Expected calibration error: how far probabilities are from the share that comes true. It is above zero by chance alone, so chance stands beside it.",
        "Conformal set": "The classes that can't be excluded; it misses the truth in at most the promised share of samples like those of validation.",
        "Holm's adjustment": "A correction of p for having tested several rivals.",
        "Within and between": "Signal within modalities can be had from each alone; signal between them only from their relation.",
        "Nat": "A unit of information: 0.69 nats tell two equally likely classes apart for certain.",
        "Ideal observer": "Who knows the rule by which data were simulated: nobody can do better on them. Real data have none.",
    },
)
