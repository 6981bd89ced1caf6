"""Synthetic skies whose sources and pixels are known.

`make_survey` writes a small survey of overlapping exposures in three bands; `make_sources` and
`draw` are its parts and serve tests that need one image somewhere else on the sky.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS, Sip
from numpy.typing import NDArray

__all__ = [
    "BANDS",
    "Exposure",
    "Sources",
    "Survey",
    "draw",
    "make_sources",
    "make_survey",
    "make_wcs",
]

BANDS = ("g", "r", "i")
"""Bands of the synthetic survey, shortest wavelength first."""

ZERO_POINT_MAG = 27.0
"""AB magnitude of one count per second in every band."""

MASK_SATURATED, MASK_BAD_COLUMN, MASK_NO_DATA = 1, 2, 4
"""Bits of the mask plane."""


@dataclass(frozen=True)
class Sources:
    """A catalogue of sources: arrays of one length."""

    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    mag: dict[str, NDArray[np.float64]]
    """AB magnitude by band."""
    radius_arcsec: NDArray[np.float64]
    """Exponential scale length; 0 for a star."""
    axis_ratio: NDArray[np.float64]
    angle_deg: NDArray[np.float64]


@dataclass(frozen=True)
class Exposure:
    """One written exposure and what is true of it."""

    path: Path
    band: str
    wcs: WCS
    mjd_start: float
    exposure_s: float
    compressed: bool


@dataclass(frozen=True)
class Survey:
    """A written survey."""

    folder: Path
    sources: Sources
    exposures: tuple[Exposure, ...]
    centre: tuple[float, float]
    """(ra, dec) in ICRS degrees."""


def make_wcs(
    ra_deg: float,
    dec_deg: float,
    size: int,
    scale_arcsec: float,
    rotation_deg: float = 0.0,
    *,
    distorted: bool = True,
) -> WCS:
    """Make a TAN (with ``distorted`` TAN-SIP of order 3) WCS for a square image.

    The distortion moves the corners by about two pixels of a 1024 pixel image.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    angle = np.deg2rad(rotation_deg)
    scale = scale_arcsec / 3600.0
    wcs.wcs.cd = scale * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    suffix = "-SIP" if distorted else ""
    wcs.wcs.ctype = [f"RA---TAN{suffix}", f"DEC--TAN{suffix}"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    if distorted:
        a, b = np.zeros((4, 4)), np.zeros((4, 4))
        half = size / 2
        a[2, 0], a[0, 2], a[3, 0], a[1, 2] = (
            0.8 / half**2,
            -0.5 / half**2,
            1.2 / half**3,
            1.1 / half**3,
        )
        b[0, 2], b[2, 0], b[0, 3], b[2, 1] = (
            -0.7 / half**2,
            0.4 / half**2,
            1.3 / half**3,
            1.0 / half**3,
        )
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def make_sources(
    rng: np.random.Generator, ra_deg: float, dec_deg: float, half_width_deg: float, count: int
) -> Sources:
    """Scatter stars (60 %) and galaxies over a square of the sky."""
    dec = dec_deg + rng.uniform(-half_width_deg, half_width_deg, count)
    ra = ra_deg + rng.uniform(-half_width_deg, half_width_deg, count) / np.cos(np.deg2rad(dec_deg))
    is_star = rng.random(count) < 0.6
    r_mag = 24.0 - rng.exponential(1.3, count)
    r_mag = np.clip(r_mag, 15.5, 24.0)
    colour = np.where(is_star, rng.normal(0.55, 0.35, count), rng.normal(0.8, 0.4, count))
    return Sources(
        ra_deg=np.mod(ra, 360.0),
        dec_deg=dec,
        mag={"g": r_mag + colour, "r": r_mag, "i": r_mag - 0.6 * colour},
        radius_arcsec=np.where(is_star, 0.0, rng.gamma(3.0, 0.35, count)),
        axis_ratio=rng.uniform(0.3, 1.0, count),
        angle_deg=rng.uniform(0.0, 180.0, count),
    )


def draw(
    sources: Sources,
    wcs: WCS,
    shape: tuple[int, int],
    flux: NDArray[np.float64],
    scale_arcsec: float,
    seeing_arcsec: float = 0.9,
) -> NDArray[np.float64]:
    """Draw the sources without noise, each at its exact place, in counts.

    Parameters
    ----------
    sources
        What to draw.
    wcs
        Of the image; its inverse with distortion places the sources.
    shape
        Of the image, rows first.
    flux
        Total counts of each source.
    scale_arcsec
        Pixel scale.
    seeing_arcsec
        FWHM of the Gaussian point-spread function.
    """
    image = np.zeros(shape)
    x, y = wcs.all_world2pix(sources.ra_deg, sources.dec_deg, 0, quiet=True)
    sigma0 = seeing_arcsec / 2.3548 / scale_arcsec
    angle = np.deg2rad(sources.angle_deg)
    for k in np.flatnonzero((x > -30) & (x < shape[1] + 30) & (y > -30) & (y < shape[0] + 30)):
        # A galaxy is drawn as three concentric Gaussians that follow an exponential disc.
        scale = sources.radius_arcsec[k] / scale_arcsec
        parts = [(1.0, 0.0)] if scale == 0.0 else [(0.25, 0.6), (0.5, 1.4), (0.25, 2.6)]
        for share, width in parts:
            major = np.hypot(sigma0, width * scale)
            minor = np.hypot(sigma0, width * scale * sources.axis_ratio[k])
            reach = int(np.ceil(5.0 * major)) + 1
            x0, x1 = max(0, int(x[k]) - reach), min(shape[1], int(x[k]) + reach + 1)
            y0, y1 = max(0, int(y[k]) - reach), min(shape[0], int(y[k]) + reach + 1)
            if x0 >= x1 or y0 >= y1:
                continue
            dx = np.arange(x0, x1) - x[k]
            dy = np.arange(y0, y1)[:, None] - y[k]
            c, s = np.cos(angle[k]), np.sin(angle[k])
            u, v = (c * dx + s * dy) / major, (c * dy - s * dx) / minor
            image[y0:y1, x0:x1] += (
                flux[k] * share / (2.0 * np.pi * major * minor) * np.exp(-0.5 * (u * u + v * v))
            )
    return image


def make_survey(
    folder: Path,
    *,
    exposures: int = 40,
    size: int = 1024,
    centre: tuple[float, float] = (150.1, 2.2),
    scale_arcsec: float = 0.4,
    seed: int = 20260101,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Write a survey of overlapping exposures in three bands.

    Each file has an empty primary HDU with the observation's cards and the planes IMAGE
    (float32, counts), MASK (int32, named bits) and VARIANCE (float32); every second file is
    RICE-compressed and named ``.fits.fz``. The same seed gives the same files.

    Parameters
    ----------
    folder
        Where to write; made if need be.
    exposures
        Number of exposures, spread over the bands in turn.
    size
        Pixels along each side.
    centre
        (ra, dec) of the survey in ICRS degrees.
    scale_arcsec
        Pixel scale.
    seed
        Of the random numbers.
    progress
        Called with the number done and the total after each file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    field_deg = size * scale_arcsec / 3600.0
    half = 1.6 * field_deg
    density = 1.2e-3 * (size * size) / field_deg**2
    sources = make_sources(rng, *centre, half, int(density * (2 * half) ** 2))
    start = Time("2026-01-10T02:00:00", scale="utc").mjd
    made = []
    # The grid of pointings is denser than a field, so that each place is seen several times.
    steps = int(np.ceil(np.sqrt(exposures / len(BANDS))))
    for k in range(exposures):
        band = BANDS[k % len(BANDS)]
        visit = k // len(BANDS)
        column, row = visit % steps, visit // steps
        dec = (
            centre[1] + (row - (steps - 1) / 2) * 0.55 * field_deg + rng.normal(0, 0.02) * field_deg
        )
        ra = centre[0] + (
            (column - (steps - 1) / 2) * 0.55 * field_deg + rng.normal(0, 0.02) * field_deg
        ) / np.cos(np.deg2rad(dec))
        wcs = make_wcs(ra % 360.0, dec, size, scale_arcsec, float(rng.uniform(-20, 20)))
        exposure_s = 30.0 * (1 + k % 3)
        mjd = start + k * 120.0 / 86400.0
        flux = exposure_s * 10.0 ** (-0.4 * (sources.mag[band] - ZERO_POINT_MAG))
        path = folder / f"visit{1000 + visit:04d}_{band}.fits{'.fz' if k % 2 else ''}"
        _write_exposure(
            path,
            rng,
            draw(sources, wcs, (size, size), flux, scale_arcsec),
            wcs,
            band,
            1000 + visit,
            mjd,
            exposure_s,
        )
        made.append(Exposure(path, band, wcs, mjd, exposure_s, bool(k % 2)))
        if progress is not None:
            progress(k + 1, exposures)
    return Survey(folder, sources, tuple(made), centre)


def _write_exposure(
    path: Path,
    rng: np.random.Generator,
    signal: NDArray[np.float64],
    wcs: WCS,
    band: str,
    visit: int,
    mjd: float,
    exposure_s: float,
) -> None:
    """Add noise, flaws and headers to a drawn sky and write the file."""
    sky, read_noise, full_well = 2.0 * exposure_s, 5.0, 60000.0
    variance = (signal + sky + read_noise**2).astype(np.float32)
    image = signal + rng.standard_normal(signal.shape, np.float32) * np.sqrt(variance)
    mask = np.zeros(signal.shape, np.int32)
    mask[signal > full_well] |= MASK_SATURATED
    image = np.minimum(image, full_well)
    bad = int(rng.integers(100, signal.shape[1] - 100)) if signal.shape[1] > 300 else None
    if bad is not None:
        mask[:, bad] |= MASK_BAD_COLUMN
        image[:, bad] = np.nan
    primary = fits.PrimaryHDU()
    observed = Time(mjd, format="mjd", scale="utc")
    for keyword, value, comment in (
        ("TELESCOP", "Skylane Demo 1.2m", "telescope"),
        ("INSTRUME", "DemoCam", "instrument"),
        ("FILTER", band, "filter"),
        ("OBJECT", "Demo Field", "field"),
        ("OBSID", f"visit{visit}-{band}", "observation"),
        ("DATE-OBS", observed.isot, "start of the exposure, UTC"),
        ("MJD-OBS", mjd, "[d] start of the exposure"),
        ("TIMESYS", "UTC", "time scale"),
        ("EXPTIME", exposure_s, "[s] exposure time"),
        ("SEEING", 0.9, "[arcsec] FWHM of the point-spread function"),
        ("MAGZERO", ZERO_POINT_MAG + 2.5 * np.log10(exposure_s), "AB magnitude of one count"),
        ("PROCLEVL", "calibrated", "state of the processing"),
    ):
        primary.header[keyword] = (value, comment)
    wcs_header = wcs.to_header(relax=True)
    hdus: list[Any] = [primary]
    planes = (
        ("IMAGE", image.astype(np.float32), "adu"),
        ("MASK", mask, None),
        ("VARIANCE", variance, "adu2"),
    )
    for name, data, unit in planes:
        if path.suffix == ".fz":
            # Lossless planes and a finely quantised image, so that tests can compare pixels.
            hdu = fits.CompImageHDU(
                data,
                header=wcs_header,
                name=name,
                compression_type="RICE_1",
                quantize_level=16.0,
                quantize_method=2,
                dither_seed=visit,
            )
        else:
            hdu = fits.ImageHDU(data, header=wcs_header, name=name)
        if unit:
            hdu.header["BUNIT"] = unit
        if name == "MASK":
            hdu.header["MP_SAT"], hdu.header["MP_BAD"], hdu.header["MP_NODAT"] = 0, 1, 2
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True)
