"""A paradigm on one split, or on every fold of a cross-validation: then out-of-fold predictions are pooled and the models put together.

A fold's model is trained, calibrated and given its thresholds on the fold's own training and validation patients. Its predictions for
the patients whom it has never seen are pooled, calibrated as they are, into one table that is judged; the ensemble of all folds is
what can be registered and scored. Nobody is left to calibrate the ensemble on, so it is calibrated on the pooled predictions of its
members, which are a little less sure than it is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.engine.calibration.calibrate import fit_calibration
from i2m2_med.engine.prediction.predictor import Member, Predictor, load_model
from i2m2_med.engine.prediction.withheld_modalities import fit_withheld
from i2m2_med.engine.tracking.run import Tracker
from i2m2_med.engine.training.experiment import Experiment, Made, Trained
from i2m2_med.ensemble import FoldEnsemble, common_state
from i2m2_med.errors import ConfigError
from i2m2_med.predictions import MANY
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.envelope import fit_envelope
from i2m2_med.samples.preparing import open_source


def train(experiment: Experiment, paradigm: str, seed: int) -> Trained:
    """Train a paradigm with one seed: on the experiment's split, or on each of its folds; what an interrupted call finished is kept."""
    if not experiment.run.split.cross_validated:
        return experiment.train(paradigm, seed)
    return experiment.record_once(paradigm, seed, lambda tracker: train_folds(experiment, paradigm, seed, tracker))


def train_folds(experiment: Experiment, paradigm: str, seed: int, tracker: Tracker) -> Made:
    """Return the ensemble of all folds' models, their pooled predictions and cost; the folds' runs become children of `tracker`'s."""
    if (classes := len(experiment.cohort.labels.classes)) > MANY:
        raise ConfigError(f"split.folds is for labels of at most {MANY} classes, these have {classes}; give one split")
    folds = range(experiment.run.split.folds or 0)
    made = [experiment.of_fold(fold, tracker).train(paradigm, seed) for fold in folds]
    table = pool([one.read() for one in made])
    models = [load_model(one.model) for one in made]
    spent = {name: sum(one.cost[name] for one in made) for name in ("epochs", "seconds")}
    cost = made[0].cost | spent  # parameters: of one model
    return fold_ensemble(experiment.run, experiment.cohort, models, table), table, cost


def pool(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the folds' prediction tables as one: everybody tests once, and is validated as often as training asked."""
    return pd.concat(tables, ignore_index=True)


def fold_ensemble(run: RunConfig, cohort: Cohort, models: Sequence[Predictor], table: pd.DataFrame) -> Predictor:
    """Return the models of all folds as one. cohort: of the whole cross-validation; table: the folds' pooled predictions."""
    first, source, state = models[0], open_source(run), common_state([one.state for one in models])
    whole = replace(cohort, state=state, opened={}).samples("test")
    ensemble = Predictor(
        model=FoldEnsemble([one.model for one in models], [one.state for one in models]),  # pyright: ignore[reportArgumentType]
        run=run,
        paradigm=first.paradigm,
        seed=first.seed,
        labels=first.labels,
        state=state,
        shares=np.mean([one.shares for one in models], axis=0).tolist(),
        fingerprint=cohort.fingerprint,
        envelope=fit_envelope(whole, source.bounds, source.kinds),
        encoders=first.encoders,
        members=tuple(Member(one.state, one.shares) for one in models),
        device=first.device,
    )
    if run.evaluation.calibrate:
        judged = run.evaluation
        unseen = table[table["split"] == "test"]
        unseen = unseen.assign(p=unseen["uncalibrated"])
        ensemble.calibration = fit_calibration(unseen, judged.alpha, judged.sensitivity, judged.prior)
        asked = [(model, tested(run, cohort, fold)) for fold, model in enumerate(models)]
        ensemble.calibration["patterns"] |= fit_withheld(ensemble.calibration["patterns"], asked)
    return ensemble


def tested(run: RunConfig, cohort: Cohort, fold: int) -> Samples:
    """Return the samples that a fold's model has never seen, as it reads them."""
    return open_cohort(run.of_fold(fold), cohort.folder).samples("test")
