"""A search space held against its config: every setting exists, and the config stays one that can be trained at every end."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from i2m2_med.config.reader import lint_targets, validate
from i2m2_med.config.run import RunConfig, nearest
from i2m2_med.config.training import Training
from i2m2_med.config.tuning import ROOTS, own_space, with_settings
from i2m2_med.config.yaml_source import Values
from i2m2_med.errors import ConfigError


def plain_paradigms(run: RunConfig) -> dict[str, dict[str, Any]]:
    """The run's paradigms, the derived ones too, as a config would say them."""
    return {name: paradigm.model_dump(mode="json") for name, paradigm in run.paradigms.items()}


def tuned_values(run: RunConfig, values: Values, found: Mapping[str, Mapping[str, Any]]) -> Values:
    """A config's values with settings found by paradigm. Raises ConfigError for what the config can't be set to."""
    tuned = replace(values, content=with_settings(values.content, plain_paradigms(run), found))
    lint_targets(validate(tuned), tuned)
    return tuned


def check_space(run: RunConfig, values: Values) -> None:
    """Raise ConfigError for a setting of `tune.space` that does not exist, can't be searched, or can't be what its range holds."""
    for key, dimension in run.tune.space.items():
        refuse_unknown(key, run, values)
        for name, paradigm in run.paradigms.items():
            if key not in own_space(run.tune, paradigm.experts):
                continue
            for end in dimension.ends:
                try:
                    tuned_values(run, values, {name: {key: end}})
                except ConfigError as error:
                    raise ConfigError(
                        f"{where(key, values)} can't be {end!r:.80}: {str(error).splitlines()[0]}"
                    ) from error
            break  # another paradigm takes the same values


def refuse_unknown(key: str, run: RunConfig, values: Values) -> None:
    """Raise ConfigError for a dotted setting that is none of those that can be searched."""
    root, *path = key.split(".")
    name, known = root, None
    if root == "training" and path:
        name, known = path[0], Training.model_fields
    elif root == "experts" and len(path) >= 3:
        name, known = (path[0], run.experts) if path[0] not in run.experts else (path[1], {"network": 0, "training": 0})
        if path[0] in run.experts and path[1] == "training":
            name, known = path[2], Training.model_fields
    elif root == "combiner" and path:
        return
    if known is None:
        raise ConfigError(f"{where(key, values)} can't be searched: tune.space names {ROOTS}")
    if name not in known:
        raise ConfigError(
            f"{where(key, values)}: '{name}' is no {'expert' if known is run.experts else 'setting'}{nearest(name, known)}"
        )


def where(key: str, values: Values) -> str:
    """The place of a dimension and its name."""
    return f"{values.where(('tune', 'space', key))}: tune.space {key}"
