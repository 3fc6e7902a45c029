"""The base of every typed settings class: closed, frozen, with an error that names the nearest setting."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen and closed: a key that is not a field is refused. The documentation of settings is made from the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
