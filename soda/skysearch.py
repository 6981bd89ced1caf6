"""Which pixels of an image a stencil meets, by compiled code, where the sky is flat across blocks.

The same search as that of `soda.skyimage`, block by block in plain loops: a stencil of a few
hundred pixels takes some 30 us instead of a millisecond. Images whose blocks are curved, or partly
off the sky, near the stencil are left to the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from soda.boundary import (
    CIRCLE,
    Stencil,
    clearance,
    distance,
    distances,
    holds,
    holds_corner,
    is_beside,
    span,
    walk,
)
from soda.skyblocks import measure
from vodal.compiled import compiled, in_turn, uncounted

__all__ = ["distances", "load", "measure", "search", "walk"]

Floats = NDArray[np.float64]

_U, _V, _CORNERS, _CENTRE, _RADIUS, _FLAT, _WIDTH = 0, 1, 2, 14, 17, 18, 19
"""Columns of a table of blocks: lower edges in pixels; the unit vectors of the four corners, along
x first, and of the centre; radius of the circle around it; 1 if it is flat and on the sky, `_WHOLE`
if it is on the sky, 0 if only a part is."""
_WHOLE = 0.5
_U0, _V0, _U1, _V1, _LOOKED_AT = 0, 1, 2, 3, 4
"""Places of the known box."""
_PARTS = 4
_ERROR = 0.055
"""By how much interpolated places may be wrong: two fiftieths of a pixel, of which a circle around
it has the radius 1.06 / sqrt 2."""
_MANY, _FEW = 128, 8


@uncounted
def _sticks_out(known: Floats, u: float, v: float, size: float, nx: int, ny: int) -> bool:
    right, top = min(u + size, nx), min(v + size, ny)
    return bool(u < known[_U0] or right > known[_U1] or v < known[_V0] or top > known[_V1])


@uncounted
def _take_in(known: Floats, u: float, v: float, right: float, top: float) -> None:
    known[_U0], known[_V0] = min(known[_U0], math.floor(u)), min(known[_V0], math.floor(v))
    known[_U1], known[_V1] = max(known[_U1], right), max(known[_V1], top)


@uncounted
def _step(block: Floats, corner: int, k: int) -> float:
    """Give a coordinate of the way from the first corner to another."""
    step: float = block[_CORNERS + 3 * corner + k] - block[_CORNERS + k]
    return step


@uncounted
def _interpolate(block: Floats, column: int, row: int, size: float, child: Floats) -> None:
    """Make a part of a flat block; ``size`` is the part's."""
    step = 1.0 / _PARTS
    a, b = column * step, row * step
    plus, minus, twisted, total = 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        origin = block[_CORNERS + k]
        along_x, along_y = _step(block, 1, k), _step(block, 2, k)
        twist = block[_CORNERS + 9 + k] - block[_CORNERS + 6 + k] - along_x
        corner = origin + a * along_x + b * along_y + (a * b) * twist
        side_x, side_y = step * (along_x + b * twist), step * (along_y + a * twist)
        twist *= step * step
        child[_CORNERS + k], child[_CORNERS + 3 + k] = corner, corner + side_x
        child[_CORNERS + 6 + k] = corner + side_y
        child[_CORNERS + 9 + k] = corner + side_x + side_y + twist
        centre = corner + 0.5 * (side_x + side_y) + 0.25 * twist
        child[_CENTRE + k] = centre
        total += centre * centre
        plus += (side_x + side_y + twist) ** 2
        minus += (side_x - side_y) ** 2
        twisted += twist * twist
    reach = 0.5 * math.sqrt(max(plus, minus)) + math.sqrt(twisted)
    length = math.sqrt(total)
    for k in range(3):
        child[_CENTRE + k] /= length
    child[_U], child[_V] = block[_U] + column * size, block[_V] + row * size
    child[_RADIUS] = stretched(reach, size)
    child[_FLAT] = 1.0


@uncounted
def stretched(reach: float, size: float) -> float:
    """Give the radius of the circle around a part of a flat block."""
    # The interpolation's own error is a part of a pixel, whatever the size of the block.
    return 1.02 * reach + 2.0 * 0.02 * reach / size


@uncounted
def _move(blocks: Floats, number: int, place: int) -> None:
    for column in range(_WIDTH):
        blocks[place, column] = blocks[number, column]


@uncounted
def _judge(block: Floats, error: float, stencil: Stencil, room: Floats) -> int:
    """Tell whether a pixel meets a stencil: 1 if so, 0 if not, -1 if it is within the error."""
    corners, arcs = room[:4, 15:18], room[:, :15]
    for number, corner in enumerate((0, 1, 3, 2)):
        place = block[_CORNERS + 3 * corner : _CORNERS + 3 * corner + 3]
        length = math.sqrt(_dot(place, place))
        for k in range(3):
            corners[number, k] = place[k] / length
    if is_beside(stencil, corners, error):
        return 1 if holds(stencil, corners) else 0
    gap = math.inf
    for number in range(4):
        for k in range(3):
            arcs[number, k] = corners[number, k]
            arcs[number, 3 + k] = corners[(number + 1) % 4, k]
        span(arcs[number])
        gap = min(gap, clearance(stencil, arcs[number], 4.0 * error))
    if gap > error:
        return 1 if holds(stencil, corners) else 0
    for number in range(4):
        x, y, z = corners[number]
        if distance(stencil, x, y, z) <= -error:
            return 1
    if holds_corner(stencil, corners, arcs, error):
        return 1
    return 1 if _reaches_in(block, error, stencil) else -1


@uncounted
def _dot(one: Floats, other: Floats) -> float:
    product: float = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return product


@uncounted
def _reaches_in(block: Floats, error: float, stencil: Stencil) -> bool:
    """Tell whether one of a pixel's sixteen parts has its middle in a stencil."""
    step = 1.0 / _PARTS
    for row in range(_PARTS):
        for column in range(_PARTS):
            a, b = (column + 0.5) * step, (row + 0.5) * step
            p, q, r, s = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
            at = _CORNERS
            x = p * block[at] + q * block[at + 3] + r * block[at + 6] + s * block[at + 9]
            at = _CORNERS + 1
            y = p * block[at] + q * block[at + 3] + r * block[at + 6] + s * block[at + 9]
            at = _CORNERS + 2
            z = p * block[at] + q * block[at + 3] + r * block[at + 6] + s * block[at + 9]
            length = math.sqrt(x * x + y * y + z * z)
            if distance(stencil, x / length, y / length, z / length) <= -error:
                return True
    return False


@uncounted
def _is_unsure(
    block: Floats, error: float, known: Floats, nx: int, ny: int, stencil: Stencil, room: Floats
) -> bool:
    """Tell whether a pixel may or may not widen the box; it is taken in if it does."""
    u, v = block[_U], block[_V]
    if not _sticks_out(known, u, v, 1.0, nx, ny):
        return False
    met = _judge(block, error, stencil, room)
    if met > 0:
        _take_in(known, u, v, u + 1.0, v + 1.0)
    return met < 0


@uncounted
def _advance(
    blocks: Floats, size: float, known: Floats, nx: int, ny: int, stencil: Stencil, room: Floats
) -> int:
    """Learn from blocks of one size, and bring those that must be divided to the front.

    Gives their number; -1 if one of them is not flat. Of pixels those are left that are unsure;
    ``room`` (4, 18) is for judging them.
    """
    near = 0
    for number in range(len(blocks)):
        block = blocks[number]
        away = distance(stencil, block[_CENTRE], block[_CENTRE + 1], block[_CENTRE + 2])
        if not away <= block[_RADIUS]:
            continue
        u, v = block[_U], block[_V]
        whole = block[_FLAT] >= _WHOLE
        error = _ERROR * block[_RADIUS] / size
        if whole and away <= -block[_RADIUS]:
            right, top = math.ceil(u + size), math.ceil(v + size)
            _take_in(known, u, v, min(nx, right), min(ny, top))
            continue
        middle_u, middle_v = u + size / 2, v + size / 2
        if whole and middle_u < nx and middle_v < ny and away <= -error:
            _take_in(known, middle_u, middle_v, math.floor(middle_u) + 1, math.floor(middle_v) + 1)
        if (
            size <= 1.0
            and block[_FLAT] >= 1.0
            and not _is_unsure(block, error, known, nx, ny, stencil, room)
        ):
            continue
        _move(blocks, number, near)
        near += 1
    near = _still_out(blocks[:near], size, known, nx, ny)
    for number in range(near):
        if blocks[number, _FLAT] < 1.0:
            return -1
    return near


@uncounted
def _still_out(blocks: Floats, size: float, known: Floats, nx: int, ny: int) -> int:
    """Bring the blocks that would widen the box to the front; gives their number."""
    out = 0
    for number in range(len(blocks)):
        if _sticks_out(known, blocks[number, _U], blocks[number, _V], size, nx, ny):
            _move(blocks, number, out)
            out += 1
    return out


@compiled
def _divide(blocks: Floats, size: float, known: Floats, nx: int, ny: int) -> Floats:
    """Divide blocks to parts of this size, leaving out what cannot widen the box."""
    parts = np.empty((len(blocks) * _PARTS * _PARTS, _WIDTH))
    count = 0
    for number in range(len(blocks)):
        block = blocks[number]
        for row in range(_PARTS):
            for column in range(_PARTS):
                u, v = block[_U] + column * size, block[_V] + row * size
                if u < nx and v < ny and _sticks_out(known, u, v, size, nx, ny):
                    _interpolate(block, column, row, size, parts[count])
                    count += 1
    return parts[:count]


@compiled
def _outermost(blocks: Floats) -> Floats:
    """Choose a few blocks along each of the four sides."""
    chosen = np.zeros(len(blocks), np.bool_)
    for axis in (_U, _V):
        for sign in (-1.0, 1.0):
            most = (sign * blocks[:, axis]).max()
            side = np.nonzero(sign * blocks[:, axis] == most)[0]
            step = max(1, len(side) // _FEW)
            for number in side[::step]:
                chosen[number] = True
    return blocks[chosen]


@compiled
def _probe(
    blocks: Floats, size: float, known: Floats, nx: int, ny: int, stencil: Stencil, most: int
) -> None:
    """Widen the box by what a few flat blocks hold."""
    room = np.empty((4, 18))
    while len(blocks) > 0:
        blocks = blocks[: _advance(blocks, size, known, nx, ny, stencil, room)]
        if size <= 1.0:
            return
        known[_LOOKED_AT] += len(blocks)
        if known[_LOOKED_AT] > most:
            _give_up(blocks, size, known, nx, ny)
            return
        size /= _PARTS
        blocks = _divide(blocks, size, known, nx, ny)


@uncounted
def _give_up(blocks: Floats, size: float, known: Floats, nx: int, ny: int) -> None:
    """Take blocks in as a whole."""
    for number in range(len(blocks)):
        u, v = blocks[number, _U], blocks[number, _V]
        right, top = math.ceil(u + size), math.ceil(v + size)
        _take_in(known, u, v, min(nx, right), min(ny, top))


@compiled
def search(
    blocks: Floats, size: float, nx: int, ny: int, stencil: Stencil, most: int
) -> tuple[bool, float, float, float, float, Floats]:
    """Find the box of the pixels that a stencil meets.

    Parameters
    ----------
    blocks
        Table of the blocks to start from (n, 19); it is not changed.
    size
        Of these, pixels.
    nx, ny
        Of the image.
    stencil
        Kind, numbers, sides and caps (`soda.distance.StencilDistance.numbers`).
    most
        Blocks that are divided before the box is left wider than need be.

    Returns
    -------
    tuple
        Whether all blocks that mattered were flat; then the lower edges of the box and the upper
        ones along x and y, infinite where it is empty; and the lower edges (n, 2) of pixels that
        would widen it, and meet the stencil or not within the error of the search.
    """
    known = np.array([math.inf, math.inf, -math.inf, -math.inf, 0.0])
    room = np.empty((4, 18))
    blocks = blocks.copy()
    while len(blocks) > 0:
        count = _advance(blocks, size, known, nx, ny, stencil, room)
        if count < 0:
            return False, 0.0, 0.0, 0.0, 0.0, blocks[:0, :2]
        blocks = blocks[:count]
        if size <= 1.0:
            break
        if count > _MANY:
            _probe(_outermost(blocks), size, known, nx, ny, stencil, most)
            blocks = blocks[: _still_out(blocks, size, known, nx, ny)]
        known[_LOOKED_AT] += len(blocks)
        if known[_LOOKED_AT] > most:
            _give_up(blocks, size, known, nx, ny)
            blocks = blocks[:0]
            break
        size /= _PARTS
        blocks = _divide(blocks, size, known, nx, ny)
    return True, known[_U0], known[_V0], known[_U1], known[_V1], blocks[:, :2].copy()


@in_turn(walk)
def load() -> None:
    """Compile, or read from the disk what was compiled before."""
    stencil = (CIRCLE, np.zeros(4), np.empty((0, 12)), np.empty((0, 8)))
    search(np.empty((0, _WIDTH)), 1.0, 1, 1, stencil, 1)
    measure(np.zeros((1, 1, 3)), 1.0)
    distances(stencil, np.empty((0, 3)))
    walk(stencil, np.empty((0, 3, 3)), 0.0)
