"""Which sections of which HDUs make up a cutout. Pure: no bytes of the file are read here.

The planes of a product lie on one grid, so that the first decides for all of the same coordinates.
A plane with coordinates of its own is asked itself, and gets the same box where its sky is that of
the first to a tenth of a pixel, so that planes that belong together come out in one size. All
planes of the other axes (spectral, Stokes, time) are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.box import Box
from soda.distance import signed_distance
from soda.skyimage import SkyImage
from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.wcs import celestial_axes, claims_sky, sky_wcs
from vodal.regions import Region

__all__ = ["PlaneSky", "Section", "image_planes", "plan_sections", "plane_skies"]

_SAME_PIXELS = 0.1
_WCS_CARD = re.compile(
    r"(WCSAXES|WCSNAME|C(TYPE|UNIT|RVAL|RPIX|DELT|ROTA)\d|(CD|PC)\d_\d|P[VS]\d_\d+|LONPOLE|LATPOLE"
    r"|RADESYS|RADECSYS|EQUINOX|EPOCH|[AB]P?_(ORDER|\d_\d)|CPDIS\d|CPERR\d|DP\d|D2IM.*|AXISCORR"
    r"|CQDIS\d|DQ\d|WAT\d_\d+|CNPIX\d|PLTRA.*|AMD.*|PPO\d|PC\d{6}|MJD-OBS|DATE-OBS)$"
)


@dataclass(frozen=True, slots=True)
class Section:
    """What is cut from one HDU."""

    hdu: int
    """Number of the HDU."""
    slices: tuple[slice, ...]
    """In numpy order, all with start and stop."""

    @property
    def shift(self) -> tuple[int, ...]:
        """Pixels cut off at the lower end of each axis, in FITS order (NAXIS1 first)."""
        return tuple(part.start for part in reversed(self.slices))

    @property
    def shape(self) -> tuple[int, ...]:
        """In numpy order."""
        return tuple(part.stop - part.start for part in self.slices)


class PlaneSky:
    """The sky of one HDU, with the axes along which it lies.

    Parameters
    ----------
    hdu
        The image.
    wcs
        Of all of its axes.
    """

    def __init__(self, hdu: HduIndex, wcs: WCS) -> None:
        x_axis, y_axis = celestial_axes(wcs)
        axes = len(hdu.shape)
        self.x_axis, self.y_axis = axes - 1 - x_axis, axes - 1 - y_axis
        """The numpy axes of x and y."""
        self.image = SkyImage(sky_wcs(wcs), hdu.shape[self.x_axis], hdu.shape[self.y_axis])
        self.cards = wcs_cards(hdu)
        self.shape = hdu.shape

    def fits(self, hdu: HduIndex) -> bool:
        """Tell whether an image has this size along the celestial axes."""
        if hdu.shape == self.shape:
            return True
        return len(hdu.shape) == 2 and hdu.shape == (self.image.ny, self.image.nx)

    def axes_of(self, hdu: HduIndex) -> tuple[int, int]:
        """Give the numpy axes of x and y in an image that fits."""
        return (self.x_axis, self.y_axis) if hdu.shape == self.shape else (1, 0)

    def section(self, hdu: HduIndex, box: Box) -> Section:
        """Give the section of an image that a box cuts out; the image must fit."""
        slices = [slice(0, size) for size in hdu.shape]
        x_axis, y_axis = self.axes_of(hdu)
        slices[x_axis] = slice(box.x0, box.x1)
        slices[y_axis] = slice(box.y0, box.y1)
        return Section(hdu.number, tuple(slices))

    @cached_property
    def _fingerprint(self) -> NDArray[np.float64]:
        """The sky at 9 x 9 places."""
        steps = np.linspace(0.0, 1.0, 9)
        return self.image.vectors(*np.meshgrid(steps * self.image.nx, steps * self.image.ny))

    def is_like(self, other: PlaneSky) -> bool:
        """Tell whether two images of one shape have the same sky."""
        if self.shape != other.shape or (self.x_axis, self.y_axis) != (other.x_axis, other.y_axis):
            return False
        ours, theirs = self._fingerprint, other._fingerprint
        seen = np.isfinite(ours).all(axis=-1)
        if not np.array_equal(seen, np.isfinite(theirs).all(axis=-1)) or seen.sum() < 2:
            return False
        steps = np.linalg.norm(np.diff(ours, axis=1), axis=-1)
        pixel = float(np.nanmedian(steps)) / (self.image.nx / 8.0)
        off = np.linalg.norm(ours - theirs, axis=-1)[seen]
        return bool(off.max() < _SAME_PIXELS * pixel)


def wcs_cards(hdu: HduIndex) -> tuple[str, ...]:
    """Give the cards of an HDU that tell its coordinates, without comments; for comparison."""
    found = []
    for start in range(0, len(hdu.cards), 80):
        keyword = hdu.cards[start : start + 8].rstrip()
        if _WCS_CARD.match(keyword):
            value = hdu.cards[start + 10 : start + 80]
            if "'" not in value:
                value = value.partition("/")[0]
            found.append(f"{keyword}={value.strip()}")
    return tuple(sorted(found))


def plan_sections(
    index: FileIndex,
    hdus: Sequence[int],
    stencil: Region | None,
    sky_of: Callable[[HduIndex], PlaneSky],
) -> tuple[Section, ...]:
    """Find what of each plane a stencil meets.

    A pixel is met if its area and the stencil have a point in common.

    Parameters
    ----------
    index
        Of the file.
    hdus
        The product's HDUs, image plane first.
    stencil
        None for whole planes.
    sky_of
        Gives the sky of an image HDU; raises DataError if it has none.

    Returns
    -------
    tuple of Section
        In the order of the file; empty if the stencil meets no pixel.

    Raises
    ------
    DataError
        If the product has no image, or its first plane no sky.
    """
    planes = image_planes(index, hdus)
    if stencil is None:
        return _in_order(
            Section(hdu.number, tuple(slice(0, size) for size in hdu.shape)) for hdu in planes
        )
    distance = signed_distance(stencil)
    boxes: dict[PlaneSky, Box | None] = {}
    sections = []
    for hdu, sky in plane_skies(planes, sky_of):
        if sky not in boxes:
            boxes[sky] = sky.image.box(distance)
        box = boxes[sky]
        if box is not None:
            sections.append(sky.section(hdu, box))
    return _in_order(sections)


def image_planes(index: FileIndex, hdus: Sequence[int]) -> list[HduIndex]:
    """Give those HDUs of a product that are images, in its order.

    Raises
    ------
    DataError
        If none is.
    """
    planes = [index.hdus[number] for number in hdus]
    planes = [hdu for hdu in planes if hdu.kind in {"image", "compressed"} and hdu.shape]
    if not planes:
        raise DataError("the dataset has no image")
    return planes


def plane_skies(
    planes: Sequence[HduIndex], sky_of: Callable[[HduIndex], PlaneSky]
) -> list[tuple[HduIndex, PlaneSky]]:
    """Give each plane of a product with the sky that it lies on; those without one are left out.

    Parameters
    ----------
    planes
        The image plane, whose sky is that of planes without coordinates, first.
    sky_of
        Gives the sky of an image HDU.

    Raises
    ------
    DataError
        If the first plane has no sky.
    """
    known = [sky_of(planes[0])]
    found = ((hdu, _sky_for(hdu, known, sky_of)) for hdu in planes)
    return [(hdu, sky) for hdu, sky in found if sky is not None]


def _in_order(sections: Iterable[Section]) -> tuple[Section, ...]:
    return tuple(sorted(sections, key=lambda section: section.hdu))


def _sky_for(
    hdu: HduIndex, known: list[PlaneSky], sky_of: Callable[[HduIndex], PlaneSky]
) -> PlaneSky | None:
    """Find the sky that a plane lies on, among the known ones or new; None if it has no place."""
    cards = wcs_cards(hdu)
    for sky in known:
        if sky.shape == hdu.shape and sky.cards == cards:
            return sky
    if not claims_sky(hdu.image_header):
        # A mask without coordinates lies on the image of its size.
        return next((sky for sky in known if sky.fits(hdu)), None)
    own = sky_of(hdu)
    for sky in known:
        if own.is_like(sky):
            return sky
    known.append(own)
    return own
