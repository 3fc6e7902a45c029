"""What a process does of a training that another one leads: its shard of every batch, and nothing that is kept."""

from i2m2_med.engine.training.experiment import Experiment
from i2m2_med.engine.training.processes import as_the_leader_says


def follow(experiment: Experiment, paradigm: str, seed: int) -> None:
    """Take part in what the leader trains of a paradigm and seed, fold by fold (`cross_validation.train`)."""
    if as_the_leader_says(False):  # it was done before
        return
    if experiment.run.split.cross_validated:
        for fold in range(experiment.run.split.folds or 0):
            follow(experiment.of_fold(fold), paradigm, seed)
    else:
        experiment.train_model(paradigm, seed, lambda *_: None)
