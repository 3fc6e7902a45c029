"""Errors that are the user's to mend: one clear line and exit code 1. Anything else is a bug and keeps its traceback."""

from collections.abc import Iterator
from pathlib import Path


class UserError(Exception):
    """Says what, where, what was found and what to do; never a patient's value."""

    @classmethod
    def kind(cls) -> str:
        """The error's name for a person: that of the class below, however finely the code tells apart."""
        return next(each.__name__ for each in cls.__mro__ if each.__module__ == __name__)


class ConfigError(UserError):
    """A run config is not what it should be."""


class SourceError(UserError):
    """A file or table of the input is not what it should be."""


class ModelError(UserError):
    """A model folder, run or checkpoint is not what it should be."""


class StoreError(UserError):
    """The tracking store can't be used as it is."""


def extra_hint(extra: str) -> str:
    """Return how an optional part is installed: from the checkout that runs, or from the wheel that was installed (no index has it)."""
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return f"install it from your checkout: `pip install -e '{checkout}[{extra}]'`"
    return f"install it from the wheel you have: `pip install 'i2m2_med-….whl[{extra}]'`"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, each once: MONAI and ignite wrap the errors of their callbacks."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
