"""One stage of training on MONAI's SupervisedTrainer: seeded per epoch, a checkpoint after each, resumable to the same bytes."""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine, Events
from monai.engines.trainer import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from i2m2_med.config.targets import build
from i2m2_med.config.training import Training
from i2m2_med.engine.prediction.loading import Batches, loader
from i2m2_med.engine.prediction.seed import seed_everything, seed_for
from i2m2_med.engine.prediction.shards import Shards
from i2m2_med.engine.training.batch_norm import share_statistics
from i2m2_med.engine.training.devices import bfloat16, fused, scaled_half, settle, within_memory
from i2m2_med.engine.training.expert_parallel import Layout, clip_together, collect, lay_out
from i2m2_med.engine.training.loss import Objective, build_loss, class_weights
from i2m2_med.engine.training.modulation import SHARE_OF_EPOCHS, modulate
from i2m2_med.engine.training.processes import agree, as_the_leader_says, leads, sum_gradients, this_shard
from i2m2_med.engine.training.selection import HIGHER, SCORED, validation_metrics
from i2m2_med.engine.training.step import Asking, ask, take
from i2m2_med.errors import ConfigError, UserError
from i2m2_med.files import replace_file
from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.batch import Batch
from i2m2_med.samples.dataset import Samples

Watch = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number (from 1) and its metrics."""


class Fitted(NamedTuple):
    """What a stage did: the metrics of each epoch, and the seconds that all of them took, validation included."""

    history: list[dict[str, float]]
    seconds: float


@dataclass(kw_only=True)
class TrainingStage:
    """A stage of training and its state from epoch to epoch, which the checkpoint holds."""

    model: I2M2
    training: Training
    valid: Samples
    folder: Path
    seed: int
    device: str
    watch: Watch
    shards: Shards
    layout: Layout
    optimizer: torch.optim.Optimizer
    scheduler: Any
    objective: Objective
    history: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    losses: list[float] = field(default_factory=list[float])
    seconds: float = 0.0
    """Of the epochs so far."""
    began: float = 0.0
    """When this epoch did, on the clock of this process."""

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the best `select` so far; 0 before the first. An undefined metric is never best."""
        sign = 1 if HIGHER[self.training.select] else -1
        scores = [sign * metrics.get(f"valid_{self.training.select}", float("nan")) for metrics in self.history]
        known = [(score, -index) for index, score in enumerate(scores) if score == score]
        return 1 - max(known)[1] if known else len(self.history)

    @property
    def finished(self) -> bool:
        """True once the last epoch was run, or patience is used up."""
        waited = len(self.history) - self.best_epoch
        patience = self.training.patience
        return len(self.history) >= self.training.epochs or (patience is not None and waited >= patience)


def fit(
    model: I2M2,
    train: Samples,
    valid: Samples,
    training: Training,
    *,
    seed: int,
    folder: Path,
    device: str,
    watch: Watch,
    plugins: tuple[str, ...] = (),
) -> Fitted:
    """Train `model` in place and leave it with its best epoch's weights.

    folder: holds `last.pt` and `best.safetensors`; what an interrupted call left there is taken up again. Parameters that
    ask for no gradient stay as they are.
    """
    if training.select in SCORED and valid.soft is None:
        raise ConfigError(
            f"training.select: {training.select} is of labels with soft scores, which these data have not"
        )
    folder.mkdir(parents=True, exist_ok=True)
    shards = this_shard()
    layout = lay_out(model, training, device, shards)
    if training.batch < layout.rows.size:
        raise ConfigError(f"training.batch {training.batch} leaves some of {shards.size} processes without a row")
    as_the_leader_says(True)  # that nothing of an earlier stage is left to be written
    if layout.rows.size > 1:
        share_statistics(model, layout.rows.group)
    settle(model, training, device)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, scheduler = build_optimizer(learnt, training, plugins)
    stage = TrainingStage(
        model=model,
        training=training,
        valid=valid,
        folder=folder,
        seed=seed,
        device=device,
        watch=watch,
        shards=shards,
        layout=layout,
        optimizer=optimizer,
        scheduler=scheduler,
        objective=build_objective(train, training, plugins).to(device),
    )
    take_up(stage)
    agree("training state", f"{folder.name}, epoch {len(stage.history)}")
    if not stage.finished:
        with (
            within_memory(training),
            loader(train, training.batch, training.workers, seed, layout.rows, device) as batches,
        ):
            make_trainer(stage, batches, learnt).run()
    as_the_leader_says(True)  # that the best epoch is written
    model.load_state_dict(load_file(folder / "best.safetensors"))
    return Fitted(stage.history, stage.seconds)


def build_optimizer(
    learnt: list[nn.Parameter], training: Training, plugins: tuple[str, ...]
) -> tuple[torch.optim.Optimizer, Any]:
    """Return the optimizer of a stage, and its scheduler where it has one."""
    rate, how = training.learning_rates[0], fused(training, plugins)
    optimizer = build(training.optimizer, "optimizer", "training.optimizer", plugins, how, params=learnt, lr=rate)
    block = training.scheduler
    return optimizer, build(block, "scheduler", "training.scheduler", plugins, optimizer=optimizer) if block else None


def build_objective(train: Samples, training: Training, plugins: tuple[str, ...]) -> Objective:
    """Return what a stage minimises: its loss, with class weights and the experts' own losses where they are asked for."""
    weights = class_weights(train) if training.class_weights else None
    loss = build_loss(training, len(train.labels.names), weights, plugins)
    return Objective(loss, training.aux_weight if training.mode == "joint+aux" else 0.0)


def make_trainer(stage: TrainingStage, batches: Batches, learnt: list[nn.Parameter]) -> SupervisedTrainer:
    """Return MONAI's trainer with our epochs: seeds, clipping, validation, checkpoint, early stopping."""
    training, layout = stage.training, stage.layout
    shards = layout.rows
    forget = training.memory == "one_expert" or training.accumulate > 1
    how = Asking(shards, training.accumulate, forget, layout.own, layout.peers)

    def prepare(batch: Batch, device: Any, *_: Any, **__: Any) -> tuple[Batch, Tensor]:
        n_rows = batches.order.n_rows((trainer.state.iteration - 1) % len(batches))
        return take(batch.to(str(device)), n_rows, training.modality_dropout, shards)

    def answer(batch: Batch, network: I2M2) -> Opinions:
        with bfloat16(training, stage.device):
            return ask(batch, network, how, seed_for(stage.seed, "draws", trainer.state.iteration))

    trainer = SupervisedTrainer(
        device=stage.device,
        max_epochs=training.epochs,
        train_data_loader=batches,
        network=stage.model,
        optimizer=stage.optimizer,
        loss_function=stage.objective,
        prepare_batch=prepare,
        inferer=answer,  # pyright: ignore[reportArgumentType]  (any callable will do)
        decollate=False,
        amp=scaled_half(training, stage.device),
        optim_set_to_none=True,
    )
    trainer.logger.setLevel(logging.CRITICAL)  # who started this says once why it ended
    trainer.state.epoch = len(stage.history)
    trainer.state.iteration = len(stage.history) * len(batches)

    def start(engine: Engine) -> None:
        batches.order.epoch = engine.state.epoch
        stage.losses, stage.began = [], time.perf_counter()
        seed_everything(stage.seed, "epoch", engine.state.epoch)

    def mend_gradients(engine: Engine) -> None:
        if shards.size > 1:
            sum_gradients(learnt, shards.group)
        if trainer.scaler is not None:
            trainer.scaler.unscale_(stage.optimizer)
        if training.mode == "ogm-ge" and engine.state.epoch <= SHARE_OF_EPOCHS * training.epochs:
            output: Any = engine.state.output
            modulate(stage.model, output[CommonKeys.PRED], output[CommonKeys.LABEL], training.ogm_alpha)
        if training.clip is not None and layout.own is not None:
            clip_together(stage.model, learnt, layout, training.clip)
        elif training.clip is not None:
            nn.utils.clip_grad_norm_(learnt, training.clip)

    trainer.add_event_handler(Events.EPOCH_STARTED, start)
    trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, mend_gradients)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: stage.losses.append(engine.state.output["loss"].detach())
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: end_epoch(stage, engine))
    return trainer


def end_epoch(stage: TrainingStage, engine: Engine) -> None:
    """Validate, keep the best weights, write the checkpoint, stop when it is time."""
    loss = float(torch.stack(stage.losses).mean())  # pyright: ignore[reportArgumentType]
    if loss != loss:
        raise UserError(
            f"training diverged in epoch {engine.state.epoch}: the loss is not a number; lower training.learning_rate"
        )
    if stage.layout.own is not None:
        collect(stage.model, stage.optimizer, stage.layout)
    metrics = validation_metrics(stage.model, stage.valid, stage.training.batch * 4, stage.device, stage.shards)
    stage.history.append({"train_loss": loss, **{f"valid_{name}": value for name, value in metrics.items()}})
    if stage.scheduler is not None:
        stage.scheduler.step()
    stage.seconds += time.perf_counter() - stage.began
    if leads():
        if stage.best_epoch == len(stage.history):
            with replace_file(stage.folder / "best.safetensors") as beside:
                state = stage.model.state_dict()
                save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, beside)
        write_checkpoint(stage)
    stage.watch(len(stage.history), stage.history[-1])
    if stage.finished:
        engine.terminate()


def write_checkpoint(stage: TrainingStage) -> None:
    """State dicts and primitives only: it is read back with `weights_only=True`."""
    content = {
        "model": stage.model.state_dict(),
        "optimizer": stage.optimizer.state_dict(),
        "scheduler": stage.scheduler.state_dict() if stage.scheduler is not None else None,
        "history": stage.history,
        "seconds": stage.seconds,
        "processes": stage.shards.size,
    }
    with replace_file(stage.folder / "last.pt") as beside:
        torch.save(content, beside)


def take_up(stage: TrainingStage) -> None:
    """Continue from the last checkpoint, if there is one; who watches is told of its epochs again."""
    path = stage.folder / "last.pt"
    if not path.exists():
        return
    content = torch.load(path, map_location=stage.device, weights_only=True)
    if (before := content.get("processes", 1)) != stage.shards.size:
        raise UserError(
            f"this training was begun by {before} processes and {stage.shards.size} would end it differently; go on with "
            f"{before}, or leave --resume out to begin anew"
        )
    stage.model.load_state_dict(content["model"])
    stage.optimizer.load_state_dict(content["optimizer"])
    if stage.scheduler is not None:
        stage.scheduler.load_state_dict(content["scheduler"])
    stage.history[:] = content["history"]
    stage.seconds = content["seconds"]
    for epoch, metrics in enumerate(stage.history, start=1):
        stage.watch(epoch, metrics)


def forget(folder: Path) -> None:
    """Throw an earlier run's checkpoints away, to start afresh."""
    shutil.rmtree(folder, ignore_errors=True)
