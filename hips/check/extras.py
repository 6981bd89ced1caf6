"""Rules of the files beside the tiles (HiPS 1.0 sections 4.4.2 to 4.4.5)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import numpy as np
from astropy.io import fits, votable
from PIL import Image

from hips.check.finding import Finding, error, note, warning
from hips.check.survey import Survey
from hips.moc import Coverage

__all__ = ["check_extras", "check_moc"]

_LISTED = 3


def check_moc(survey: Survey) -> Iterator[Finding]:
    """``Moc.fits`` is there, in the frame of the HiPS, and holds just the deepest tiles."""
    coverage = survey.coverage
    if coverage is None:
        say = "is not there: clients will ask for tiles that do not exist"
        yield warning("4.4.2", "moc", "Moc.fits", say)
        return
    if not isinstance(coverage, Coverage):
        yield error("4.4.2", "moc-unreadable", "Moc.fits", f"cannot be read: {coverage}")
        return
    if not coverage.system:
        yield warning("4.4.2", "moc-frame", "Moc.fits", "does not say its frame (COORDSYS)")
    if not coverage.compares_with(survey.frame):
        say = f"is in the frame '{coverage.system}', the HiPS is {survey.frame}"
        made = error if survey.frame == "equatorial" else note
        yield made("4.4.2", "moc-frame", "Moc.fits", say)
        return
    yield from _fraction(survey, coverage)
    if survey.place.listable and survey.extensions:
        yield from _tiles(survey, coverage)


def _fraction(survey: Survey, coverage: Coverage) -> Iterator[Finding]:
    said = survey.values.get("moc_sky_fraction")
    try:
        value = float(said) if said is not None else None
    except ValueError:
        return
    true = coverage.sky_fraction
    if value is not None and abs(value - true) > 0.02 * true + 1e-9:
        say = f"moc_sky_fraction is {said}, the MOC covers {true:.6g}"
        yield warning("4.4.1", "moc-fraction", "properties", say)


def _tiles(survey: Survey, coverage: Coverage) -> Iterator[Finding]:
    extension = survey.extensions[0]
    tiles = survey.tiles(survey.order, extension)
    order = min(coverage.order, survey.order)
    there = np.unique(tiles >> 2 * (survey.order - order))
    cells = coverage.cells(order)
    outside, absent = np.setdiff1d(there, cells), np.setdiff1d(cells, there)
    if len(outside):
        first = ", ".join(map(str, outside[:_LISTED].tolist()))
        say = f"does not hold the tiles {first} of order {order} that are there: clients skip them"
        yield error("4.4.2", "moc-cells", "Moc.fits", say)
    if len(absent):
        first = ", ".join(map(str, absent[:_LISTED].tolist()))
        say = f"holds the cells {first} of order {order}, where no tiles are: clients ask in vain"
        yield error("4.4.2", "moc-cells", "Moc.fits", say)


def check_extras(survey: Survey) -> Iterator[Finding]:
    """``metadata``, ``preview.jpg`` and ``index.html``, where they are there, are what they say."""
    yield from _metadata(survey)
    preview = survey.place.read("preview.jpg")
    if preview is None:
        yield note("4.4.4", "preview", "preview.jpg", "is not there")
    else:
        yield from _preview(preview)
    page = survey.place.read("index.html")
    if page is None:
        yield note("4.4.5", "page", "index.html", "is not there")
    elif b"<" not in page[:2000]:
        yield warning("4.4.5", "page", "index.html", "does not look like HTML")


def _metadata(survey: Survey) -> Iterator[Finding]:
    data = survey.place.read("metadata.fits")
    if data is not None:
        try:
            with warnings.catch_warnings(), fits.open(io.BytesIO(data)) as file:
                warnings.simplefilter("ignore")
                len(file[0].header)
        except Exception as fault:  # noqa: BLE001 - the library raises errors of many kinds
            yield error("4.4.3", "metadata", "metadata.fits", f"is no FITS file: {fault}")
    xml = survey.place.read("metadata.xml")
    if xml is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                votable.parse(io.BytesIO(xml))
        except Exception as fault:  # noqa: BLE001 - the library raises errors of many kinds
            yield error("4.4.3", "metadata", "metadata.xml", f"is no VOTable: {fault}")
    if data is None and xml is None:
        yield note("4.4.3", "metadata", "metadata.fits", "is not there, nor is metadata.xml")


def _preview(data: bytes) -> Iterator[Finding]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, size = image.format, image.size
    except (OSError, ValueError):
        yield error("4.4.4", "preview", "preview.jpg", "is no picture")
        return
    if kind != "JPEG":
        yield error("4.4.4", "preview", "preview.jpg", f"is {kind}, not JPEG")
    elif size != (256, 256):
        yield warning("4.4.4", "preview", "preview.jpg", f"is {size[0]} x {size[1]}, not 256 x 256")
