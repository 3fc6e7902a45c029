"""The model folder: all that a prediction needs, in files that hold values only (YAML, JSON, safetensors)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import i2m2_med
from i2m2_med.config.run import RunConfig
from i2m2_med.config.trust import WITHHELD
from i2m2_med.documents import write_yaml
from i2m2_med.engine.calibration.calibrate import calibrate_table
from i2m2_med.engine.prediction.allotment import Allotment, check_header
from i2m2_med.engine.prediction.build import build_model, give_shares
from i2m2_med.engine.prediction.many_classes import table_of_many
from i2m2_med.engine.prediction.model_files import check_state, read_about, read_json, read_portable, read_state
from i2m2_med.engine.prediction.predict import patterns, prediction_table, run_model
from i2m2_med.engine.prediction.seed import best_device
from i2m2_med.ensemble import FoldEnsemble
from i2m2_med.errors import ModelError
from i2m2_med.files import digest, replace_folder, write_json
from i2m2_med.model import I2M2, Opinions
from i2m2_med.predictions import MANY
from i2m2_med.samples.dataset import Samples
from i2m2_med.samples.envelope import Envelope
from i2m2_med.samples.normalise import State
from i2m2_med.samples.preparing import data_settings, is_place, open_source
from i2m2_med.sources.source import Labels


class Member(NamedTuple):
    """One fold's model in an ensemble."""

    state: State
    shares: list[list[float]]


@dataclass(kw_only=True)
class Predictor:
    """A trained model with what it needs to read samples and to be trusted."""

    model: I2M2 | FoldEnsemble
    run: RunConfig
    paradigm: str
    seed: int
    labels: Labels
    state: State
    """Training statistics of `samples/normalise.py`."""
    shares: list[list[float]]
    """The class prior that experts learnt, by label (`training.loss.learnt_prior`)."""
    calibration: dict[str, Any] = field(default_factory=dict[str, Any])
    """Numbers that `engine/calibration` fitted on validation data; empty: not calibrated."""
    fingerprint: str = ""
    """Of the data it was trained on."""
    envelope: Envelope = field(default_factory=dict[str, dict[str, list[float]]])
    """Ranges of training samples (samples/envelope.py), for warnings when a study lies outside."""
    encoders: dict[str, str] = field(default_factory=dict[str, str])
    """By modality the sha256 of the frozen encoder whose vectors it was trained on (`samples.frozen.encoder_digests`)."""
    members: tuple[Member, ...] = ()
    """What tells the models of a `FoldEnsemble` apart beside their weights."""
    device: str = field(default_factory=best_device)

    @property
    def config_sha(self) -> str:
        """Return a hash of the settings that decide what the model says."""
        return digest(portable(self.run) | {"paradigm": self.paradigm})[:12]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the modalities that the model's experts read, in the order of the experts."""
        return tuple(dict.fromkeys(modality for name in self.model.names for modality in self.model.reads[name]))

    def opinions(self, samples: Samples) -> Opinions:
        """Return what the model and each expert say, uncalibrated."""
        return run_model(self.model, samples, self.run.scoring.batch, self.device)

    def predict(self, samples: Samples, name: str = "") -> pd.DataFrame:
        """Return the prediction table of `samples`, calibrated where the model is; `name` fills the column `model`."""
        if len(self.labels.classes) > MANY:
            model: Any = self.model  # no ensemble: folds are refused for so many classes
            table = table_of_many(model, samples, self.run.scoring.batch, self.device)
        else:
            table = prediction_table(self.opinions(samples), self.model.names, samples, patterns(samples))
        if self.calibration:
            table = calibrate_table(table, self.calibration)
        return table.assign(model=name, config_sha=self.config_sha)


def portable(run: RunConfig) -> dict[str, Any]:
    """Return a config as plain values, without the places of data and store, and without what `tune` searches."""
    content = run.model_dump(mode="json", exclude={"tracking", "tune"})
    content["source"] = {
        name: WITHHELD if is_place(run, name) else value for name, value in run.source.model_dump(mode="json").items()
    }
    if run.split.file:
        content["split"]["file"] = WITHHELD
    for block in content["modalities"]["columns"].values():
        block["table"] = WITHHELD
    for block in content["experts"].values():
        if weights := block.pop("weights"):  # came later: a config without them has the hash that it had
            block["weights"] = [{**each, "file": WITHHELD} for each in weights]
    return content


def save_model(predictor: Predictor, folder: Path) -> None:
    """Write the model folder, whole or not at all."""
    with replace_folder(folder) as beside:
        (beside / "config.yaml").write_text(write_yaml(portable(predictor.run)), encoding="utf-8")
        tensors = {name: tensor.contiguous().cpu() for name, tensor in predictor.model.state_dict().items()}
        save_file(tensors, beside / "weights.safetensors")
        write_json(beside / "state.json", predictor.state)
        write_json(beside / "calibration.json", predictor.calibration)
        about = {
            "paradigm": predictor.paradigm,
            "seed": predictor.seed,
            "labels": predictor.labels.names,
            "classes": predictor.labels.classes,
            "shares": predictor.shares,
            "fingerprint": predictor.fingerprint,
            "envelope": predictor.envelope,
            "data": data_settings(predictor.run),
            "i2m2_med": i2m2_med.__version__,
        }
        about |= {"encoders": predictor.encoders} if predictor.encoders else {}
        about |= {"members": [member._asdict() for member in predictor.members]} if predictor.members else {}
        write_json(beside / "model.json", about)


def load_model(folder: Path, device: str | None = None) -> Predictor:
    """Open a model folder. It may come from a stranger: its config goes through the same allow list, and no pickle is read."""
    run = read_portable(folder / "config.yaml")
    about = read_about(folder, run)
    state, calibration = read_state(folder), read_json(folder / "calibration.json")
    labels = Labels(tuple(about["labels"]), tuple(about["classes"]))
    members = tuple(Member(one["state"], one["shares"]) for one in about.get("members", ()))
    check_state(folder, run, open_source(run), [member.state for member in members] or [state])
    try:
        check_header(folder / "weights.safetensors")
        with Allotment(folder / "weights.safetensors"):
            model = make_model(run, about, labels, members)
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except (RuntimeError, OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{folder}: the weights do not fit the config: {str(error).splitlines()[0]:.300}") from error
    model.eval()
    return Predictor(
        model=model,
        run=run,
        paradigm=about["paradigm"],
        seed=int(about["seed"]),
        labels=labels,
        state=state,
        shares=about["shares"],
        calibration=calibration,
        fingerprint=about["fingerprint"],
        envelope=about.get("envelope", {}),
        encoders=about.get("encoders", {}),
        members=members,
        device=device or best_device(),
    )


def make_model(
    run: RunConfig, about: dict[str, Any], labels: Labels, members: tuple[Member, ...]
) -> I2M2 | FoldEnsemble:
    """Return the model that `model.json` (`about`) describes, with fresh weights."""
    paradigm = run.paradigms[about["paradigm"]]
    models: list[I2M2] = []
    for shares in [member.shares for member in members] or [about["shares"]]:
        models.append(build_model(run, paradigm.experts, labels, int(about["seed"]), paradigm.combiner))
        give_shares(models[-1], torch.tensor(shares))
    return FoldEnsemble(models, [member.state for member in members]) if members else models[0]
