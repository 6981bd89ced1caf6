"""Colours of levels: a small set of well-known colour maps.

viridis, inferno, magma and plasma are those of N. Smith and S. van der Walt (CC0), in
``colormaps.json``; cubehelix is D. Green's (2011, Bull. Astr. Soc. India 39, 289) with his
defaults; heat is SAOImage DS9's.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLORMAPS", "colored", "colormap"]

Bytes = NDArray[np.uint8]

COLORMAPS: Final = (
    "gray", "viridis", "inferno", "magma", "plasma", "cubehelix", "heat",
)  # fmt: skip
"""Names of the colour maps that there are."""


@lru_cache(maxsize=16)
def colormap(name: str) -> Bytes:
    """Give the colours of levels 0 (black) to 255 (white), shape (256, 3).

    Raises
    ------
    KeyError
        If there is no such colour map.
    """
    level = np.arange(256) / 255.0
    match name:
        case "gray":
            colors = np.repeat(level[:, None], 3, axis=1)
        case "cubehelix":
            angle = 2.0 * np.pi * (0.5 / 3.0 - 1.5 * level)
            swing = level * (1.0 - level) / 2.0
            red = -0.14861 * np.cos(angle) + 1.78277 * np.sin(angle)
            green = -0.29227 * np.cos(angle) - 0.90649 * np.sin(angle)
            blue = 1.97294 * np.cos(angle)
            colors = level[:, None] + swing[:, None] * np.stack([red, green, blue], axis=1)
        case "heat":
            red = np.interp(level, (0.0, 0.34), (0.0, 1.0))
            blue = np.interp(level, (0.65, 0.98), (0.0, 1.0))
            colors = np.stack([red, level, blue], axis=1)
        case _:
            text = resources.files("vodal.pictures").joinpath("colormaps.json").read_text("utf-8")
            return np.frombuffer(bytes.fromhex(json.loads(text)[name]), np.uint8).reshape(256, 3)
    return np.round(255.0 * np.clip(colors, 0.0, 1.0)).astype(np.uint8)


def colored(levels: NDArray[np.float32], name: str, *, invert: bool = False) -> Bytes:
    """Give the colours of levels from 0 to 1, with opacity: transparent where a level is NaN.

    Parameters
    ----------
    levels
        As `vodal.pictures.levels.stretched` gives them.
    name
        Of the colour map; ``gray`` gives grey and opacity, all others red, green, blue and opacity
        on the last axis.
    invert
        Whether the lowest level gets the colour of the highest.
    """
    known = np.isfinite(levels)
    steps = np.round(255.0 * np.where(known, levels, 0.0)).astype(np.uint8)
    if invert:
        steps = 255 - steps
    opacity = np.where(known, np.uint8(255), np.uint8(0))
    colors = steps[..., None] if name == "gray" else colormap(name)[steps]
    colors[~known] = 0
    return np.concatenate([colors, opacity[..., None]], axis=-1)
