"""Cells of HEALPix in the nested scheme, one at a time (Gorski et al. 2005, section 5 and 6)."""

from __future__ import annotations

import math

from vodal.errors import UsageError

__all__ = ["MAX_ORDER", "base_position", "center", "index", "split"]

MAX_ORDER = 29
"""Finest order: a cell's number has 62 bits."""

_ROWS = (2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4)
_COLUMNS = (1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7)
"""Where the twelve base cells lie: their southernmost corner counts from here."""

_SPREAD = tuple(sum(1 << (2 * bit) for bit in range(8) if value >> bit & 1) for value in range(256))
_EVEN_BITS = 0x5555555555555555


def _spread(value: int) -> int:
    """Put a zero behind each bit."""
    return (
        _SPREAD[value & 255]
        | _SPREAD[value >> 8 & 255] << 16
        | _SPREAD[value >> 16 & 255] << 32
        | _SPREAD[value >> 24 & 255] << 48
    )


def _gather(value: int) -> int:
    """Take every other bit: the opposite of `_spread`."""
    value &= _EVEN_BITS
    for shift, mask in (
        (1, 0x3333333333333333), (2, 0x0F0F0F0F0F0F0F0F), (4, 0x00FF00FF00FF00FF),
        (8, 0x0000FFFF0000FFFF), (16, 0x00000000FFFFFFFF),
    ):  # fmt: skip
        value = (value | value >> shift) & mask
    return value


def _check_order(order: int) -> None:
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"the order of HEALPix goes from 0 to {MAX_ORDER}, not {order}")


def index(order: int, lon_deg: float, lat_deg: float) -> int:
    """Give the number of the cell that a position lies in.

    Parameters
    ----------
    order
        From 0 to 29.
    lon_deg, lat_deg
        Any longitude; a latitude in [-90, 90] degrees.

    Raises
    ------
    UsageError
        If the order or the latitude is outside.
    """
    _check_order(order)
    if not (math.isfinite(lon_deg) and -90.0 <= lat_deg <= 90.0):
        raise UsageError(f"there is no position {lon_deg:g}, {lat_deg:g}")
    nside = 1 << order
    quarters = lon_deg % 360.0 / 90.0
    quarters = 0.0 if quarters >= 4.0 else quarters
    z = math.sin(math.radians(lat_deg))
    if abs(z) <= 2.0 / 3.0:
        rising = nside * (0.5 + quarters)
        step = nside * z * 0.75
        down, up = int(rising - step), int(rising + step)
        first, second = down >> order, up >> order
        face = first if first < second else second + 8
        if first == second:
            face = first | 4
        x, y = up & (nside - 1), nside - 1 - (down & (nside - 1))
    else:
        quarter = min(3, int(quarters))
        part = quarters - quarter
        # sqrt(3 (1 - |z|)) loses all digits at the pole; the cosine has them.
        width = nside * math.cos(math.radians(lat_deg)) * math.sqrt(3.0 / (1.0 + abs(z)))
        down = min(nside - 1, int(part * width))
        up = min(nside - 1, int((1.0 - part) * width))
        if z >= 0:
            face, x, y = quarter, nside - up - 1, nside - down - 1
        else:
            face, x, y = quarter + 8, down, up
    return (face << 2 * order) | _spread(x) | _spread(y) << 1


def center(order: int, cell: int) -> tuple[float, float]:
    """Give the centre of a cell: longitude in [0, 360) and latitude in degrees.

    Raises
    ------
    UsageError
        If there is no such order or cell.
    """
    _check_order(order)
    if not 0 <= cell < 12 << 2 * order:
        raise UsageError(f"cells of order {order} go from 0 to {(12 << 2 * order) - 1}, not {cell}")
    nside = 1 << order
    face, within = cell >> 2 * order, cell & ((1 << 2 * order) - 1)
    x, y = _gather(within), _gather(within >> 1)
    row = _ROWS[face] * nside - x - y - 1
    if row < nside:
        ring, sign, shift = row, 1.0, 0
    elif row > 3 * nside:
        ring, sign, shift = 4 * nside - row, -1.0, 0
    else:
        ring, sign, shift = nside, 0.0, (row - nside) & 1
    if sign:
        # The distance from the pole: arccos(1 - t) = 2 arcsin(sqrt(t / 2)) near 0.
        lat = sign * (90.0 - 2.0 * math.degrees(math.asin(ring / (nside * math.sqrt(6.0)))))
    else:
        lat = math.degrees(math.asin((2 * nside - row) * 2.0 / (3.0 * nside)))
    column = (_COLUMNS[face] * ring + x - y + 1 + shift) // 2
    column += 4 * ring if column < 1 else -4 * ring if column > 4 * ring else 0
    lon = (column - (shift + 1) * 0.5) * 90.0 / ring
    return lon % 360.0, lat


def split(order: int, cell: int) -> tuple[int, int, int]:
    """Give the base cell that a cell lies in, and its place there along both sides."""
    within = cell & ((1 << 2 * order) - 1)
    return cell >> 2 * order, _gather(within), _gather(within >> 1)


def base_position(face: int, x: float, y: float) -> tuple[float, float]:
    """Give the position of a place in a base cell, from (0, 0) in the south to (1, 1).

    Longitude in [0, 360) and latitude in degrees.
    """
    row = _ROWS[face] - x - y
    if row < 1.0:
        width, lat = row, 90.0 - 2.0 * math.degrees(math.asin(row / math.sqrt(6.0)))
    elif row > 3.0:
        width = 4.0 - row
        lat = 2.0 * math.degrees(math.asin(width / math.sqrt(6.0))) - 90.0
    else:
        width, lat = 1.0, math.degrees(math.asin((2.0 - row) * 2.0 / 3.0))
    if width < 1e-15:
        return 0.0, lat
    column = _COLUMNS[face] * width + x - y
    return column * 45.0 / width % 360.0, lat
