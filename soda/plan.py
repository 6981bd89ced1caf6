"""Which sections of which HDUs make up a cutout. Pure: no bytes of the file are read here.

The planes of a product lie on one grid, so that the first decides for all of the same coordinates.
A plane with coordinates of its own is asked itself, and gets the same box where its coordinates are
those of the first to a tenth of a pixel, so that planes that belong together come out in one size.
Spectral, time and Stokes axes are cut by BAND, TIME and POL, and kept whole without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.axes import ImageAxes
from soda.distance import StencilDistance, signed_distance
from soda.filters import Extent, Parameter, judge, passes_whole
from soda.hdus import chosen_planes
from soda.selection import PixelRange, Selection
from soda.skyimage import SkyImage
from vodal.errors import DataError, UsageError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.quiet import quiet
from vodal.fits.wcs import celestial_axes, claims_sky, sky_wcs

__all__ = ["PlaneSky", "Section", "image_planes", "plan_sections", "plane_skies"]

Slices = tuple[slice, ...]
"""In numpy order."""

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
    slices: Slices
    """In numpy order, all with start and stop; of a Stokes axis perhaps with a step."""

    @property
    def shift(self) -> tuple[int, ...]:
        """Pixels cut off at the lower end of each axis, in FITS order (NAXIS1 first)."""
        return tuple(part.start for part in reversed(self.slices))

    @property
    def steps(self) -> tuple[int, ...]:
        """From each pixel that is taken to the next, in FITS order; 1 for all of them."""
        return tuple(part.step or 1 for part in reversed(self.slices))

    @property
    def shape(self) -> tuple[int, ...]:
        """In numpy order."""
        return tuple(len(range(part.start, part.stop, part.step or 1)) for part in self.slices)


class PlaneSky:
    """The sky of one HDU, with the axes along which it lies.

    Parameters
    ----------
    hdu
        The image.
    wcs
        Of all of its axes.
    primary
        The file's first HDU, whose header may tell what the image's does not.
    """

    def __init__(self, hdu: HduIndex, wcs: WCS, primary: HduIndex | None = None) -> None:
        x_axis, y_axis = celestial_axes(wcs)
        axes = len(hdu.shape)
        self.x_axis, self.y_axis = axes - 1 - x_axis, axes - 1 - y_axis
        """The numpy axes of x and y."""
        self.image = SkyImage(sky_wcs(wcs), hdu.shape[self.x_axis], hdu.shape[self.y_axis])
        headers = [one.image_values for one in (hdu, primary) if one is not None and one.cards]
        self.axes = ImageAxes(wcs, hdu.shape, headers)
        self.cards = wcs_cards(hdu)
        self.shape = hdu.shape
        self._wcs = wcs

    def fits(self, hdu: HduIndex) -> bool:
        """Tell whether an image has this size along the celestial axes."""
        if hdu.shape == self.shape:
            return True
        return len(hdu.shape) == 2 and hdu.shape == (self.image.ny, self.image.nx)

    def axes_of(self, hdu: HduIndex) -> tuple[int, int]:
        """Give the numpy axes of x and y in an image that fits."""
        return (self.x_axis, self.y_axis) if hdu.shape == self.shape else (1, 0)

    def section(self, hdu: HduIndex, slices: Slices) -> Section:
        """Give the section of an image that slices of all axes cut out; the image must fit."""
        if hdu.shape == self.shape:
            return Section(hdu.number, slices)
        return Section(hdu.number, (slices[self.y_axis], slices[self.x_axis]))

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
        return bool(off.max() < _SAME_PIXELS * pixel) and self._has_same_axes(other)

    def _has_same_axes(self, other: PlaneSky) -> bool:
        """Compare the coordinates that are not of the sky, at the first pixels and the last."""
        if self._wcs.naxis != other._wcs.naxis:
            return False
        if self._wcs.naxis == 2:
            return True
        sizes = [size - 1.0 for size in reversed(self.shape)]
        sizes += [0.0] * (self._wcs.naxis - len(sizes))
        places = np.array([[0.0] * len(sizes), [1.0] * len(sizes), sizes])
        sky = (self._wcs.wcs.lng, self._wcs.wcs.lat)
        others = [k for k in range(self._wcs.naxis) if k not in sky]
        with quiet(), np.errstate(all="ignore"):
            ours = self._wcs.wcs_pix2world(places, 0)[:, others]
            theirs = other._wcs.wcs_pix2world(places, 0)[:, others]
        step = np.abs(ours[1] - ours[0])
        return bool(
            np.isclose(ours, theirs, rtol=0, atol=_SAME_PIXELS * step, equal_nan=True).all()
        )


def wcs_cards(hdu: HduIndex) -> tuple[str, ...]:
    """Give the cards of an HDU that tell its coordinates, without comments; for comparison."""
    known: tuple[str, ...] | None = hdu.derived.get("wcs cards")
    if known is None:
        known = hdu.derived["wcs cards"] = _find_wcs_cards(hdu)
    return known


def _find_wcs_cards(hdu: HduIndex) -> tuple[str, ...]:
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
    selection: Selection,
    sky_of: Callable[[HduIndex], PlaneSky],
    extent: Extent | None = None,
) -> tuple[Section, ...]:
    """Find what of each plane is wanted.

    A pixel is met by a stencil if its area and the stencil have a point in common, and by an
    interval if its bin does.

    Parameters
    ----------
    index
        Of the file.
    hdus
        The product's HDUs, image plane first.
    selection
        What is wanted; its tables are no matter of this function.
    sky_of
        Gives the sky of an image HDU; raises DataError if it has none.
    extent
        What the product's row tells.

    Returns
    -------
    tuple of Section
        In the order of the file; empty if the selection meets no pixel.

    Raises
    ------
    UsageError
        If the selection names what the product does not have.
    DataError
        If the product has no image, or its first plane no sky.
    """
    planes = image_planes(index, hdus)
    left = judge(extent or Extent(), selection)
    if left is None:
        return ()
    chosen = chosen_planes(index, planes, selection.hdus)
    if left.stencil is None and not _along_axes(left):
        sections = [
            Section(hdu.number, tuple(slice(0, size) for size in hdu.shape)) for hdu in chosen
        ]
    else:
        sections = _sections(planes, chosen, left, sky_of, extent or Extent())
    if selection.pixels and chosen:
        sections = _within_pixels(index, sections, chosen[0], selection.pixels, sky_of)
    return tuple(sorted(sections, key=lambda section: section.hdu))


def _along_axes(selection: Selection) -> tuple[Parameter, ...]:
    """Name the parameters that cut along axes."""
    given: dict[Parameter, bool] = {
        "BAND": selection.band_m is not None,
        "TIME": selection.time_mjd is not None,
        "POL": bool(selection.pol),
    }
    return tuple(name for name in given if given[name])


def _sections(
    planes: Sequence[HduIndex],
    chosen: Sequence[HduIndex],
    selection: Selection,
    sky_of: Callable[[HduIndex], PlaneSky],
    extent: Extent,
) -> list[Section]:
    """Cut planes by their coordinates; the first decides whether there is an axis to cut along."""
    distance = None if selection.stencil is None else signed_distance(selection.stencil)
    skies = plane_skies(planes, sky_of)
    axes = skies[0][1].axes
    for name in _along_axes(selection):
        if not axes.has(name) and not passes_whole(extent, selection, name):
            return []
    wanted: dict[PlaneSky, Slices | None] = {}
    sections = []
    numbers = {hdu.number for hdu in chosen}
    for hdu, sky in skies:
        if hdu.number not in numbers:
            continue
        if sky not in wanted:
            wanted[sky] = _wanted(sky, selection, distance)
        slices = wanted[sky]
        if slices is not None:
            sections.append(sky.section(hdu, slices))
    return sections


def _wanted(sky: PlaneSky, selection: Selection, distance: StencilDistance | None) -> Slices | None:
    """Give what of a grid is wanted; None for nothing."""
    slices = [slice(0, size) for size in sky.shape]
    if distance is not None:
        box = sky.image.box(distance)
        if box is None:
            return None
        slices[sky.x_axis] = slice(box.x0, box.x1)
        slices[sky.y_axis] = slice(box.y0, box.y1)
    for name in _along_axes(selection):
        if not sky.axes.has(name):
            continue
        found = sky.axes.cut(name, selection)
        if found is None:
            return None
        axis, part = found
        if axis < len(slices):
            slices[len(slices) - 1 - axis] = part
    return tuple(slices)


def _within_pixels(
    index: FileIndex,
    sections: Iterable[Section],
    first: HduIndex,
    pixels: Sequence[PixelRange | None],
    sky_of: Callable[[HduIndex], PlaneSky],
) -> list[Section]:
    """Keep what lies in ranges of pixels, which count in all planes of the first one's size.

    Raises
    ------
    UsageError
        If there are more ranges than axes.
    """
    ranges = _as_slices(pixels, first.shape)
    found = []
    for section in sections:
        hdu = index.hdus[section.hdu]
        own = ranges if hdu.shape == first.shape else None
        if own is None and len(hdu.shape) == 2 and len(first.shape) > 2:
            # A mask that all planes of a cube share.
            sky = sky_of(first)
            own = sky.section(hdu, ranges).slices if sky.fits(hdu) else None
        if own is None:
            continue
        parts = [_common(a, b) for a, b in zip(section.slices, own, strict=True)]
        kept = tuple(part for part in parts if part is not None)
        if len(kept) == len(parts):
            found.append(Section(section.hdu, kept))
    return found


def _as_slices(pixels: Sequence[PixelRange | None], shape: tuple[int, ...]) -> Slices:
    """Turn ranges into slices in numpy order, clipped to the image; a miss is an empty slice."""
    if len(pixels) > len(shape):
        raise UsageError(
            f"PIXELS names {len(pixels)} axes, but the image has {len(shape)}: "
            f"{' x '.join(str(size) for size in reversed(shape))} pixels"
        )
    padded = [*pixels, *[None] * (len(shape) - len(pixels))]
    slices = []
    for one, size in zip(reversed(padded), shape, strict=True):
        low, high = (0, size) if one is None else (max(0, one.first - 1), min(size, one.last))
        slices.append(slice(low, max(low, high)))
    return tuple(slices)


def _common(one: slice, other: slice) -> slice | None:
    """Give what two slices share, the step being that of the first; None for nothing."""
    shared = [
        place
        for place in range(one.start, one.stop, one.step or 1)
        if other.start <= place < other.stop
    ]
    return slice(shared[0], shared[-1] + 1, one.step) if shared else None


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


def _sky_for(
    hdu: HduIndex, known: list[PlaneSky], sky_of: Callable[[HduIndex], PlaneSky]
) -> PlaneSky | None:
    """Find the sky that a plane lies on, among the known ones or new; None if it has no place."""
    cards = wcs_cards(hdu)
    for sky in known:
        if sky.shape == hdu.shape and sky.cards == cards:
            return sky
    if not claims_sky(hdu.image_values):
        # A mask without coordinates lies on the image of its size.
        return next((sky for sky in known if sky.fits(hdu)), None)
    own = sky_of(hdu)
    for sky in known:
        if own.is_like(sky):
            return sky
    known.append(own)
    return own
