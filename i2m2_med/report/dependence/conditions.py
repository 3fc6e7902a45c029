"""Is the signal within the modalities, or between them? From predictions under shuffled inputs.

Three conditions per label: `paired` (as it was), `within` (modalities drawn anew among patients of the same label: what lies
between modalities is gone, what each says alone is kept) and `among` (among all: both are gone). Each is re-tempered on
validation samples shuffled alike, so that

    inter = NLL(within) − NLL(paired)      intra = NLL(among) − NLL(within)

are nats of information and not the price of trusting a wrong input. Negative `inter`: the modalities repeat one another, and
`intra` then counts what they share more than once (`interaction.py` has total, own and net amounts that don't).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from i2m2_med.report.dependence.information import Amount, amount
from i2m2_med.report.dependence.retemper import heard, loss_of
from i2m2_med.report.statistics.bootstrap import Row
from i2m2_med.report.statistics.intervals import draw_weights, metric_interval
from i2m2_med.report.statistics.metrics import SOFT, further, metric_replicates
from i2m2_med.report.statistics.support import support
from i2m2_med.report.statistics.table import Predictions

ALL = "all"
"""Every modality shuffled, each by its own draw."""
PAIRED = "paired"
Shuffled = Mapping[str, Predictions]
"""By condition: `paired`, `within:<label>:<modality>`, `among:<modality>`, `only:<modality>` (the others among all) and, where it
was made, `additive:<modality>`; of one seed."""


def within(label: str, modality: str) -> str:
    """The name of a condition: `modality` (or all) shuffled among patients of the same value of `label`."""
    return f"within:{label}:{modality}"


def among(modality: str) -> str:
    """`modality` (or all) shuffled among all patients."""
    return f"among:{modality}"


def only(modality: str) -> str:
    """All but `modality` shuffled among all patients."""
    return f"only:{modality}"


def additive(modality: str) -> str:
    """The name of a condition: the model's mean log-probabilities over a fixed set of donors of all but `modality`."""
    return f"additive:{modality}"


def dependence(
    seeds: Sequence[Shuffled], modalities: Sequence[str], draws: int = 1000
) -> dict[tuple[str, str], dict[str, Amount]]:
    """By (label, modality or `all`): the amounts `intra`, `inter` and `total`, in nats, over seeds and patients."""
    first = seeds[0][PAIRED]
    test, patient, weights = judged(first, draws)
    by_modality: dict[tuple[str, str], dict[str, Amount]] = {}
    for at, label in enumerate(first.labels):
        for modality in (*modalities, ALL):
            names = {"paired": PAIRED, "within": within(label, modality), "among": among(modality)}
            losses = [{key: _loss(seed[name], at)[test] for key, name in names.items()} for seed in seeds]
            pairs = {"intra": ("among", "within"), "inter": ("within", "paired"), "total": ("among", "paired")}
            by_modality[label, modality] = {
                kind: amount([one[more] - one[less] for one in losses], patient, weights)
                for kind, (more, less) in pairs.items()
            }
    return by_modality


def dependence_table(by_modality: Mapping[tuple[str, str], Mapping[str, Amount]]) -> pd.DataFrame:
    """`dependence` as a table: label, shuffled, kind, value, low, high, seed_sd (nats)."""
    rows: list[Row] = []
    for (label, modality), amounts in by_modality.items():
        rows += [{"label": label, "shuffled": modality, "kind": kind} | one.row() for kind, one in amounts.items()]
    return pd.DataFrame(rows)


def four_conditions(seeds: Sequence[Shuffled], modalities: Sequence[str], draws: int = 1000) -> pd.DataFrame:
    """The test of "Multi-modal Data Spectrum" (Madaan et al., ICLR 2026): paired, one modality only, all shuffled.

    AUROC and accuracy on test samples as the model says them, mean over seeds, with intervals by patient.
    """
    conditions = {PAIRED: PAIRED, **{f"{name} only": only(name) for name in modalities}, "all shuffled": among(ALL)}
    first = seeds[0][PAIRED]
    test, patient, weights = judged(first, draws)
    rows: list[Row] = []
    for at, label in enumerate(first.labels):
        for shown, name in conditions.items():
            answers = [seed[name] for seed in seeds]
            each = [
                metric_replicates(one.p[test, at], one.target[test, at], patient, weights, **further(one, at, test))
                for one in answers
            ]
            for metric in (one for one in ("auroc", "accuracy", SOFT) if one in each[0]):
                stands = support(metric, first.target[test, at], patient)
                interval = metric_interval(metric, np.stack([one[metric] for one in each]), stands)
                rows.append({"label": label, "condition": shown, "metric": metric, **interval._asdict()})
    return pd.DataFrame(rows)


def judged(predictions: Predictions, draws: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mask of test samples, their patients' numbers, and bootstrap weights (patient, draw)."""
    test = predictions.samples["split"].to_numpy(dtype=str) == "test"
    patient = np.unique(predictions.patient[test], return_inverse=True)[1]
    return test, patient, draw_weights(int(patient.max()) + 1, draws)


def _loss(predictions: Predictions, label: int) -> np.ndarray:
    """−log p(target) per sample, re-tempered on the validation samples of the same condition."""
    return loss_of(predictions, label, np.stack(list(heard(predictions, label).values())))
