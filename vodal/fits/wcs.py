"""World coordinates: from pixels to ICRS and back, with every distortion.

Pixels are 0-based here: (0, 0) is the centre of the first pixel and the array's edges lie at -0.5
and n - 0.5. Positions are ICRS degrees.

The coordinates are astropy's (wcslib), which knows the projections of FITS paper II, SIP, TPV,
IRAF's TNX and ZPX (by way of `vodal.fits.iraf`), lookup-table distortions (CPDIS, D2IM) and
-TAB axes.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, NoConvergence, Sip
from numpy.typing import ArrayLike, NDArray

from vodal.errors import DataError
from vodal.fits.celestial import part_celestial
from vodal.fits.frames import route_to_icrs, separation_deg, turn, unit_vectors
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.iraf import without_iraf
from vodal.fits.lookup import lookup_tables
from vodal.fits.quicklookup import quick_lookup
from vodal.fits.quiet import quiet
from vodal.fits.tpv import longitude_first
from vodal.fits.values import HeaderValues
from vodal.fits.wcslib import read_wcs
from vodal.storage import RangeReader

__all__ = [
    "celestial_axes",
    "claims_sky",
    "icrs_to_pixel",
    "is_of_coordinates",
    "load_wcs",
    "pixel_scale_arcsec",
    "pixel_to_icrs",
    "sky_wcs",
]

Floats = NDArray[np.float64]
Header: TypeAlias = fits.Header | HeaderValues

_SKY_TYPES = {"RA", "DEC", "GLON", "GLAT", "ELON", "ELAT", "SLON", "SLAT"}
_PROJECTIONS = {
    "AZP", "SZP", "TAN", "STG", "SIN", "NCP", "ARC", "ZPN", "ZEA", "AIR", "CYP", "CEA", "CAR",
    "MER", "SFL", "GLS", "PAR", "MOL", "AIT", "COP", "COE", "COD", "COO", "BON", "PCO", "TSC",
    "CSC", "QSC", "HPX", "XPH", "TAB", "TPV", "TPD", "TPU", "DSS", "TNX", "ZPX",
}  # fmt: skip
_NUMERIC = re.compile(r"(CRVAL\d|CRPIX\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|PV\d_\d+)$")
_WCS_CARD = re.compile(
    r"(NAXIS\d{0,2}|WCSAXES|WCSNAME|C(TYPE|RVAL|RPIX|DELT|UNIT|ROTA|NAME)\d{1,2}"
    r"|(CD|PC)\d{1,2}_\d{1,2}|(PV|PS)\d{1,2}_\d{1,3}|(LON|LAT)POLE|RADESYS|RADECSYS|EQUINOX|EPOCH"
    r"|RESTFRQ|RESTFREQ|RESTWAV|SPECSYS|SSYSOBS|SSYSSRC|VELOSYS|VELREF|ZSOURCE|OBSGEO-.|MJDREF.?"
    r"|MJD-OBS|DATE-OBS|DATEREF|TIMESYS|TIMEUNIT|TREFPOS|TREFDIR|PLEPHEM"
    r"|[AB]P?_(ORDER|DMAX|\d_\d)|C[PQ](DIS|ERR)\d|D[PQ]\d.*|D2IM.*|AXISCORR|WAT\d_\d{3}"
    r"|AMD[XY]\d{1,2}|PPO\d|CNPIX\d|[XY]PIXELSZ|PLT.*|PLATEID|TELESCOP|DATE)$"
)
"""What the coordinates can depend on; all other cards are kept from wcslib, for speed and peace."""
_ORDERS = {"WCSAXES": 99, "A_ORDER": 9, "B_ORDER": 9, "AP_ORDER": 9, "BP_ORDER": 9}
"""The highest values of what sizes memory; SIP's are those of its definition."""
_MENDED = ("-TPV", "-TNX", "-ZPX")
_ROUND_TRIP_PIXELS = 0.01


def claims_sky(header: Header) -> bool:
    """Tell whether a header has an axis of celestial coordinates, right or wrong ones."""
    return any(_sky_type(header, axis) for axis in range(1, _axes(header) + 1))


def is_of_coordinates(keyword: str) -> bool:
    """Tell whether a card is one that coordinates can depend on."""
    return _WCS_CARD.match(keyword) is not None


def load_wcs(
    hdu: HduIndex, index: FileIndex | None = None, reader: RangeReader | None = None
) -> WCS:
    """Make the full world coordinates of an image, of all its axes and with its distortions.

    Parameters
    ----------
    hdu
        The image.
    index, reader
        The file it is in and a reader in the index's offsets; needed where the coordinates refer
        to tables in other HDUs (CPDIS, D2IM, -TAB).

    Raises
    ------
    DataError
        If the image has no celestial coordinates, or they are broken; the message says how.
    """
    values = hdu.image_values.chosen(lambda keyword, _: is_of_coordinates(keyword))
    _check(values)
    with quiet():
        try:
            wcs, sip = _read(values, index, reader)
            if sip is not None:
                wcs.sip = Sip(*sip, None, None, wcs.wcs.crpix[:2])
                wcs.wcs.ctype = [
                    f"{ctype}-SIP" if k < 2 else ctype for k, ctype in enumerate(wcs.wcs.ctype)
                ]
            wcs.wcs.set()
            singular = _is_singular(wcs)
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001 - wcslib's errors have no common base
            raise DataError(f"the world coordinates are broken: {_reason(error)}") from None
    if wcs.wcs.lng < 0 or wcs.wcs.lat < 0:
        raise DataError("the image has no pair of celestial axes")
    if singular:
        raise DataError("the world coordinates are broken: the CD or PC matrix is singular")
    if max(celestial_axes(wcs)) >= len(hdu.shape):
        raise DataError("the celestial axes are not among the image's axes")
    route_to_icrs(wcs)  # refuses frames that cannot be brought to ICRS
    return wcs


def celestial_axes(wcs: WCS) -> tuple[int, int]:
    """Give the two celestial axes, 0-based in FITS order (0 is NAXIS1), lower one first.

    Raises
    ------
    DataError
        If there are not two.
    """
    if wcs.wcs.lng < 0 or wcs.wcs.lat < 0:
        raise DataError("the image has no pair of celestial axes")
    first, second = sorted((int(wcs.wcs.lng), int(wcs.wcs.lat)))
    return first, second


def sky_wcs(wcs: WCS) -> WCS:
    """Give the celestial part of world coordinates, as two axes in the order of the file.

    Its x is the image's first celestial axis, whether that is a longitude or a latitude.

    Raises
    ------
    DataError
        If there is none, or it depends on other axes of the image.
    """
    first, second = celestial_axes(wcs)
    if wcs.naxis == 2:
        return wcs
    with quiet():
        try:
            sky = part_celestial(wcs, first, second)
            sky.wcs.set()
        except Exception as error:  # noqa: BLE001 - wcslib's errors have no common base
            raise DataError(
                f"the celestial axes cannot be separated from the others: {_reason(error)}"
            ) from None
    return sky


def pixel_to_icrs(wcs: WCS, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    """Give the positions of pixels.

    Parameters
    ----------
    wcs
        As `load_wcs` or `sky_wcs` gives it.
    x, y
        0-based, along the two celestial axes in the order of the file; any shape.

    Returns
    -------
    tuple of array
        Right ascension in [0, 360) and declination in degrees; NaN where the pixel is outside
        the projection.
    """
    sky = sky_wcs(wcs)
    xs, ys = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    with np.errstate(all="ignore"):
        world = sky.all_pix2world(np.stack([xs.ravel(), ys.ravel()], axis=1), 0)
    lon, lat = world[:, sky.wcs.lng], world[:, sky.wcs.lat]
    lost = ~(np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90.0 + 1e-9))
    lon, lat = np.where(lost, 0.0, lon), np.where(lost, 0.0, lat)
    lon, lat = turn(route_to_icrs(sky), lon, lat, inverse=False)
    lon[lost] = lat[lost] = np.nan
    return lon.reshape(xs.shape), lat.reshape(xs.shape)


def icrs_to_pixel(wcs: WCS, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
    """Give the places of positions in the image, inside or outside of the array.

    Parameters
    ----------
    wcs
        As `load_wcs` or `sky_wcs` gives it.
    ra_deg, dec_deg
        ICRS degrees, any shape.

    Returns
    -------
    tuple of array
        0-based x and y along the two celestial axes in the order of the file; NaN where there is
        none, as on the far side of a gnomonic projection, or where a distortion, made for the
        array only, cannot be inverted.
    """
    sky = sky_wcs(wcs)
    ra, dec = np.broadcast_arrays(np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64))
    lon, lat = turn(route_to_icrs(sky), ra.ravel().copy(), dec.ravel().copy(), inverse=True)
    world = np.empty((lon.size, 2))
    world[:, sky.wcs.lng], world[:, sky.wcs.lat] = lon, lat
    with np.errstate(all="ignore"), quiet():
        pixels = np.asarray(sky.wcs_world2pix(world, 0), np.float64)
        if _is_distorted(sky):
            near = np.isfinite(pixels).all(axis=1)
            if near.any():
                pixels[near] = _undistorted(sky, world[near])
    if _is_distorted(sky):
        back_ra, back_dec = pixel_to_icrs(sky, pixels[:, 0], pixels[:, 1])
        off = separation_deg(back_ra, back_dec, ra.ravel(), dec.ravel())
        limit = _ROUND_TRIP_PIXELS * pixel_scale_arcsec(sky) / 3600.0
        pixels[~(off <= limit)] = np.nan
    return pixels[:, 0].reshape(ra.shape), pixels[:, 1].reshape(ra.shape)


def pixel_scale_arcsec(wcs: WCS, x: float | None = None, y: float | None = None) -> float:
    """Give the side of the square that has a pixel's area, in arcseconds.

    Parameters
    ----------
    wcs
        As `load_wcs` or `sky_wcs` gives it.
    x, y
        0-based place, where it is wanted with the distortion there; else that of the linear part
        at the reference point, or in the middle of an image whose sky is in a table. NaN where the
        place is outside the projection.
    """
    sky = sky_wcs(wcs)
    if (x is None or y is None) and _is_tabular(sky) and sky.pixel_shape is not None:
        x, y = ((size - 1) / 2.0 for size in sky.pixel_shape)
    if x is None or y is None:
        return float(np.sqrt(abs(np.linalg.det(sky.pixel_scale_matrix)))) * 3600.0
    ra, dec = pixel_to_icrs(sky, x + np.array([-0.5, 0.5, 0, 0]), y + np.array([0, 0, -0.5, 0.5]))
    points = unit_vectors(ra, dec)
    area = np.linalg.norm(np.cross(points[1] - points[0], points[3] - points[2]))
    return float(np.rad2deg(np.sqrt(area))) * 3600.0


def _undistorted(sky: WCS, world: Floats) -> Floats:
    """Invert the distortion by iteration; what does not converge is left for a check."""
    try:
        return np.asarray(sky.all_world2pix(world, 0, tolerance=1e-6, maxiter=40), np.float64)
    except NoConvergence as error:
        return np.asarray(error.best_solution, np.float64)


def _is_distorted(wcs: WCS) -> bool:
    return bool(wcs.has_distortion)


def _is_tabular(sky: WCS) -> bool:
    """Tell whether positions are in a table (FITS paper III section 6), not in degrees a pixel."""
    return any(str(ctype).endswith("-TAB") for ctype in sky.wcs.ctype)


def _axes(header: Header) -> int:
    count = max(_whole(header, "NAXIS"), _whole(header, "WCSAXES"))
    return min(count, 99)


def _whole(header: Header, keyword: str) -> int:
    value = header.get(keyword, 0)
    return value if isinstance(value, int) else 0


def _sky_type(header: Header, axis: int) -> str:
    """Give the coordinate of a celestial axis such as RA, or nothing."""
    ctype = header.get(f"CTYPE{axis}")
    if not isinstance(ctype, str):
        return ""
    name = ctype.upper().partition("-")[0].strip()
    return name if name in _SKY_TYPES and "-" in ctype else ""


def _check(header: Header) -> None:
    """Refuse what wcslib would take for something else, or for its defaults, in silence."""
    axes = range(1, _axes(header) + 1)
    types = {axis: str(header.get(f"CTYPE{axis}", "")).strip().upper() for axis in axes}
    sky = [axis for axis in axes if _sky_type(header, axis)]
    if not sky:
        named = ", ".join(name for name in types.values() if name)
        found = f"; its axes are {named[:80]}" if named else ""
        raise DataError(f"the image has no celestial coordinates{found}")
    if len(sky) == 1:
        raise DataError(f"the image has only one celestial axis, {types[sky[0]]}")
    for axis in sky:
        code = types[axis].removesuffix("-SIP").rpartition("-")[2]
        if code not in _PROJECTIONS:
            raise DataError(f"the projection '{code[:20]}' of {types[axis][:40]} is not known")
        if f"CRVAL{axis}" not in header:
            raise DataError(f"the world coordinates are broken: CRVAL{axis} is missing")
    for keyword in set(header):
        if _NUMERIC.match(keyword) and isinstance(header[keyword], str):
            raise DataError(
                f"the world coordinates are broken: {keyword} is the text "
                f"'{header[keyword][:40]}', not a number"
            )
    _check_scale(header, sky)
    _check_tables(header, types)
    for keyword, most in _ORDERS.items():
        _check_whole(header, keyword, 0, most)


def _check_tables(header: Header, types: dict[int, str]) -> None:
    """Refuse -TAB axes whose parameters point outside their table (FITS paper III section 6.1).

    wcslib sizes and frees its memory by PVi_3 without a look at the table: the axes that share an
    array must be numbered from 1 without a gap.
    """
    axes = [axis for axis, name in types.items() if name[4:].rstrip() in {"-TAB", "--TAB"}]
    arrays: dict[tuple[object, ...], list[int]] = {}
    for axis in axes:
        for number, most in ((1, 99999), (2, 99999), (3, len(axes))):
            _check_whole(header, f"PV{axis}_{number}", 1, most)
        named = (str(header.get(f"PS{axis}_{k}", "")).strip().upper() for k in (0, 1))
        versions = (int(header.get(f"PV{axis}_{k}", 1)) for k in (1, 2))
        arrays.setdefault((*named, *versions), []).append(int(header.get(f"PV{axis}_3", 1)))
    for numbers in arrays.values():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            raise DataError(
                "the world coordinates are broken: the -TAB axes of one array have the numbers "
                f"(PVi_3) {', '.join(map(str, numbers))}"
            )


def _check_whole(header: Header, keyword: str, least: int, most: int) -> None:
    """Refuse a number by which memory is sized if it is none or too large."""
    value = header.get(keyword, least)
    whole = isinstance(value, int | float) and float(value).is_integer()
    if not whole or not least <= value <= most:
        raise DataError(f"the world coordinates are broken: {keyword} is {value}")


def _check_scale(header: Header, sky: list[int]) -> None:
    """Refuse axes without a pixel scale, for which wcslib would take one degree."""
    for axis in sky:
        matrix = [header[key] for k in range(1, 10) if (key := f"CD{axis}_{k}") in header]
        steps = [header[key] for key in (f"CDELT{axis}",) if key in header]
        if not matrix and not steps:
            raise DataError(
                f"the world coordinates are broken: axis {axis} has neither CD nor CDELT"
            )
        if not any(matrix) and not any(steps):
            raise DataError(
                f"the world coordinates are broken: the CD matrix is singular (axis {axis} is zero)"
            )


def _read(
    values: HeaderValues, index: FileIndex | None, reader: RangeReader | None
) -> tuple[WCS, tuple[Floats, Floats] | None]:
    """Have wcslib read coordinates, with what it would take wrongly put right: TPV and IRAF's."""
    types = [str(value).strip().upper() for key, value in values.items() if key[:5] == "CTYPE"]
    iraf = any(keyword.startswith("WAT") for keyword in values)
    if not iraf and not any(name.endswith(_MENDED) for name in types):
        quick = read_wcs(values, quick_lookup(values, index, reader))
        if quick is not None:
            return quick, None
    tables = lookup_tables(values, index, reader)
    plain, sip = without_iraf(longitude_first(values.header()))
    return _parse(plain, tables), sip


def _parse(header: fits.Header, tables: fits.HDUList | None) -> WCS:
    """Have wcslib read a header, with other axes as plain numbers if it cannot with them.

    Old names of spectral axes (``FREQ-OHEL``) are no reason to lose the sky.
    """
    values = HeaderValues.of(header.tostring(endcard=False, padding=False))
    if tables is None and (quick := read_wcs(values)) is not None:
        return quick
    try:
        return WCS(header, fobj=tables)
    except Exception:  # wcslib's errors have no common base
        others = [k for k in range(1, _axes(header) + 1) if not _sky_type(header, k)]
        if not others:
            raise
        plain = header.copy()
        for axis in others:
            plain[f"CTYPE{axis}"] = "LINEAR"
        return WCS(plain, fobj=tables)


def _is_singular(wcs: WCS) -> bool:
    matrix = np.asarray(wcs.pixel_scale_matrix, np.float64)
    size = float(np.abs(matrix).max(initial=0.0))
    if not np.isfinite(matrix).all() or size == 0.0:
        return True
    pair = np.ix_(celestial_axes(wcs), celestial_axes(wcs))
    part = matrix[pair]
    return bool(abs(np.linalg.det(part)) <= 1e-9 * float(np.linalg.norm(part)) ** 2)


def _reason(error: Exception) -> str:
    """Give the telling line of an error of wcslib."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("ERROR ")] or lines
    return (lines[-1] if lines else type(error).__name__).rstrip(".")[:200]
