"""`_target_` blocks → objects, by MONAI's ConfigParser, once their classes are known to be of the kind that is asked for."""

import inspect
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pydoc import locate
from typing import Any

from i2m2_med.config.allow_list import allowed, is_trusted, refusals
from i2m2_med.config.run import nearest
from i2m2_med.config.settings import Target
from i2m2_med.errors import ConfigError, UserError, causes

KINDS = {
    "network": "torch.nn.Module",
    "combiner": "torch.nn.Module",
    "transform": "monai.transforms.Transform",
    "optimizer": "torch.optim.Optimizer",
    "loss": "torch.nn.Module",
    "scheduler": "torch.optim.lr_scheduler.LRScheduler",
}


def resolve(target: str, kind: str, where: str, plugins: tuple[str, ...] = ()) -> type:
    """The class that a `_target_` names. What is not on the list, a function, and another kind of class are refused."""
    if target not in allowed() and not is_trusted(target, plugins):
        raise ConfigError(f"{where}: '{target}' is not allowed; a config names a listed class, or one of its 'plugins'")
    try:
        located: Any = locate(target)
    except Exception as error:  # pydoc.ErrorDuringImport: the module exists and fails
        raise ConfigError(f"{where}: {target} fails to import: {error}") from error
    if located is None:
        raise ConfigError(f"{where}: there is no {target}")
    wanted: Any = locate(KINDS[kind])
    at_home = target in allowed() or is_trusted(f"{getattr(located, '__module__', '')}.", plugins)
    if not inspect.isclass(located) or not at_home or not issubclass(located, wanted):
        raise ConfigError(f"{where}: {target} is not a {kind} (a {KINDS[kind]})")
    return located


def build(
    block: Target,
    kind: str,
    where: str,
    plugins: tuple[str, ...] = (),
    offered: Mapping[str, Any] | None = None,
    **given: Any,
) -> Any:
    """Make the object of a `_target_` block. `given` are passed always, `offered` where the class takes them and the block is silent."""
    for key, why in refusals(block, plugins):
        raise ConfigError(f"{where}.{'.'.join(map(str, key))}: {why}")
    cls = resolve(str(block.get("_target_")), kind, where, plugins)
    takes = inspect.signature(cls).parameters
    known = {name: value for name, value in (offered or {}).items() if name in takes and name not in block}
    open_ended = any(taken.kind is inspect.Parameter.VAR_KEYWORD for taken in takes.values())
    for name in block:
        if name != "_target_" and name not in takes and not open_ended:
            raise ConfigError(f"{where}: {block['_target_']} takes no '{name}'{nearest(name, list(takes))}")
    for value in nested(block):
        inner = "network" if kind in {"network", "combiner", "transform"} else kind
        resolve(str(value["_target_"]), inner, where, plugins)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "monai.*Current default value of argument", FutureWarning
            )  # its own defaults
            return cls(**arguments(block), **known, **given)
    except Exception as error:  # a class may raise anything at settings that don't go together
        cause = next(
            (each for each in causes(error) if isinstance(each, UserError)), error
        )  # MONAI hides a block inside
        why = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise ConfigError(f"{where}: {block['_target_']}: {why:.300}") from error


def arguments(block: Target) -> dict[str, Any]:
    """Return the arguments that a block passes to its class, blocks inside made into objects by MONAI's parser.

    Where all are plain values there is nothing to parse, and MONAI, which takes seconds to import, is left alone.
    """
    values = {key: deepcopy(value) for key, value in block.items() if key != "_target_"}
    if not nested(block):
        return values
    from monai.bundle.config_parser import ConfigParser

    return ConfigParser(values).get_parsed_content()


def nested(content: Any, *, top: bool = True) -> list[Mapping[str, Any]]:
    """The `_target_` blocks inside a block."""
    if isinstance(content, Mapping):
        inside = [block for value in content.values() for block in nested(value, top=False)]
        return inside if top or "_target_" not in content else [content, *inside]
    if isinstance(content, list | tuple):
        return [block for value in content for block in nested(value, top=False)]
    return []
