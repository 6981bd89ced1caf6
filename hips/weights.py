"""How much each pixel of an image counts where images overlap.

Weights by variance come from the plane that goes with the image, and are brought to the common
scale as its values are. Weights by feather fall towards the edges of the part of the image that
has values, so that no seam is seen where it ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vodal.fits.index import HduIndex
from vodal.fits.opened import OpenImage
from vodal.fits.planes import Role

__all__ = ["feather", "inverse", "with_variances"]

Pixels = NDArray[np.float32]


def with_variances(
    image: OpenImage, plane: HduIndex, role: Role, blocks: Iterator[Pixels]
) -> Iterator[tuple[Pixels, Pixels]]:
    """Pair blocks of an image's rows with the variances of their pixels.

    A pixel whose value, variance or weight is unusable (not finite, 0 or less) is blank in both.

    Parameters
    ----------
    image
        What the blocks are read from, all columns of it.
    plane, role
        Of its variances, its standard deviations ("error") or its weights; a weight counts as one
        over a variance.
    blocks
        Its values, from the first row on.
    """
    start = 0
    for values in blocks:
        rows = slice(start, start + len(values))
        start = rows.stop
        given = image.section(plane, rows, slice(0, values.shape[1])).astype(np.float32)
        given[~(np.isfinite(given) & (given > 0.0))] = np.nan
        if role == "error":
            given *= given
        elif role == "weight":
            given = np.float32(1.0) / given
        given[~np.isfinite(given)] = np.nan
        given[np.isnan(values)] = np.nan
        values[np.isnan(given)] = np.nan
        yield values, given


def inverse(variances: Pixels, factor: float, binning: int) -> Pixels:
    """Give the weights of calibrated, averaged pixels.

    Parameters
    ----------
    variances
        Mean of the variances of the image pixels that make up a pixel.
    factor
        The values have been multiplied with it.
    binning
        Image pixels along a pixel's side.
    """
    with np.errstate(divide="ignore", over="ignore"):
        weights = np.float32(binning**2 / factor**2) / variances
    weights[~np.isfinite(weights)] = np.nan
    return weights


def feather(pixels: Pixels, fraction: float) -> Pixels:
    """Give weights that rise from 0 at the edges to 1.

    Parameters
    ----------
    pixels
        The image; its edges are those of the smallest upright rectangle that holds all its values.
    fraction
        Of the rectangle's shorter side, within which they rise, in proportion to the distance
        from the nearest edge.
    """
    known = np.isfinite(pixels)
    weights: Pixels = np.full(pixels.shape, np.nan, np.float32)
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    if not rows.size:
        return weights
    height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    reach = max(1.0, fraction * min(height, width))
    along_y, along_x = (
        np.minimum(1.0, np.minimum(at + 0.5, size - at - 0.5) / reach)
        for at, size in ((np.arange(height), height), (np.arange(width), width))
    )
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    weights[box] = np.minimum(along_y[:, None], along_x[None, :])
    weights[~known] = np.nan
    return weights
