"""Text → the numbers of a Hugging Face tokenizer from a local folder (extra `text`)."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.errors import ConfigError, extra_hint


def word_pieces(texts: Sequence[str], folder: Path, length: int) -> np.ndarray:
    """(text, token) int32: the tokenizer's numbers plus 1, special tokens included, cut at `length`; 0 is padding.

    Raises ConfigError where `folder` holds no tokenizer; a hub's name is never looked up.
    """
    tokenizer = tokenizer_of(folder)
    made = np.zeros((len(texts), length), np.int32)
    encoded = tokenizer(list(texts), truncation=True, max_length=length)["input_ids"] if len(texts) else []
    for row, numbers in enumerate(encoded):
        made[row, : len(numbers)] = np.asarray(numbers) + 1
    return made


@lru_cache(maxsize=8)
def tokenizer_of(folder: Path) -> Any:
    """The tokenizer of a local folder, read once. Raises ConfigError where it holds none."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"word pieces need the transformers package: {extra_hint('text')}") from error
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name the local folder of a tokenizer saved by save_pretrained")
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{folder} holds no tokenizer: {(str(error).splitlines() or ['no reason given'])[0]:.200}"
        ) from error
