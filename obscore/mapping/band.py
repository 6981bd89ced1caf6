"""Bands that a site or an instrument adds to the built-in table, or has otherwise."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from vodal.settings import Settings

__all__ = ["BandSettings", "Bands"]


def _check_pattern(text: str | None) -> str | None:
    try:
        re.compile(text or "")
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from None
    return text


class BandSettings(Settings):
    """A filter that the built-in table lacks, or has otherwise."""

    min_nm: float = Field(gt=0)
    """Shortest wavelength in vacuum, at half of the peak, in nm."""
    max_nm: float = Field(gt=0)
    """Longest wavelength."""
    name: str | None = None
    """What the ``filter`` column says; by default the key."""
    instrument: Annotated[str | None, AfterValidator(_check_pattern)] = None
    """Regular expression: only for instruments or telescopes whose name it is found in."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_nm >= self.max_nm:
            raise ValueError("min_nm must be less than max_nm")
        return self


Bands = dict[str, BandSettings]
"""By the text of the FILTER card; case does not matter."""
