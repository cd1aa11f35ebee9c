"""What every section of the configuration is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True, allow_inf_nan=False
    )


def contradiction(message: str, *at: str) -> PydanticCustomError:
    """Return the error of two settings that exclude each other; `at` is the one whose line to name."""
    return PydanticCustomError("contradiction", "{text}", {"text": message, "at": at})
