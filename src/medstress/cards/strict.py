"""The base of everything that is read from YAML."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z0-9][a-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that becomes a file name: lower-case letters, digits and underscores."""


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
