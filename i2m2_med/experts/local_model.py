"""A Hugging Face model of a local folder (extra `text`); nothing is ever fetched, no code of the folder is run."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from i2m2_med.errors import ConfigError, extra_hint
from i2m2_med.files import digest

Pooling = Literal["cls", "mean", "pooler"]
LONGEST_CONFIG = 4 << 20
LAYERS, MOST_LAYERS = frozenset({"num_hidden_layers", "n_layer", "n_layers", "num_layers", "depths"}), 1_000
"""Settings that say how many modules are made one by one, before any weight is looked for."""
WITHOUT_FIRST = frozenset(
    {"swin", "swinv2", "siglip_vision_model", "siglip2_vision_model", "siglip_text_model", "siglip2_text_model", "clip_text_model"}
)  # fmt: skip
"""Models whose first state is no summary: of a picture's corner, or of a text's beginning, which has read nothing else."""

TOLD_ONLY = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})
"""Settings of a `config.json` that move no number: models are loaded in float32."""


def load_tower(
    folder: Path, towers: Sequence[str], reads: Literal["pixel_values", "input_ids"], pooling: Pooling
) -> Any:
    """The model of a local folder, or the one of its towers that is listed first and there. Raises ConfigError for one that does
    not read pictures (`pixel_values`) or texts (`input_ids`) alone.
    """
    model = load_encoder(folder, pooler=pooling == "pooler")
    tower = next((getattr(model, name) for name in towers if hasattr(model, name)), model)
    if getattr(tower, "main_input_name", "") != reads or str(model.config.model_type) == "vilt":
        what = {"pixel_values": "pictures", "input_ids": "texts"}[reads]
        raise ConfigError(f"{folder} holds a {type(model).__name__}, which reads no {what} alone")
    if not isinstance(getattr(tower.config, "hidden_size", None), int) or tower.config.is_encoder_decoder:
        raise ConfigError(
            f"{folder} holds a {type(model).__name__}, whose states are no row of vectors; take another kind"
        )
    if pooling == "cls" and tower.config.model_type in WITHOUT_FIRST:
        raise ConfigError(
            f"{folder} holds a {type(model).__name__}, which has no first state of the whole; set pooling to mean or pooler"
        )
    return tower


def load_encoder(folder: Path, *, pooler: bool = True) -> Any:
    """The model of a local folder. Raises ConfigError where it holds no model, or not all of its weights: what a checkpoint lacks
    would be random numbers.

    pooler: whether its pooler is asked for too.
    """
    try:
        from transformers import AutoModel
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(f"Hugging Face encoders need the transformers package: {extra_hint('text')}") from error
    check_config(folder)
    logging.disable_progress_bar()
    try:
        model, told = AutoModel.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{folder} can't be loaded as an encoder: {why:.200}") from error
    lacking = sorted(name for name in told["missing_keys"] if pooler or "pooler." not in name)
    if lacking:
        raise ConfigError(
            f"{folder} lacks {len(lacking)} weights of a {type(model).__name__}, such as {lacking[0]}; is it of another kind?"
        )
    refuse_nan(model, folder)
    return model


def check_config(folder: Path) -> None:
    """Raise ConfigError for a folder without settings, or whose settings ask for a network that nobody could build."""
    path = folder / "config.json"
    if not path.is_file():
        raise ConfigError(
            f"{folder} holds no config.json; name the local folder of an encoder saved by save_pretrained"
        )
    if path.stat().st_size > LONGEST_CONFIG:
        raise ConfigError(f"{folder}: config.json is larger than {LONGEST_CONFIG >> 20} MiB, as no encoder's is")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{folder} can't be loaded as an encoder: its config.json is no JSON") from error
    parts = [content, *content.values()] if isinstance(content, dict) else []
    for name, value in (pair for part in parts if isinstance(part, dict) for pair in part.items()):
        layers = value if isinstance(value, list) else [value]
        most = max((one for one in layers if type(one) is int), default=0)
        if name in LAYERS and most > MOST_LAYERS:
            raise ConfigError(f"{folder}: its {name} is {most:,}; no encoder has more than {MOST_LAYERS:,} layers")


def settings_of(folder: Path) -> str:
    """Return a digest of a folder's `config.json`, without what says where it came from and who wrote it: the same weights say something
    else with another number of heads, or another activation."""
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return digest({name: value for name, value in content.items() if name not in TOLD_ONLY})[:16]


def refuse_nan(model: nn.Module, place: Path) -> None:
    """Raise ConfigError where weights are no finite numbers."""
    broken = [name for name, tensor in model.state_dict().items() if not bool(tensor.isfinite().all())]
    if broken:
        raise ConfigError(f"{place}: {len(broken)} weights hold NaN or infinity, such as {broken[0]}; get it again")


def pooled(
    output: Any, pooling: Pooling, normalise: bool, there: Tensor | None = None
) -> Float[Tensor, "some features"]:
    """One vector of each text or picture: its states' first (`cls`), their mean, or what the model's own pooler says.

    normalise: divide it by its length. there: (some, token), which states count for `mean`. Raises ConfigError without a pooler.
    """
    states: Tensor = output.last_hidden_state
    if pooling == "pooler":
        if getattr(output, "pooler_output", None) is None:
            raise ConfigError("this model has no pooler; set pooling to cls or mean")
        vectors = output.pooler_output
    elif pooling == "mean":
        weight = torch.ones_like(states[..., 0]) if there is None else there.to(states.dtype)
        vectors = (states * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True).clamp_min(1)
    else:
        vectors = states[:, 0]
    return nn.functional.normalize(vectors, dim=-1) if normalise else vectors
