"""Pixels of a cutout that lie outside of its stencil: blanked, or told by a plane of their own.

A cutout is a box of pixels; all of those that the stencil touches are in it, and some that it does
not. A pixel is outside if its centre is: the pixels inside are then those whose centres the
stencil holds, as photometry in apertures and regions of DS9 counts them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from soda.box import Box
from soda.distance import Distance, signed_distance
from soda.encode import Part
from soda.plan import PlaneSky, Section
from soda.skyimage import SkyImage
from vodal.errors import UsageError
from vodal.fits.headers import text_cards, value_card
from vodal.fits.index import HduIndex
from vodal.fits.planes import Role, plane_role
from vodal.regions import Region

__all__ = ["apply_outside", "blank_outside", "outside_pixels"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

_BLOCK: Final = 32
"""Side of the blocks that are looked at as a whole first, in pixels."""
_STRETCH: Final = 1.2
"""Circles are drawn around nine places of a block; between them it may bulge a little."""
_LARGEST_RAD: Final = math.radians(3.0)
"""Larger blocks may bulge more."""
_TOGETHER: Final = 1 << 17
"""Pixels whose places are computed in one go."""
_MASK_NAME: Final = "OUTSIDE"
_COORDINATES: Final = re.compile(
    r"(WCSAXES|WCSNAME|C(TYPE|UNIT|RVAL|RPIX|DELT|ROTA|NAME)\d|(CD|PC)\d_\d|P[VS]\d_\d+|LONPOLE"
    r"|LATPOLE|RADESYS|RADECSYS|EQUINOX|EPOCH|[AB]P?_(ORDER|\d_\d)|WAT\d_\d+|CPDIS\d|DP\d"
    r"|D2IM.*|MJD-OBS|DATE-OBS|LT[MV]\d.*|CUTHDU|CUTSEC)$"
)


def outside_pixels(image: SkyImage, box: Box, distance: Distance) -> Bools:
    """Tell which pixels have their centres outside of a stencil.

    Blocks of pixels that are wholly on one side are told by their middles; of the others each
    pixel is asked.

    Parameters
    ----------
    image
        The whole image's sky.
    box
        The pixels in question.
    distance
        Of the stencil, from `soda.distance.signed_distance`.

    Returns
    -------
    array
        Shape (rows, columns) of the box; also true where a pixel is off the sky.
    """
    height, width = box.y1 - box.y0, box.x1 - box.x0
    out = np.empty((height, width), np.bool_)
    half = _BLOCK // 2
    columns = -(-width // _BLOCK)
    u = box.x0 + half * np.arange(2 * columns + 1, dtype=np.float64)
    for top in range(0, height, _BLOCK):
        v = box.y0 + top + half * np.arange(3, dtype=np.float64)
        samples = image.vectors(*np.meshgrid(u, v))
        middles, radii = _circles(samples, columns)
        from_stencil = np.full(columns, np.nan)
        seen = np.isfinite(radii) & (radii < _LARGEST_RAD)
        from_stencil[seen] = distance(middles[seen])
        rows = slice(top, min(top + _BLOCK, height))
        sides = np.where(from_stencil > radii, 1, np.where(from_stencil < -radii, 0, -1))
        sides[~seen] = -1
        wide = np.repeat(sides, _BLOCK)[:width]
        out[rows] = wide == 1
        (asked,) = np.nonzero(wide == -1)
        step = max(1, _TOGETHER // (rows.stop - rows.start))
        for first in range(0, len(asked), step):
            some = asked[first : first + step]
            out[rows, some] = _ask(image, box.x0 + some, box.y0 + rows.start, rows, distance)
    return out


def _circles(samples: Floats, columns: int) -> tuple[Floats, Floats]:
    """Give middles and radii of circles around the blocks of one row of blocks; NaN if unknown."""
    middles = samples[1, 1::2]
    parts = np.stack([samples[:, k : k + 2 * columns : 2] for k in range(3)])
    chords = np.sqrt(np.square(parts - middles).sum(axis=-1)).max(axis=(0, 1))
    return middles, 2.0 * np.arcsin(np.minimum(1.0, _STRETCH * chords / 2.0))


def _ask(image: SkyImage, x: NDArray[np.intp], y0: int, rows: slice, distance: Distance) -> Bools:
    y = y0 + np.arange(rows.stop - rows.start)
    vectors = image.vectors(*np.meshgrid(x + 0.5, y + 0.5))
    shape = vectors.shape[:-1]
    points = vectors.reshape(-1, 3)
    outside = np.ones(len(points), np.bool_)
    known = np.isfinite(points[:, 0])
    outside[known] = distance(points[known]) > 0.0
    return outside.reshape(shape)


def apply_outside(
    parts: Mapping[int, Part],
    planes: Iterable[tuple[HduIndex, PlaneSky]],
    sections: Sequence[Section],
    stencil: Region,
    mode: Literal["nan", "mask"],
) -> list[Part]:
    """Blank what is outside of a stencil in each plane, or append planes that tell it.

    Parameters
    ----------
    parts
        The HDUs of the cutout by their numbers in the original.
    planes
        The product's planes and their skies (`soda.plan.plane_skies`).
    sections
        What was cut.
    stencil
        By which it was cut.
    mode
        Which of the two.

    Raises
    ------
    UsageError
        As `blank_outside`.
    """
    of_hdu = {section.hdu: section for section in sections}
    found: dict[tuple[object, ...], Bools] = {}
    first: list[tuple[Part, Bools]] = []
    out = dict(parts)
    for hdu, sky in planes:
        section = of_hdu.get(hdu.number)
        if section is None:
            continue
        axes = sky.axes_of(hdu)
        places = [section.slices[axis] for axis in axes]
        key = (id(sky), len(section.slices), *((place.start, place.stop) for place in places))
        if key not in found:
            found[key] = _outside_section(sky, axes, section, stencil)
            first.append((parts[hdu.number], found[key]))
        if mode == "nan":
            out[hdu.number] = blank_outside(out[hdu.number], found[key], plane_role(hdu))
    return [*out.values(), *(_mask_planes(first) if mode == "mask" else ())]


def _outside_section(
    sky: PlaneSky, axes: tuple[int, int], section: Section, stencil: Region
) -> Bools:
    """Tell which pixels are outside; with the section's axes, of size 1 if not celestial."""
    x_axis, y_axis = axes
    x, y = section.slices[x_axis], section.slices[y_axis]
    box = Box(x.start, x.stop, y.start, y.stop)
    outside = outside_pixels(sky.image, box, signed_distance(stencil))
    shape = [1] * len(section.slices)
    shape[x_axis], shape[y_axis] = box.x1 - box.x0, box.y1 - box.y0
    # In the order of the file x comes first, in numpy's last.
    return outside.reshape(shape)


def blank_outside(part: Part, outside: Bools, role: Role | None) -> Part:
    """Make the pixels outside NaN, or BLANK in images of integers.

    Planes of flags are kept as they are, since BLANK is no flag.

    Raises
    ------
    UsageError
        If an image of integers has no BLANK, and no value is free for it.
    """
    data = part.data
    if not isinstance(data, np.ndarray) or role in {"mask", "quality"} or not outside.any():
        return part
    if data.dtype.kind == "f":
        return Part(part.cards, np.where(outside, data.dtype.type(np.nan), data))
    cards, blank = list(part.cards), _declared_blank(part.cards, data)
    if blank is None:
        blank = _free_value(data)
        cards = [card for card in cards if card[:8].rstrip() != "BLANK"]
        cards.append(value_card("BLANK", str(blank), "stored value of pixels without one"))
    return Part(cards, np.where(outside, data.dtype.type(blank), data))


def _declared_blank(cards: Sequence[str], data: NDArray[Any]) -> int | None:
    for card in cards:
        if card.startswith("BLANK   ="):
            text = card[10:].partition("/")[0].strip()
            limits = np.iinfo(data.dtype)
            if re.fullmatch(r"[+-]?\d+", text) and limits.min <= int(text) <= limits.max:
                return int(text)
    return None


def _free_value(data: NDArray[Any]) -> int:
    """Find a stored value that no pixel has: the lowest one, else the highest, else any."""
    limits = np.iinfo(data.dtype)
    low, high = int(data.min()), int(data.max())
    if low > limits.min:
        return int(limits.min)
    if high < limits.max:
        return int(limits.max)
    values = np.unique(data).astype(object)
    gaps = np.nonzero(np.diff(values) > 1)[0]
    if not len(gaps):
        raise UsageError(
            "OUTSIDE=nan: the image holds every value that its integers can have, so that none "
            "is free to stand for blank; ask for OUTSIDE=mask"
        )
    return int(values[gaps[0]]) + 1


def _mask_planes(found: Sequence[tuple[Part, Bools]]) -> list[Part]:
    """Make a plane for each grid of pixels: 1 where the centre is outside, else 0."""
    planes = []
    for version, (part, outside) in enumerate(found, 1):
        cards = [
            *text_cards("XTENSION", "IMAGE", "image extension"),
            value_card("BITPIX", "8"),
            value_card("NAXIS", str(outside.ndim)),
            *(value_card(f"NAXIS{k}", str(n)) for k, n in enumerate(reversed(outside.shape), 1)),
            value_card("PCOUNT", "0"),
            value_card("GCOUNT", "1"),
            *text_cards("EXTNAME", _MASK_NAME, "1 where the pixel's centre is outside CUTSTEN"),
            value_card("EXTVER", str(version)),
            *(card for card in part.cards if _COORDINATES.match(card[:8].rstrip())),
        ]
        planes.append(Part(cards, outside.astype(np.uint8)))
    return planes
