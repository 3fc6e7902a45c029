"""Command-line arguments that several verbs share."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from i2m2_med.workspace import workspace

Config = Annotated[str, Parameter(help="A YAML file, or the name of a shipped config (`i2m2 check --list`).")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name=["-s", "--set"],
        negative=(),
        help="Change a setting: `-s training.epochs=3`, `-s seeds=[0,1]`; repeatable.",
    ),
]
Run = Annotated[str, Parameter(help="A run: its MLflow id, its name, or a model folder.")]


def as_typed(config: str, set_: tuple[str, ...]) -> str:
    """Return a config and its changed settings as one types them after a verb.

    >>> as_typed("my.yaml", ("seeds=[0, 1]",))
    "my.yaml -s 'seeds=[0, 1]'"
    """
    return shlex.join([config, *(word for one in set_ for word in ("-s", one))])


def expect_run(run: str, uri: str | None) -> None:
    """Raise StoreError at once where the store has no such run, before what takes seconds is imported; folders and models pass."""
    from i2m2_med.engine.tracking.read import find_run
    from i2m2_med.engine.tracking.store import store_uri

    if not (run.startswith("models:/") or Path(run).exists()):
        find_run(store_uri(workspace(), uri), run)
