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

__all__ = ["feather", "feather_within", "inverse", "with_variances"]

Pixels = NDArray[np.float32]


def with_variances(
    image: OpenImage,
    plane: HduIndex,
    role: Role,
    blocks: Iterator[Pixels],
    corner: tuple[int, int] = (0, 0),
) -> Iterator[tuple[Pixels, Pixels]]:
    """Pair blocks of an image's rows with the variances of their pixels.

    A pixel whose value, variance or weight is unusable (not finite, 0 or less) is blank in both.

    Parameters
    ----------
    image
        What the blocks are read from.
    plane, role
        Of its variances, its standard deviations ("error") or its weights; a weight counts as one
        over a variance.
    blocks
        Its values, row by row.
    corner
        The x and y of the first of them.
    """
    x0, start = corner
    for values in blocks:
        rows = slice(start, start + len(values))
        start = rows.stop
        given = image.section(plane, rows, slice(x0, x0 + values.shape[1])).astype(np.float32)
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
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    if not rows.size:
        return np.full(pixels.shape, np.nan, np.float32)
    bounds = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    return feather_within(pixels, bounds, fraction)


def feather_within(
    pixels: Pixels,
    bounds: tuple[int, int, int, int],
    fraction: float,
    corner: tuple[int, int] = (0, 0),
) -> Pixels:
    """Give the weights of `feather` for a part of an image.

    Parameters
    ----------
    pixels
        The part.
    bounds
        (x0, x1, y0, y1) of the rectangle that holds all values of the image, half open.
    fraction
        As of `feather`.
    corner
        The x and y of the part's first pixel.
    """
    x0, x1, y0, y1 = bounds
    reach = max(1.0, fraction * min(x1 - x0, y1 - y0))
    along_x, along_y = (
        np.minimum(1.0, np.minimum(at + 0.5, size - at - 0.5) / reach)
        for at, size in (
            (np.arange(pixels.shape[1]) + corner[0] - x0, x1 - x0),
            (np.arange(pixels.shape[0]) + corner[1] - y0, y1 - y0),
        )
    )
    weights: Pixels = np.minimum(along_y[:, None], along_x[None, :]).astype(np.float32)
    weights[~np.isfinite(pixels)] = np.nan
    return weights
