"""An experiment: a config's prepared data, a store, and a folder of checkpoints; it trains paradigms into tracked runs."""

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.console import Progress
from i2m2_med.curves import write_curves
from i2m2_med.engine.calibration.calibrate import calibrate_table, fit_calibration
from i2m2_med.engine.prediction.build import training_of
from i2m2_med.engine.prediction.examples import draw_examples
from i2m2_med.engine.prediction.predictor import Predictor, save_model
from i2m2_med.engine.prediction.pretrained import weight_digests
from i2m2_med.engine.prediction.seed import device_for, seed_everything
from i2m2_med.engine.prediction.withheld_modalities import fit_withheld
from i2m2_med.engine.tracking.provenance import origin, source_digest
from i2m2_med.engine.tracking.results import epoch_key, headline
from i2m2_med.engine.tracking.run import Tracker, open_run
from i2m2_med.engine.training.early_stopping import judge_early, learn_early
from i2m2_med.engine.training.fit import Watch
from i2m2_med.engine.training.loss import learnt_prior
from i2m2_med.engine.training.paradigm import Stages, train_paradigm
from i2m2_med.engine.training.processes import as_the_leader_says
from i2m2_med.engine.training.recorded import (
    Cost,
    calibration_tags,
    cost_tags,
    difference_words,
    placed,
    record_report,
    record_rows,
)
from i2m2_med.files import replace_file, write_json
from i2m2_med.model import I2M2
from i2m2_med.predictions import PREDICTIONS, Judge, Rows, read_table, write_table
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.encoders import encoder_digests
from i2m2_med.samples.envelope import fit_envelope
from i2m2_med.samples.preparing import open_source


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One paradigm with one seed: its run, its model folder, its predictions on validation and test, its metrics."""

    run_id: str
    paradigm: str
    seed: int
    model: Path
    rows: Rows
    cost: Cost
    held: pd.DataFrame | None = None
    """The predictions; None of many classes, or of a run that was done before: these are read from the disk when they are asked for."""

    def read(self) -> pd.DataFrame:
        """Return the predictions."""
        return read_table(self.model.parent / PREDICTIONS) if self.held is None else self.held


def held(table: pd.DataFrame) -> pd.DataFrame | None:
    """What of a table stays in memory: nothing where it is of many classes."""
    return None if "log_rest" in table else table


class Parent(NamedTuple):
    """A run that another process has open."""

    run_id: str


COMPARISON = "comparison"
"""The paradigm of a run that stands for all paradigms."""
Made = tuple[Predictor, pd.DataFrame, Cost]
"""A calibrated model, its predictions, and what it cost."""
Make = Callable[[Tracker], Made]
"""An open run → what is made in it."""


@dataclass(kw_only=True)
class Experiment:
    """A prepared config whose paradigms are trained into runs of one store."""

    run: RunConfig
    values: Values
    cohort: Cohort
    folder: Path
    """Checkpoints, models and predictions; private to this machine."""
    uri: str
    progress: Progress
    judge: Judge
    parent: Tracker | Parent | None = None
    reports: bool = True
    """False: runs get their metrics, and no report of their own."""
    folds: dict[int, Cohort] = field(default_factory=dict[int, Cohort])
    """Folds whose samples are kept in memory."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the prepared data."""
        return self.cohort.manifest

    def train(self, paradigm: str, seed: int) -> Trained:
        """Train, evaluate and record one paradigm with one seed; what an interrupted call finished is read again."""
        return self.record_once(paradigm, seed, lambda tracker: self.fit_and_predict(paradigm, seed, tracker))

    def record_once(self, paradigm: str, seed: int, make: Make) -> Trained:
        """Record what `make` makes of one paradigm and seed as a run; what an interrupted call finished is read again."""
        folder = self.folder / f"{paradigm}-{seed}"
        noted = read_note(folder)
        if as_the_leader_says(bool(noted.get("done"))):
            self.progress.say(f"{self.words(paradigm, seed)}: done before")
            return Trained(
                run_id=noted["run"],
                paradigm=paradigm,
                seed=seed,
                model=folder / "model",
                rows=noted["rows"],
                cost=noted["cost"],
            )
        with self.tracked(paradigm, seed, noted.get("run")) as tracker:
            write_json(folder / "note.json", {"run": tracker.run_id, "done": False})
            predictor, table, cost = make(tracker)
            if not (folder / "model").exists():
                save_model(predictor, folder / "model")
            with replace_file(folder / PREDICTIONS) as beside:
                write_table(table, beside)
            if self.reports:
                draw_examples(predictor, self.run, self.cohort, table, folder / "report" / "examples")
                write_json(folder / "report" / "provenance.json", origin(tracker.run_id))
            early = judge_early(predictor, table[table["split"] == "test"])
            if len(early):
                early.to_csv(folder / EARLY, index=False)
            rows = self.judge(self.manifest, paradigm, seed, table, folder / "report" if self.reports else None)
            tags = calibration_tags(predictor.calibration, table) | cost_tags(cost)
            self.record(tracker, paradigm, folder, rows, tags)
        finished = {"run": tracker.run_id, "done": True, "code": source_digest(), "rows": rows, "cost": cost}
        write_json(folder / "note.json", finished)
        return Trained(
            run_id=tracker.run_id,
            paradigm=paradigm,
            seed=seed,
            model=folder / "model",
            rows=rows,
            cost=cost,
            held=held(table),
        )

    def fit_and_predict(self, paradigm: str, seed: int, tracker: Tracker) -> Made:
        """Return the trained and calibrated model, its predictions, and what it cost."""
        predictor, cost = self.fit(paradigm, seed, tracker)
        return predictor, self.predict(predictor, tracker.run_id), cost

    def of_fold(self, fold: int, parent: Tracker | Parent | None = None) -> "Experiment":
        """Return the same experiment on one fold of its cross-validation, whose runs become children of `parent`."""
        run = self.run.of_fold(fold)
        cohort = self.folds.get(fold) or open_cohort(run, self.cohort.folder)
        if run.modalities.cache is True:  # whose samples are to be read once
            self.folds[fold] = cohort
        folder = self.folder / f"fold-{fold}"
        return replace(self, run=run, cohort=cohort, folder=folder, parent=parent, reports=False)

    def words(self, paradigm: str, seed: int | None) -> str:
        """'i2m2, seed 0, fold 2 of 5' (counted from 0), for messages."""
        split = self.run.split
        seeded = "" if seed is None else f", seed {seed}"
        return paradigm + seeded + (f", fold {split.fold} of {split.folds}" if split.fold is not None else "")

    def tracked(self, paradigm: str, seed: int | None, resume: str | None) -> Any:
        """Return an open MLflow run of this experiment. seed: None for a run that those of all seeds stand below."""
        seeds = {"seeds": ", ".join(map(str, self.run.seeds))} if seed is None else {}
        return open_run(
            uri=self.uri,
            experiment=self.run.tracking.experiment or self.values.name,
            name=f"{self.values.name} {self.words(paradigm, seed).replace(',', '')}",
            paradigm=paradigm,
            task=self.run.task,
            seed=seed,
            config=placed(self.run),
            manifest=self.manifest,
            parent=self.parent.run_id if self.parent else None,
            resume=resume,
            tags=self.fold_tags() | seeds,
            origins={".".join(map(str, key)): Path(place).name for key, place in self.values.origins.items() if key},
        )

    def fold_tags(self) -> dict[str, Any]:
        """Return `folds` (how many) of a cross-validation, and `fold` where a run is of one of them."""
        split = self.run.split
        return {name: value for name, value in (("folds", split.folds), ("fold", split.fold)) if value is not None}

    @contextmanager
    def as_parent(self, paradigm: str = COMPARISON) -> Generator[Tracker]:
        """Yield an open run that the runs trained meanwhile become children of. paradigm: what stands in place of one."""
        noted = read_note(self.folder)
        with self.tracked(paradigm, None, noted.get("run")) as tracker:
            write_json(self.folder / "note.json", {"run": tracker.run_id})
            write_json(self.folder / "report" / "provenance.json", origin(tracker.run_id))
            self.parent = tracker
            yield tracker
        self.parent = None

    def record_comparison(self, parent: Tracker, made: Sequence[Trained], rows: Rows, verdict: str) -> None:
        """Write the comparison of what was `made` into the parent run, and each run's difference to the reference into that run."""
        reference = self.run.reference_among({one.paradigm for one in made})
        record_report(parent, self.run, rows, verdict, reference, self.folder)
        words = difference_words(rows, self.run.first_metric, reference)
        for one in made:
            if one.paradigm in words:
                parent.tags_of(one.run_id, {"difference": words[one.paradigm]})

    def fit(self, paradigm: str, seed: int, tracker: Tracker) -> tuple[Predictor, Cost]:
        """Return the trained model and what it cost; its epochs are shown in the run and on the terminal."""
        training = training_of(self.run, self.run.paradigms[paradigm])
        chosen = self.run.paradigms[paradigm]
        alone = len(chosen.experts if training.alone_first else chosen.frozen)
        together = training.mode not in {"separate", "stacked"}
        total = training.epochs * len(training.learning_rates) * (alone + together)
        seen: list[int] = []
        with self.progress.bar(f"{self.values.name}: {self.words(paradigm, seed)}", total) as advance:

            def watch(epoch: int, metrics: dict[str, float]) -> None:
                seen.append(epoch)
                tracker.epoch(len(seen), {epoch_key(name): value for name, value in metrics.items()})
                advance(", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if name in SHOWN))

            model, stages = self.train_model(paradigm, seed, watch)
        if stages.loaded:
            used = tuple(name for name in chosen.experts if self.run.experts[name].weights)
            tracker.tags({"i2m2.weights": "; ".join([*stages.loaded, *weight_digests(self.run, used)])})
        if self.reports:
            write_curves(self.folder / f"{paradigm}-{seed}" / "report" / "curves.csv", stages.curves)
        train, source = self.cohort.samples("train"), open_source(self.run)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        cost = {"parameters": parameters, "epochs": stages.cost.epochs, "seconds": round(stages.cost.seconds, 2)}
        predictor = Predictor(
            model=model,
            run=self.run,
            paradigm=paradigm,
            seed=seed,
            labels=self.cohort.labels,
            state=self.cohort.state,
            shares=learnt_prior(train, training).tolist(),
            fingerprint=self.cohort.fingerprint,
            envelope=fit_envelope(train, source.bounds, source.kinds),
            encoders=encoder_digests(self.cohort.transform),
            device=stages.device,
        )
        return predictor, cost

    def train_model(self, paradigm: str, seed: int, watch: Watch) -> tuple[I2M2, Stages]:
        """Return the trained model and the stages that made it; `watch` is called after each epoch."""
        seed_everything(seed)
        device, folder = device_for(self.run.training.device), self.folder / "stages"
        stages = Stages(run=self.run, cohort=self.cohort, seed=seed, folder=folder, device=device, watch=watch)
        return train_paradigm(stages, paradigm), stages

    def predict(self, predictor: Predictor, run_id: str) -> pd.DataFrame:
        """Return the prediction table over all that training did not see; calibration is fitted on validation and kept in the predictor."""
        evaluation = self.run.evaluation
        valid = predictor.predict(self.cohort.samples("valid"), run_id)
        if evaluation.calibrate:
            predictor.calibration = fit_calibration(valid, evaluation.alpha, evaluation.sensitivity, evaluation.prior)
            asked = [(predictor, self.cohort.samples("valid"))]
            predictor.calibration["patterns"] |= fit_withheld(predictor.calibration["patterns"], asked)
            valid = calibrate_table(valid, predictor.calibration)
            predictor.calibration |= learn_early(predictor, self.cohort.samples("valid"), valid, evaluation)
        others = [split for split in self.cohort.splits if split not in {"train", "valid"}]
        judged = [predictor.predict(self.cohort.samples(split), run_id) for split in others]
        return pd.concat([valid, *judged], ignore_index=True)

    def record(self, tracker: Tracker, paradigm: str, folder: Path, rows: Rows, tags: dict[str, str]) -> None:
        """Write metrics with intervals, predictions, report and model into the run."""
        record_rows(tracker, rows, headline, self.run.first_metric, paradigm, folder)
        tracker.tags(tags)
        tracker.artifact(folder / PREDICTIONS)
        if (folder / EARLY).exists():
            tracker.artifact(folder / EARLY)
        if (folder / "report").exists():
            tracker.artifact(folder / "report")
        posted = open_source(self.run).posted_columns
        tracker.model(folder / "model", [name for name in posted if name not in {"study", "archive"}])


EARLY = "early_stopping.csv"
"""The artifact that says what `score --budget` does to test samples."""
SHOWN = ("train_loss", "valid_nll", "valid_auroc")


def read_note(folder: Path) -> dict[str, Any]:
    """Return the note that an earlier call left of a paradigm and seed; empty where there was none."""
    path = folder / "note.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
