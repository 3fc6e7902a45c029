"""The settings and facts in a model folder, read without torch: what is asked of a model before it is loaded."""

import json
from pathlib import Path
from typing import Any

import yaml

from i2m2_med.config import RunConfig
from i2m2_med.config_reader import lint_targets, validate
from i2m2_med.errors import ConfigError, ModelError
from i2m2_med.yaml_source import Values


def read_portable(path: Path) -> RunConfig:
    """A model folder's config, typed and linted."""
    try:
        content = yaml.safe_load(path.read_text())
        values = Values(path.stem, content, {(): str(path)})
        run = validate(values)
        lint_targets(run, values)
    except OSError as error:
        raise ModelError(f"{path.parent} is not a model folder: it lacks {path.name}") from error
    except (yaml.YAMLError, ConfigError) as error:
        raise ModelError(f"{path}: {error}") from error
    return run


def read_json(path: Path) -> dict[str, Any]:
    """One JSON file of a model folder."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ModelError(f"{path.parent} is not a model folder: it lacks {path.name}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON") from error
