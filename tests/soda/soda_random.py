"""FITS files of any kind that a cutout may be asked of, drawn by hypothesis.

`skies` draws headers of coordinates with the extensions they refer to, `files` writes whole files.
"""

from __future__ import annotations

import gzip
import subprocess
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import assume
from hypothesis import strategies as st

PROJECTIONS = {
    "AZP": {1: 2.0, 2: 30.0}, "SZP": {1: 2.0, 2: 180.0, 3: 60.0}, "TAN": {}, "STG": {},
    "SIN": {1: 0.1, 2: -0.2}, "ARC": {}, "ZPN": {0: 0.0, 1: 1.0, 2: 0.0, 3: -0.2}, "ZEA": {},
    "AIR": {1: 45.0}, "CYP": {1: 1.0, 2: 0.7}, "CEA": {1: 0.8}, "CAR": {}, "MER": {}, "SFL": {},
    "PAR": {}, "MOL": {}, "AIT": {}, "COP": {1: 45.0, 2: 25.0}, "COE": {1: -45.0, 2: 25.0},
    "COD": {1: 45.0, 2: 25.0}, "COO": {1: -45.0, 2: 25.0}, "BON": {1: 45.0}, "PCO": {},
    "TSC": {}, "CSC": {}, "QSC": {}, "HPX": {1: 4.0, 2: 3.0}, "XPH": {},
}  # fmt: skip
"""All of FITS paper II, with the parameters (PV2_m) they need; HPX and XPH are of its sequel."""

PLACES = [(0.0, 0.0), (359.99999, 12.0), (0.00001, -60.0), (77.0, 90.0), (0.0, -90.0),
          (200.0, 89.9999), (123.4, -89.99), (266.4, -29.0)]  # fmt: skip


@dataclass
class Sky:
    """Coordinates of an image."""

    header: fits.Header
    shape: tuple[int, ...]
    """In numpy order."""
    code: str
    """Of the projection."""
    x_axis: int
    y_axis: int
    """FITS axes, 0-based, of the two celestial coordinates."""
    tables: list[fits.ImageHDU | fits.BinTableHDU] = field(default_factory=list)
    """What the coordinates refer to."""


@st.composite
def skies(draw) -> Sky:
    """Draw coordinates: projection, place, scale, orientation, axes, distortion."""
    distortion = draw(st.sampled_from(["none"] * 3 + ["SIP", "TPV", "LOOKUP", "TAB", "SKY TABLE"]))
    code = "TAN" if distortion in {"SIP", "LOOKUP"} else draw(st.sampled_from(sorted(PROJECTIONS)))
    code = {"TPV": "TPV", "SKY TABLE": "TAB"}.get(distortion, code)
    extra = draw(st.integers(0, 2)) if distortion in {"none", "TPV"} else 0
    extra = 1 if distortion == "TAB" else extra
    kinds = ["lon", "lat", *["wave", "stokes"][:extra]]
    if distortion in {"none", "TAB"}:
        kinds = draw(st.permutations(kinds))
    elif distortion == "TPV":
        kinds[:2] = draw(st.permutations(["lon", "lat"]))
    sizes = {"lon": draw(st.integers(1, 40)), "lat": draw(st.integers(1, 40)),
             "wave": draw(st.integers(1, 4)), "stokes": draw(st.integers(1, 2))}  # fmt: skip
    lon, lat = kinds.index("lon") + 1, kinds.index("lat") + 1
    header = fits.Header()
    prefix = draw(st.sampled_from(["RA---", "RA---", "GLON-"]))
    names = (prefix, {"RA---": "DEC--", "GLON-": "GLAT-"}[prefix])
    place = draw(st.one_of(st.sampled_from(PLACES),
                           st.tuples(st.floats(0, 360), st.floats(-90, 90))))  # fmt: skip
    scale = draw(st.sampled_from([0.1 / 3600, 1.0 / 3600, 0.01, 0.5]))
    if distortion != "none":
        scale = min(scale, 1.0 / 3600)
    suffix = "-SIP" if distortion == "SIP" else ""
    for axis, name, value in ((lon, names[0], place[0]), (lat, names[1], place[1])):
        header[f"CTYPE{axis}"] = f"{name}{code}{suffix}"
        header[f"CRVAL{axis}"] = value
        header[f"CUNIT{axis}"] = "deg"
        size = sizes[kinds[axis - 1]]
        header[f"CRPIX{axis}"] = draw(
            st.sampled_from([0.0, 1.0, (size + 1) / 2, -7.25, size + 30.123456789])
        )
    for number, value in PROJECTIONS.get(code, {}).items():
        header[f"PV{lat}_{number}"] = value
    _orient(header, lon, lat, scale, draw(st.sampled_from(["CD", "PC", "CROTA"])),
            draw(st.floats(0, 360)))  # fmt: skip
    if prefix == "RA---":
        header["RADESYS"] = draw(st.sampled_from(["ICRS", "FK5"]))
    for kind, ctype, value, step in (("wave", "FREQ", 1.4e9, 1e6), ("stokes", "STOKES", 1.0, 1.0)):
        if kind in kinds:
            axis = kinds.index(kind) + 1
            header[f"CTYPE{axis}"], header[f"CRVAL{axis}"] = ctype, value
            header[f"CDELT{axis}"], header[f"CRPIX{axis}"] = step, 1.0
            if "CD1_1" in header or f"CD{lon}_{lon}" in header:
                header[f"CD{axis}_{axis}"] = step
    if distortion == "none" and draw(st.booleans()):
        _add_alternate(header, lon, lat, draw)
    shape = tuple(sizes[kind] for kind in reversed(kinds))
    sky = Sky(header, shape, code, min(lon, lat) - 1, max(lon, lat) - 1)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    match distortion:
        case "SIP":
            _add_sip(header, rng)
        case "TPV":
            _add_tpv(header, lon, lat, rng)
        case "LOOKUP":
            _add_lookup(sky, rng)
        case "TAB":
            _add_table(sky, kinds.index("wave") + 1, sizes["wave"], rng)
        case "SKY TABLE":
            _make_tabular(sky)
    assume(_is_sound(sky))
    return sky


def _orient(
    header: fits.Header, lon: int, lat: int, scale: float, form: str, degrees: float
) -> None:
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    if form == "CD":
        header[f"CD{lon}_{lon}"], header[f"CD{lon}_{lat}"] = -scale * cos, scale * sin
        header[f"CD{lat}_{lon}"], header[f"CD{lat}_{lat}"] = scale * sin, scale * cos
        return
    header[f"CDELT{lon}"], header[f"CDELT{lat}"] = -scale, scale * 1.1
    if form == "CROTA":
        header[f"CROTA{lat}"] = degrees
        return
    header[f"PC{lon}_{lon}"], header[f"PC{lon}_{lat}"] = cos, -sin
    header[f"PC{lat}_{lon}"], header[f"PC{lat}_{lat}"] = sin, cos


def _add_alternate(header: fits.Header, lon: int, lat: int, draw) -> None:
    """Add coordinates B that tell nothing of other axes, and perhaps not where they begin."""
    for axis, name, value in ((lon, "GLON-ZEA", 120.0), (lat, "GLAT-ZEA", -30.0)):
        header[f"CTYPE{axis}B"], header[f"CRVAL{axis}B"] = name, value
        header[f"CDELT{axis}B"] = 0.01
        if draw(st.booleans()):
            header[f"CRPIX{axis}B"] = 17.25


def _add_sip(header: fits.Header, rng: np.random.Generator) -> None:
    for letter in "AB":
        header[f"{letter}_ORDER"] = 3
        header[f"{letter}P_ORDER"] = 2
        for p, q in ((2, 0), (1, 1), (0, 2), (3, 0), (1, 2)):
            header[f"{letter}_{p}_{q}"] = float(rng.normal(0, 1e-3 if p + q == 2 else 1e-5))
        header[f"{letter}P_1_0"] = 1e-5


def _add_tpv(header: fits.Header, lon: int, lat: int, rng: np.random.Generator) -> None:
    for axis in (lon, lat):
        for number in (0, 1, 2, 4, 5, 6, 7, 10):
            value = 1.0 if number == 1 else float(rng.normal(0, 0.01))
            header[f"PV{axis}_{number}"] = 0.0 if number == 0 else value


def _add_lookup(sky: Sky, rng: np.random.Generator) -> None:
    header, (ny, nx) = sky.header, sky.shape
    for axis in (1, 2):
        table = fits.ImageHDU(rng.normal(0, 0.3, (6, 5)).astype(np.float32), name="WCSDVARR")
        table.ver = axis
        for k, size, nodes in ((1, nx, 5), (2, ny, 6)):
            table.header[f"CRPIX{k}"], table.header[f"CRVAL{k}"] = 1.0, 1.0
            table.header[f"CDELT{k}"] = max(1.0, size / (nodes - 1))
        sky.tables.append(table)
        header[f"CPDIS{axis}"] = "LOOKUP"
        header[f"CPERR{axis}"] = 0.5
        for record in (f"EXTVER: {axis}.0", "NAXES: 2.0", "AXIS.1: 1.0", "AXIS.2: 2.0"):
            header.append(fits.Card(f"DP{axis}", record), end=True)


def _add_table(sky: Sky, axis: int, size: int, rng: np.random.Generator) -> None:
    """Make a spectral axis whose wavelengths are in a table (FITS paper III section 6)."""
    wave = 5e-7 + np.cumsum(rng.uniform(1e-9, 3e-9, size + 2))
    column = fits.Column("WAVES", f"{wave.size}D", dim=f"(1,{wave.size})", array=wave[None, :])
    table = fits.BinTableHDU.from_columns([column], name="SPECTRA")
    table.ver = 1
    sky.tables.append(table)
    header = sky.header
    header[f"CTYPE{axis}"], header[f"CUNIT{axis}"] = "WAVE-TAB", "m"
    header[f"CRVAL{axis}"], header[f"CRPIX{axis}"], header[f"CDELT{axis}"] = 1.0, 0.0, 1.0
    if f"CD{axis}_{axis}" in header:
        header[f"CD{axis}_{axis}"] = 1.0
    header[f"PS{axis}_0"], header[f"PS{axis}_1"] = "SPECTRA", "WAVES"
    header[f"PV{axis}_1"], header[f"PV{axis}_2"], header[f"PV{axis}_3"] = 1.0, 1.0, 1.0


def _make_tabular(sky: Sky) -> None:
    """Put the positions of some pixels into a table, between which they are interpolated."""
    ny, nx = sky.shape
    cos = max(0.01, np.cos(np.deg2rad(sky.header["CRVAL2"])))
    v, u = np.mgrid[0 : ny + 1 : 2, 0 : nx + 1 : 2]
    places = np.stack([40.0 - (u + 1e-3 * v * v) / 3600 / cos, 5.0 + (v + 2e-3 * u * u) / 3600], -1)
    if min(places.shape[:2]) < 2:
        places = np.concatenate([places, places + np.array([-2e-4, 3e-4])], int(np.argmin(v.shape)))
    rows, columns = places.shape[:2]
    column = fits.Column(
        "PLACES", f"{places.size}D", dim=f"(2,{columns},{rows})", array=places[None]
    )
    table = fits.BinTableHDU.from_columns([column], name="WCS-TABLE")
    table.ver = 1
    sky.tables.append(table)
    names = [card for card in sky.header if card.startswith(("CD", "PC", "CROTA", "PV"))]
    for keyword in names:
        del sky.header[keyword]
    for axis, name in ((1, "RA---TAB"), (2, "DEC--TAB")):
        sky.header[f"CTYPE{axis}"] = name
        sky.header[f"CRVAL{axis}"], sky.header[f"CRPIX{axis}"] = 1.0, 1.0
        sky.header[f"CDELT{axis}"] = 0.5
        sky.header[f"PS{axis}_0"], sky.header[f"PS{axis}_1"] = "WCS-TABLE", "PLACES"
        sky.header[f"PV{axis}_1"], sky.header[f"PV{axis}_2"] = 1.0, 1.0
        sky.header[f"PV{axis}_3"] = float(axis)


def tables_of(sky: Sky) -> fits.HDUList:
    """Give what astropy needs beside the header."""
    return fits.HDUList([fits.PrimaryHDU(), *(table.copy() for table in sky.tables)])


def _is_sound(sky: Sky) -> bool:
    """Tell whether astropy takes the coordinates, and most of the image is on the sky."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            wcs = WCS(sky.header, tables_of(sky))
            places = np.random.default_rng(0).uniform(0, 1, (20, wcs.naxis))
            world = wcs.all_pix2world(places * (np.array(sky.shape[::-1]) - 0.5), 0)
        except Exception:  # noqa: BLE001 - wcslib's errors have no common base
            return False
    return bool(np.isfinite(world).mean() > 0.8)


TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@st.composite
def arrays(draw, shape: tuple[int, ...], kinds: list[str] = TYPES):
    """Draw pixels and the cards that scale them (BSCALE, BZERO, BLANK)."""
    dtype = np.dtype(draw(st.sampled_from(kinds)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    cards = {}
    if dtype.kind == "f":
        data = rng.normal(100, 10, shape).astype(dtype)
        special = draw(st.sampled_from(["none", "nan", "zero"]))
        if special != "none":
            data[rng.random(shape) < 0.2] = np.nan if special == "nan" else 0.0
        return data, cards
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -5000), min(limits.max, 5000)
    data = rng.integers(low, high, shape, endpoint=True).astype(dtype)
    if dtype.str[1:] in {"u1", "i2", "i4", "i8"}:
        if draw(st.booleans()):
            cards |= {"BSCALE": draw(st.sampled_from([0.25, -3.0])), "BZERO": 100.5}
        if draw(st.booleans()):
            cards["BLANK"] = int(data.flat[0])
    return data, cards


@st.composite
def compressions(draw, data, tile: tuple[int, ...]):
    """Draw a compression and who does it, that can hold the pixels; None for none."""
    kinds = [None, None, "GZIP_1", "GZIP_2"]
    floats = data.dtype.kind == "f"
    if data.dtype.itemsize < 8 or floats:
        kinds += ["RICE_1", "RICE_1"]
        if len([size for size in tile if size > 1]) == 2 and min(t for t in tile if t > 1) >= 4:
            kinds.append("HCOMPRESS_1")
    if data.dtype.str[1:] in {"u1", "i2"} and data.min() >= 0:
        kinds.append("PLIO_1")
    kind = draw(st.sampled_from(kinds))
    options = {}
    if kind is not None and floats:
        lossless = kind.startswith("GZIP") and draw(st.booleans())
        options["quantize_level"] = 0.0 if lossless else draw(st.sampled_from([4.0, 16.0, -0.5]))
        options["quantize_method"] = draw(st.sampled_from([-1, 1, 2]))
        options["dither_seed"] = draw(st.integers(1, 10000))
    return kind, options


ASTROPY, CFITSIO = "astropy", "cfitsio"
_FLAGS = {"RICE_1": "-r", "GZIP_1": "-g1", "GZIP_2": "-g2", "HCOMPRESS_1": "-h", "PLIO_1": "-p"}


@dataclass
class AnyFile:
    """A file that was drawn."""

    path: Path
    sky: Sky
    planes: int
    """Number of images on the sky."""


@st.composite
def files(draw, folder: Path) -> AnyFile:
    """Draw and write a file: an image with planes, of any type and compression."""
    sky = draw(skies())
    first_is_primary = draw(st.booleans())
    by = draw(st.sampled_from([ASTROPY, ASTROPY, CFITSIO]))
    tile = tuple(draw(st.integers(1, size)) for size in sky.shape)
    names = ["SCI", *draw(st.lists(st.sampled_from(["MASK", "VARIANCE", "ERR", "DQ"]),
                                   max_size=2, unique=True))]  # fmt: skip
    hdus: list[fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU] = []
    kind = None
    for name in names:
        kinds = [t for t in TYPES if t[0] in "iu"] if name in {"MASK", "DQ"} else TYPES
        data, cards = draw(arrays(sky.shape, kinds))
        has_sky = name == "SCI" or draw(st.booleans())
        header = sky.header.copy() if has_sky else fits.Header()
        if name == "SCI":
            _add_cards(header, draw)
        kind, options = draw(compressions(data, tile))
        is_primary = name == "SCI" and first_is_primary
        if kind is None or by == CFITSIO:
            hdu = fits.PrimaryHDU(data, header) if is_primary else fits.ImageHDU(data, header)
        else:
            try:
                hdu = fits.CompImageHDU(
                    data, header, compression_type=kind, tile_shape=tile, **options
                )
            except ValueError:  # Hcompress has rules on what is left for the last tiles
                assume(False)
        hdu.header["EXTNAME"] = name
        if not isinstance(hdu, fits.CompImageHDU):
            # The array stays as it is; only what it stands for is told.
            hdu.header.update(cards)
        hdus.append(hdu)
    if not first_is_primary or isinstance(hdus[0], fits.CompImageHDU):
        hdus.insert(0, fits.PrimaryHDU())
    path = folder / "any.fits"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fits.HDUList([*hdus, *(table.copy() for table in sky.tables)]).writeto(
                path, overwrite=True
            )
            if by == CFITSIO and kind is not None:
                path = _packed(path, kind, tile)
            # Some combinations are written so that not even their writer reads them.
            with fits.open(path) as written:
                for hdu in written:
                    _ = hdu.data
        except Exception:  # noqa: BLE001 - as the combination may not exist
            assume(False)
    if draw(st.integers(0, 4)) == 0:
        zipped = path.with_suffix(".fits.gz")
        zipped.write_bytes(gzip.compress(path.read_bytes(), 1))
        path = zipped
    return AnyFile(path, sky, len(names))


def _add_cards(header: fits.Header, draw) -> None:
    """Add what a header may hold beside the coordinates."""
    text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150)
    header["OBSERVER"] = draw(text).rstrip()
    header["HIERARCH ESO TEL AIRM END"] = draw(st.floats(1.0, 3.0))
    header["EXPTIME"] = (draw(st.floats(1e-30, 1e30)), "s")
    header["ISGOOD"] = draw(st.booleans())
    header["NOVALUE"] = None
    header.add_comment("what was seen")
    header.add_history(draw(text))


def _packed(path: Path, kind: str, tile: tuple[int, ...]) -> Path:
    """Compress by CFITSIO's own program."""
    packed = path.with_suffix(".fits.fz")
    packed.unlink(missing_ok=True)
    sizes = ",".join(str(size) for size in reversed(tile))
    done = subprocess.run(
        ["fpack", _FLAGS[kind], "-t", sizes, "-q5", "4", "-O", packed, path],
        capture_output=True, check=False,
    )  # fmt: skip
    assume(done.returncode == 0 and packed.exists())
    return packed
