"""The base of every typed settings class: closed, frozen, with an error that names the nearest setting."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen and closed: a key that is not a field is refused. The documentation of settings is made from the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    came_later: ClassVar[tuple[str, ...]] = ()
    """Settings that data were prepared without before: at their defaults they stay out of fingerprints, so that older ones hold."""

    def fingerprinted(self) -> dict[str, Any]:
        """The settings as plain values, without those that came later and are at their defaults."""
        defaults = {
            name: type(self).model_fields[name].get_default(call_default_factory=True) for name in self.came_later
        }
        unset = {name for name, default in defaults.items() if getattr(self, name) == default}
        return self.model_dump(mode="json", exclude=unset)
