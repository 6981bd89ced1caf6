"""Constants of nature that the SI defines (9th brochure, section 2.2): they have no uncertainty."""

from __future__ import annotations

from typing import Final

__all__ = ["LIGHT_M_S", "PLANCK_J_S"]

LIGHT_M_S: Final = 299_792_458.0
"""Speed of light in vacuum, m/s."""
PLANCK_J_S: Final = 6.62607015e-34
"""Planck's constant, J s."""
