"""The frozen base of every settings class.

A settings class is a pydantic model that cannot be changed once made and refuses unknown keys;
each field carries its documentation as the string beneath it. Each package declares its own
settings beside its code; `skylane.settings` composes them and reads ``skylane.toml``.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Settings"]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, field docs beneath each field."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
    )
