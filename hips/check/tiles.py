"""Rules of single tiles (HiPS 1.0 section 4.2.1): format, size, and what a FITS header says."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import cdshealpix.nested as healpix
import numpy as np
from astropy.wcs import WCS

from hips.check.finding import Finding, error, note, warning
from hips.check.picture import Picture, kind_of
from hips.check.survey import Survey
from hips.names import interleave, tile_path

__all__ = ["check_tile"]

_FRAMES: Final = {"RA-": "equatorial", "GLO": "galactic", "ELO": "ecliptic"}

Rule = Callable[[Survey, int, int, Picture], Iterator[Finding]]


def check_tile(survey: Survey, order: int, npix: int, extension: str) -> Iterator[Finding]:
    """Check one tile; nothing if it is not there."""
    data = survey.raw(order, npix, extension)
    where = tile_path(order, npix, extension)
    if data is None:
        if not survey.place.listable and (order == survey.order or order >= 3):
            say = "is not there, though the MOC has the cell"
            if survey.coverage is not None:
                yield error("4.4.2", "tile-missing", where, say)
        return
    kind = kind_of(data)
    if kind == "gz":
        say = "is compressed by gzip as a whole, which is deprecated and which not all clients read"
        yield warning("4.2.1.3", "tile-gzip", where, say)
        return
    if kind != extension:
        say = f"is not {extension} but {kind or 'something else'}"
        yield error("4.2.1.3", "tile-content", where, say)
        return
    if extension == "fits" and len(data) % 2880:
        say = f"is {len(data)} bytes long, no multiple of 2880 as FITS wants"
        yield warning("4.2.1.3", "tile-padding", where, say)
    picture = survey.picture(order, npix, extension)
    if not isinstance(picture, Picture):
        yield error("4.2.1.3", "tile-unreadable", where, f"cannot be read: {picture}")
        return
    for rule in _RULES:
        yield from rule(survey, order, npix, picture)


def _where(order: int, npix: int, picture: Picture, survey: Survey) -> str:
    extension = (
        "fits"
        if picture.header is not None
        else next((e for e in survey.extensions if e != "fits"), "png")
    )
    return tile_path(order, npix, extension)


def size(survey: Survey, order: int, npix: int, picture: Picture) -> Iterator[Finding]:
    """See that a tile is a square of the width that the properties say."""
    height, width = picture.values.shape
    if (height, width) != (survey.width, survey.width):
        say = f"is {width} x {height} pixels, not {survey.width} squared"
        yield error("4.2.1", "tile-size", _where(order, npix, picture, survey), say)


def bitpix(survey: Survey, order: int, npix: int, picture: Picture) -> Iterator[Finding]:
    """See that a FITS tile has the BITPIX that the properties say."""
    said = survey.values.get("hips_pixel_bitpix")
    if picture.bitpix is None or said is None or said == str(picture.bitpix):
        return
    sign = " (the sign is wrong)" if said == str(-picture.bitpix) else ""
    say = f"has BITPIX {picture.bitpix}, hips_pixel_bitpix is {said}{sign}"
    yield error("4.2.1", "tile-bitpix", tile_path(order, npix, "fits"), say)


def address(survey: Survey, order: int, npix: int, picture: Picture) -> Iterator[Finding]:  # noqa: ARG001
    """See that the cards ORDER and NPIX, which Hipsgen writes, say where the tile lies."""
    if picture.header is None:
        return
    for card, value in (("ORDER", order), ("NPIX", npix)):
        said = picture.header.get(card)
        if isinstance(said, int) and said != value:
            where = tile_path(order, npix, "fits")
            yield error("4.1", "tile-address", where, f"its card {card} is {said}, not {value}")


def coordinates(survey: Survey, order: int, npix: int, picture: Picture) -> Iterator[Finding]:
    """See that a tile's coordinates in the HPX projection, if any, are those of its pixels."""
    header = picture.header
    if header is None or not str(header.get("CTYPE1", "")).endswith("HPX"):
        return
    where = tile_path(order, npix, "fits")
    frame = _FRAMES.get(str(header["CTYPE1"])[:3], "")
    if frame != survey.frame:
        say = f"its coordinates are {frame or header['CTYPE1']}, hips_frame is {survey.frame}"
        yield error("4.4.1", "tile-frame", where, say)
        return
    off = _off_pixels(header, order, npix, survey.width)
    # On the meridian at 180 degrees a tile lies at both ends of the projection's plane.
    known = off[np.isfinite(off)]
    if not len(known) or np.median(known) > 0.1:
        say = "its HPX coordinates are not those of its cell"
        amount = f", but {np.median(known):.3g} pixels off" if len(known) else ""
        yield error("4.1", "tile-coordinates", where, say + amount)


def _off_pixels(header: Any, order: int, npix: int, width: int) -> np.ndarray[Any, Any]:
    """Give how far off the coordinates of some pixels are, in pixels."""
    shift = width.bit_length() - 1
    at = np.linspace(0, width - 1, 9).astype(np.int64)
    row, column = (index.ravel() for index in np.meshgrid(at, at, indexing="ij"))
    cells = (npix << 2 * shift) + interleave(width - 1 - row, column)
    lon, lat = healpix.healpix_to_lonlat(cells.astype(np.uint64), order + shift)
    trim = int(header.get("TRIM1", 0)), int(header.get("TRIM2", 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            x, y = WCS(header).celestial.all_pix2world(column - trim[0], row - trim[1], 0)
        except Exception:  # noqa: BLE001 - the library raises errors of many kinds
            return np.full(len(row), np.nan)
    east = (x - lon.deg + 180.0) % 360.0 - 180.0
    apart = np.hypot(east * np.cos(lat.rad), y - lat.deg)
    pixel = np.rad2deg(np.sqrt(4.0 * np.pi / 12.0)) / 2.0 ** (order + shift)
    result: np.ndarray[Any, Any] = apart / pixel
    return result


def blank(survey: Survey, order: int, npix: int, picture: Picture) -> Iterator[Finding]:
    """See that the tile has a value; it need not be there else."""
    if order == survey.order and not np.isfinite(picture.values).any():
        where = _where(order, npix, picture, survey)
        yield note("4.1", "tile-blank", where, "holds no value: it need not be there")


_RULES: Final[tuple[Rule, ...]] = (size, bitpix, address, coordinates, blank)
