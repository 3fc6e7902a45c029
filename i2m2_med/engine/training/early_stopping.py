"""What `score --budget` needs of a trained model, learnt on validation, and what it does to test samples."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.engine.calibration.calibrate import fit_calibration
from i2m2_med.engine.calibration.early import fit_early, follow
from i2m2_med.engine.prediction.cost import expert_flops
from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.model import I2M2
from i2m2_med.samples.dataset import Samples

BUDGETS = (0.01, 0.02, 0.05, 0.1)
"""Shares of patients whose decision may be another one, for which a run says what stopping early does."""


def learn_early(predictor: Predictor, samples: Samples, valid: pd.DataFrame, judged: Evaluation) -> dict[str, Any]:
    """Return `early` of `calibration.json`, where the model has several experts and few classes.

    samples, valid: of validation, and the calibrated predictions of them.
    """
    model = predictor.model
    if not isinstance(model, I2M2) or len(model.names) < 2 or "log_rest" in valid:
        return {}
    flops = expert_flops(model, samples, predictor.device)
    fit = partial(fit_calibration, alpha=judged.alpha, sensitivity=judged.sensitivity, prior=judged.prior)
    early = fit_early(valid, model.names, flops, model.combiner.cpu(), fit) if flops else {}
    model.to(predictor.device)
    return {"early": early} if early else {}


def judge_early(predictor: Predictor, table: pd.DataFrame) -> pd.DataFrame:
    """Return by budget what stopping early does to the samples of `table` (calibrated) that every expert reads.

    Columns: budget, samples, stopped and operations spared (shares), patients, differing (share of patients with another decision),
    and its exact 95 % interval. Empty where the model can't stop early, or there is no such sample.
    """
    early, model = predictor.calibration.get("early"), predictor.model
    rows: list[dict[str, Any]] = []
    for budget in BUDGETS if early and len(table) else ():
        assert early is not None
        assert isinstance(model, I2M2)
        followed, told = follow(table, model.names, early, model.combiner.cpu(), budget)
        if not len(told.patient):
            break
        spent = np.cumsum(early["flops"])[followed.asked - 1].sum() / (sum(early["flops"]) * len(followed.asked) or 1)
        differing = pd.Series(followed.differs).groupby(told.patient).max()
        ends = binomtest(int(differing.sum()), len(differing)).proportion_ci(method="exact")
        counts = {"samples": len(followed.asked), "stopped": float((followed.asked < len(model.names)).mean())}
        shares = {"patients": len(differing), "differing": float(differing.mean()), "low": ends.low, "high": ends.high}
        rows.append({"budget": budget, **counts, "operations spared": 1 - spent, **shares})
    model.to(predictor.device)
    return pd.DataFrame(rows)
