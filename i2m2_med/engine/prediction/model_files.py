"""The settings and facts in a model folder, read without torch: what is asked of a model before it is loaded."""

import json
from pathlib import Path
from typing import Any

import yaml

from i2m2_med.config.reader import lint_targets, validate
from i2m2_med.config.run import RunConfig
from i2m2_med.config.yaml_source import Values
from i2m2_med.errors import ConfigError, ModelError


def read_portable(path: Path) -> RunConfig:
    """A model folder's config, typed and linted."""
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise ConfigError(f"{path} holds no settings")
        values = Values(path.stem, content, {(): str(path)})
        run = validate(values)
        lint_targets(run, values)
    except OSError as error:
        raise ModelError(f"{path.parent} is not a model folder: it lacks {path.name}") from error
    except ConfigError as error:  # it says where
        raise ModelError(str(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ModelError(f"{path} is not plain YAML: {str(error).splitlines()[0]}") from error
    return run


ABOUT = {"paradigm": str, "seed": int, "labels": list, "classes": list, "shares": list, "fingerprint": str}
"""What `model.json` says at least."""


def read_about(folder: Path, run: RunConfig) -> dict[str, Any]:
    """`model.json` of a model folder whose config is `run`. Raises ModelError where it does not say what it should."""
    about = read_json(folder / "model.json")
    wrong = [name for name, kind in ABOUT.items() if not isinstance(about.get(name), kind)]
    if wrong:
        raise ModelError(f"{folder / 'model.json'} does not say {', '.join(wrong)}; export the model again")
    if about["paradigm"] not in run.paradigms:
        raise ModelError(f"{folder}: the config has no paradigm '{about['paradigm']}', of which model.json speaks")
    return about


def read_json(path: Path) -> dict[str, Any]:
    """One JSON file of a model folder: names and values."""
    try:
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("no object")
        return content
    except OSError as error:
        raise ModelError(f"{path.parent} is not a model folder: it lacks {path.name}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not a JSON object") from error
