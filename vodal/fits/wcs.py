"""World coordinates of an image: pixels to ICRS and back, with every distortion kept.

Pixel coordinates are 0-based: the centre of the first pixel is (0, 0), the array's edges lie at
-0.5. FITS papers I, II, III; SIP; TPV; lookup-table distortions (paper IV).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, NoConvergence
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import ArrayLike, NDArray

from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex
from vodal.storage.base import RangeReader

__all__ = ["ImageWcs", "has_celestial_axes", "load_wcs"]

Floats = NDArray[np.float64]

_UNSUPPORTED = {"TNX", "ZPX"}
"""IRAF's projections; wcslib drops their distortion in silence, which puts the image off."""

_LON_CODES = ("RA", "GLON", "ELON", "HLON", "SLON")
_LAT_CODES = ("DEC", "GLAT", "ELAT", "HLAT", "SLAT")


def has_celestial_axes(header: fits.Header) -> bool:
    """Tell whether a header names a longitude and a latitude axis (FITS paper II, 3.1)."""
    codes = set()
    for axis in range(1, 10):
        try:
            ctype = header.get(f"CTYPE{axis}")
        except (fits.VerifyError, ValueError):
            continue
        if isinstance(ctype, str):
            codes.add(ctype.upper().split("-")[0].strip())
    return bool(codes & set(_LON_CODES)) and bool(codes & set(_LAT_CODES))


@dataclass(frozen=True, eq=False)
class ImageWcs:
    """The sky of an image: its two celestial axes, whichever of the axes they are."""

    full: WCS
    """Of all axes, with distortions."""
    sky: WCS
    """Of the two celestial axes in the order of the file, with distortions."""
    x_axis: int
    y_axis: int
    """FITS axes (0-based) along which x and y run; ``x_axis < y_axis``."""
    longitude_first: bool
    """Whether x's world axis is the longitude."""
    rotation: Floats | None
    """3 x 3 matrix from the image's frame to ICRS; None if the frame is ICRS."""
    frame: Any
    """Astropy frame where a rotation cannot carry it to ICRS (FK4 and the like), else None."""

    def numpy_axes(self, naxis: int) -> tuple[int, int]:
        """Give the numpy axes of (y, x) in an array of ``naxis`` axes."""
        return naxis - 1 - self.y_axis, naxis - 1 - self.x_axis

    def to_icrs(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Give (ra, dec) in degrees, NaN where a pixel has no place on the sky."""
        x_pixel, y_pixel = np.broadcast_arrays(
            np.asarray(x, np.float64), np.asarray(y, np.float64)
        )
        shape = x_pixel.shape
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            first, second = self.sky.all_pix2world(x_pixel.ravel(), y_pixel.ravel(), 0)
        lon, lat = (first, second) if self.longitude_first else (second, first)
        if self.frame is not None:
            good = np.isfinite(lon) & np.isfinite(lat)
            coordinates = SkyCoord(
                np.where(good, lon, 0.0), np.where(good, lat, 0.0), unit="deg", frame=self.frame
            ).transform_to(ICRS())
            lon = np.where(good, coordinates.ra.deg, np.nan)
            lat = np.where(good, coordinates.dec.deg, np.nan)
        elif self.rotation is not None:
            lon, lat = _rotate(lon, lat, self.rotation)
        return np.mod(lon, 360.0).reshape(shape), lat.reshape(shape)

    def to_pixel(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Give 0-based (x, y), NaN where a position cannot be mapped.

        The inverse of a distortion is iterated to 1e-6 pixel; positions far outside the image,
        where a polynomial distortion has no inverse, come out as NaN.
        """
        lon, lat = np.broadcast_arrays(
            np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64)
        )
        shape = lon.shape
        lon, lat = lon.ravel(), lat.ravel()
        if self.frame is not None:
            coordinates = SkyCoord(lon, lat, unit="deg", frame=ICRS()).transform_to(self.frame)
            lon, lat = coordinates.spherical.lon.deg, coordinates.spherical.lat.deg
        elif self.rotation is not None:
            lon, lat = _rotate(lon, lat, self.rotation.T)
        world = (lon, lat) if self.longitude_first else (lat, lon)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                x, y = self.sky.all_world2pix(*world, 0, tolerance=1e-6, maxiter=50)
            except NoConvergence as error:
                x, y = (np.array(column) for column in error.best_solution.T)
                bad = ~(np.abs(error.accuracy).max(axis=1) < 1e-3)
                x[bad] = y[bad] = np.nan
            except ValueError:
                x, y = np.full(lon.shape, np.nan), np.full(lon.shape, np.nan)
        return np.asarray(x).reshape(shape), np.asarray(y).reshape(shape)

    def pixel_scale_arcsec(self, x: float, y: float) -> float:
        """Give the geometric mean size of the pixel at a place, NaN where it has none."""
        xs = x + np.array([-0.5, 0.5, 0.0, 0.0])
        ys = y + np.array([0.0, 0.0, -0.5, 0.5])
        ra, dec = np.deg2rad(self.to_icrs(xs, ys))
        xyz = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        side_x, side_y = xyz[:, 1] - xyz[:, 0], xyz[:, 3] - xyz[:, 2]
        area = float(np.linalg.norm(np.cross(side_x, side_y)))
        return math.degrees(math.sqrt(area)) * 3600.0


def _rotate(lon: Floats, lat: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    a, b = np.deg2rad(lon), np.deg2rad(lat)
    xyz = matrix @ np.array([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])
    return (
        np.mod(np.rad2deg(np.arctan2(xyz[1], xyz[0])), 360.0),
        np.rad2deg(np.arctan2(xyz[2], np.hypot(xyz[0], xyz[1]))),
    )


def load_wcs(
    hdu: HduIndex, index: FileIndex | None = None, reader: RangeReader | None = None
) -> ImageWcs:
    """Make the world coordinates of an image HDU.

    Parameters
    ----------
    hdu
        The image.
    index, reader
        The file around it and its bytes, needed where the coordinates refer to tables or images
        in other HDUs (lookup-table distortions, -TAB axes).

    Raises
    ------
    DataError
        If the image has no place on the sky or its coordinates are broken; says how.
    """
    header = hdu.image_header
    if not has_celestial_axes(header):
        raise DataError("the image has no celestial coordinates (no RA and DEC or like axes)")
    _refuse_unsupported(header)
    others = _referenced(header, index, reader)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            clean = fits.Header.fromstring(header.tostring(sep="", endcard=True, padding=False))
            # An image of no more axes than WCSAXES keeps the header's own number.
            full = WCS(clean, fobj=others, fix=True)
            return _celestial(full, header)
        except DataError:
            raise
        except Exception as error:  # wcslib's errors share no base class
            text = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"the world coordinates are broken: {text[:200]}") from None


def _refuse_unsupported(header: fits.Header) -> None:
    for axis in range(1, 10):
        ctype = str(header.get(f"CTYPE{axis}", ""))
        if ctype[-3:].upper() in _UNSUPPORTED:
            raise DataError(
                f"the projection {ctype[-3:].upper()} with its WAT distortion is not supported"
            )
        value = header.get(f"CRVAL{axis}", 0.0)
        if isinstance(value, str):
            raise DataError(f"CRVAL{axis} is the text '{value[:30]}', no number")


def _celestial(full: WCS, header: fits.Header) -> ImageWcs:
    lon, lat = full.wcs.lng, full.wcs.lat
    if lon < 0 or lat < 0:
        raise DataError("the image has no celestial coordinates (wcslib finds no sky axes)")
    naxis = int(header.get("NAXIS", 0))
    if max(lon, lat) >= naxis:
        raise DataError("the celestial axes are not among the axes of the array")
    declination = float(full.wcs.crval[lat])
    if not math.isfinite(full.wcs.crval[lon]) or not -90.0 <= declination <= 90.0:
        raise DataError(f"the reference latitude {declination:g} is outside [-90, 90] degrees")
    x_axis, y_axis = sorted((lon, lat))
    sky = full if full.naxis == 2 else full.sub([x_axis + 1, y_axis + 1])
    matrix = np.asarray(sky.pixel_scale_matrix)
    scales = np.linalg.norm(matrix, axis=0)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-6 * scales.prod():
        raise DataError("the matrix of the coordinates is singular: pixels have no area")
    if scales.prod() == 0.0:
        raise DataError("the matrix of the coordinates is zero: pixels have no size")
    rotation, frame = _frame(sky)
    return ImageWcs(full, sky, x_axis, y_axis, lon < lat, rotation, frame)


def _frame(sky: WCS) -> tuple[Floats | None, Any]:
    """Give the rotation to ICRS, or the frame itself where it takes more than a rotation."""
    try:
        frame = wcs_to_celestial_frame(sky)
    except ValueError as error:
        raise DataError(f"the celestial frame is not known: {error}") from None
    name = frame.name
    if name == "icrs":
        return None, None
    if name == "galactic":
        return _rotation(name, ""), None
    if name == "fk5":
        return _rotation(name, frame.equinox.jyear_str), None
    return None, frame


@lru_cache(maxsize=64)
def _rotation(name: str, equinox: str) -> Floats:
    """Give the matrix whose columns are the frame's axes in ICRS."""
    keywords = {"equinox": equinox} if equinox else {}
    axes = SkyCoord([0, 90, 0], [0, 0, 90], unit="deg", frame=name, **keywords)
    matrix = np.asarray(axes.transform_to(ICRS()).cartesian.xyz.value)
    matrix.flags.writeable = False
    return matrix


_LOOKUPS = {"WCSDVARR", "D2IMARR", "WCS-TABLE"}


def _referenced(
    header: fits.Header, index: FileIndex | None, reader: RangeReader | None
) -> fits.HDUList | None:
    """Read the HDUs that the coordinates refer to, and only those."""
    names = {
        str(header[keyword]).strip().upper()
        for keyword in header
        if keyword.startswith("PS") and keyword[2:4].endswith("_") and keyword.endswith("_0")
    }
    lookups = any(
        str(header.get(f"{keyword}{axis}", "")).strip().upper() == "LOOKUP"
        for keyword in ("CPDIS", "CQDIS", "D2IMDIS")
        for axis in (1, 2)
    ) or any(f"{keyword}{axis}" in header for keyword in ("D2IMARR", "AXISCORR") for axis in (1, 2))
    tabular = any(str(header.get(f"CTYPE{a}", "")).endswith("-TAB") for a in range(1, 10))
    if not (lookups or tabular):
        return None
    if index is None or reader is None:
        raise DataError("the coordinates refer to tables in other HDUs, which are not at hand")
    wanted = names | _LOOKUPS
    parts = [fits.PrimaryHDU()]
    for other in index.hdus:
        if other.name in wanted and other.kind in {"image", "table"}:
            size = other.header_length + -(-other.data_length // 2880) * 2880
            raw = reader.read(other.header_offset, other.header_length + other.data_length)
            raw = raw.ljust(size, b"\0")
            maker = fits.ImageHDU if other.kind == "image" else fits.BinTableHDU
            if other.number > 0:
                parts.append(maker.fromstring(raw))
    return fits.HDUList(parts)
