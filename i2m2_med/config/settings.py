"""The base of every typed settings class: closed, frozen, with an error that names the nearest setting."""

from types import NoneType
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, field_validator

Target = dict[str, Any]
"""A block with `_target_` and keyword arguments: a network, transform, combiner, optimizer or scheduler."""


class Settings(BaseModel):
    """Frozen and closed: a key that is not a field is refused. The documentation of settings is made from the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    came_later: ClassVar[tuple[str, ...]] = ()
    """Settings that data were prepared without before: at their defaults they stay out of fingerprints, so that older ones hold."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: Any) -> Any:
        """`epochs: true` is no 1, and `epochs: '3'` no 3."""
        field = cls.model_fields[str(info.field_name)]
        wrong = (bool, str) if numeric(field.annotation) else ()
        items = value if isinstance(value, list | tuple) else [value]
        for item in items:
            if isinstance(item, wrong):
                raise ValueError(f"a number is asked for, found {item!r:.80}")
        return value

    def fingerprinted(self) -> dict[str, Any]:
        """The settings as plain values, without those that came later and are at their defaults."""
        defaults = {
            name: type(self).model_fields[name].get_default(call_default_factory=True) for name in self.came_later
        }
        unset = {name for name, default in defaults.items() if getattr(self, name) == default}
        return self.model_dump(mode="json", exclude=unset)


def numeric(annotation: Any) -> bool:
    """Whether a setting is a number, or a list of numbers, and nothing else but none.

    >>> numeric(int | None), numeric(tuple[float, ...]), numeric(bool), numeric(str | int), numeric(dict[str, int])
    (True, True, False, False, False)
    """
    if annotation is int or annotation is float:
        return True
    parts = [part for part in get_args(annotation) if isinstance(part, type) or get_args(part)]  # no limits, no words
    values = [part for part in parts if part is not NoneType]
    return get_origin(annotation) is not dict and bool(values) and all(numeric(part) for part in values)
