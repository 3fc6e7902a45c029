"""Command-line arguments that several verbs share."""

from typing import Annotated

from cyclopts import Parameter

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
