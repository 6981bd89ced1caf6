"""The sky inside a HEALPix cell (Gorski et al. 2005, section 4), exact to double precision.

Written here because the control grid needs arrays of places inside a cell, edges included, which
the libraries give only for one place at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hips.names import xy_of
from vodal.compiled import kernel

__all__ = ["sky_of"]

Floats = NDArray[np.float64]

_RING = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4], np.int64)
_MERIDIAN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7], np.int64)


@kernel
def _sky(
    ring: int, meridian: int, x0: int, y0: int, cells: float, u: Floats, v: Floats
) -> tuple[Floats, Floats]:
    ra, dec = np.empty(u.size), np.empty(u.size)
    for k in range(u.size):
        # Place in the base cell, each in [0, 1].
        x, y = (x0 + u[k]) / cells, (y0 + v[k]) / cells
        latitude = ring - x - y
        difference = x - y
        if latitude < 1.0:
            # Measured from the pole's corner, so that the distance to the pole keeps its digits.
            near = (cells - x0 - u[k] + cells - y0 - v[k]) / cells
            dec[k] = 90.0 - math.degrees(2.0 * math.asin(near / math.sqrt(6.0)))
            turn = difference / near if near > 0.0 else 0.0
        elif latitude > 3.0:
            near = x + y
            dec[k] = -90.0 + math.degrees(2.0 * math.asin(near / math.sqrt(6.0)))
            turn = difference / near if near > 0.0 else 0.0
        else:
            dec[k] = math.degrees(math.asin((2.0 - latitude) * 2.0 / 3.0))
            turn = difference
        ra[k] = (45.0 * (meridian + turn)) % 360.0
    return ra, dec


def sky_of(order: int, npix: int, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Give the sky at places inside a cell.

    Parameters
    ----------
    order, npix
        The cell (NESTED).
    u, v
        Along the cell's x (to the north-east) and y (to the north-west), each in [0, 1] with
        both edges included.

    Returns
    -------
    ra, dec
        Degrees in the frame of the cells, in the shape of ``u``. At a pole the right ascension is
        that of the cell's middle.
    """
    base, x, y = xy_of(order, npix)
    flat_u = np.ascontiguousarray(u, np.float64).ravel()
    flat_v = np.ascontiguousarray(v, np.float64).ravel()
    ra, dec = _sky(int(_RING[base]), int(_MERIDIAN[base]), x, y, float(1 << order), flat_u, flat_v)
    return ra.reshape(np.shape(u)), dec.reshape(np.shape(u))
