"""Requests to start from, as the page that DALI 1.1 section 2.3 describes (SODA 1.0 section 2.3).

They are made of datasets that are there, and made anew when the catalogue has changed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

from soda.filters import extent_of
from soda.links import ASYNC_ID, STANDARD_ID
from soda.selection import Interval
from soda.settings import SodaSettings
from vodal.examples import example_element, examples_document
from vodal.products import Catalogue, Product
from vodal.regions import Circle, Point
from vodal.sphere import contains
from vodal.tables.markup import escape

__all__ = ["Example", "SiteExamples", "examples_page", "make_examples"]

_FRESH_S = 5.0
"""Seconds for which a page is given without a look into the catalogue."""

_SAMPLED = 30
_MOST_NEAR = 300
"""Images at one place that are looked at for those that go together."""
_RADIUS_PIXELS = 50.0
_FARTHEST_DEC_DEG = 80.0
"""Beyond it no example is made whose sides would have to follow meridians."""

_SIMILAR = 4.0
"""Pixels of datasets that go together in colour differ in size by no more."""

Pairs = tuple[tuple[str, str], ...]
TimeOf = Callable[[Product], Interval | None]


@dataclass(frozen=True, slots=True)
class Example:
    """One request with what it is for."""

    id: str
    name: str
    text: str
    resource: str
    """Below the service: ``sync``, ``async`` or ``stitched``."""
    params: Pairs
    """Names and values, in their order."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The middle of a dataset, and a circle there that holds some pixels. ICRS degrees."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    pixel_deg: float

    @property
    def circle(self) -> str:
        return self.circle_at(0.0)

    def circle_at(self, north: float) -> str:
        """Write a circle so many radii to the north, as CIRCLE takes it."""
        dec = max(-90.0, min(90.0, self.dec_deg + north * self.radius_deg))
        return f"{self.ra_deg:.7f} {dec:.7f} {self.radius_deg:.4g}"

    def bounds(self) -> tuple[float, float, float, float] | None:
        """Give right ascensions and declinations around it; None near the poles and at RA 0."""
        if abs(self.dec_deg) > _FARTHEST_DEC_DEG:
            return None
        half = self.radius_deg / math.cos(math.radians(self.dec_deg))
        low, high = self.ra_deg - half, self.ra_deg + half
        if low < 0.0 or high > 360.0:
            return None
        return low, high, self.dec_deg - self.radius_deg, self.dec_deg + self.radius_deg


def _number(product: Product, column: str) -> float | None:
    value = product.obscore.get(column)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _place(product: Product) -> _Place | None:
    ra, dec, fov = (_number(product, column) for column in ("s_ra", "s_dec", "s_fov"))
    if ra is None or dec is None or not fov or not _told(product.did):
        return None
    sides = [_number(product, column) or 1000.0 for column in ("s_xel1", "s_xel2")]
    # The field of view is measured across.
    pixel_deg = fov / max(1.0, math.hypot(*sides))
    return _Place(ra, dec, min(_RADIUS_PIXELS * pixel_deg, 0.1 * fov), pixel_deg)


def _is_plain(product: Product) -> bool:
    """Tell whether it is an image, and no mask or weight in a file of its own."""
    kind = product.obscore.get("dataproduct_type")
    return kind == "image" and not product.obscore.get("dataproduct_subtype")


def make_examples(
    catalogue: Catalogue, settings: SodaSettings, time_of: TimeOf, *, has_jobs: bool
) -> Iterator[Example]:
    """Make requests for some of what a site holds; none where nothing has a place on the sky.

    Parameters
    ----------
    catalogue
        What there is.
    settings
        Limits.
    time_of
        Gives a time that a product's time axis has.
    has_jobs
        Whether there is ``/async``.
    """
    images = [one for one in catalogue.sample("image", _SAMPLED) if _is_plain(one)]
    cubes = catalogue.sample("cube", _SAMPLED)
    for product in images or cubes:
        place = _place(product)
        if place is not None:
            yield from _of_dataset(product.did, place)
            if images:
                yield from _combined(product, place)
            yield from _of_several(product.did, place, settings, has_jobs=has_jobs)
            if images:
                yield from _of_neighbours(product, place, catalogue, settings)
            break
    yield from _of_axes(cubes, time_of)


def _of_dataset(did: str, place: _Place) -> Iterator[Example]:
    dataset, circle = ("ID", did), ("CIRCLE", place.circle)
    yield Example(
        "circle",
        "A circle on the sky",
        "The smallest rectangle of pixels that holds the circle: right ascension, declination and"
        " radius in degrees, ICRS.",
        "sync",
        (dataset, circle),
    )
    bounds = place.bounds()
    if bounds is not None:
        west, east, south, north = (f"{value:.7f}" for value in bounds)
        yield Example(
            "polygon",
            "A polygon on the sky",
            "Vertices in degrees; an extension tells the pixels outside of it.",
            "sync",
            (
                dataset,
                ("POLYGON", f"{east} {south} {west} {south} {place.ra_deg:.7f} {north}"),
                ("OUTSIDE", "mask"),
            ),
        )
        yield Example(
            "range",
            "A range of right ascension and declination",
            "Of the shapes of POS the one that has no parameter of its own.",
            "sync",
            (dataset, ("POS", f"RANGE {west} {east} {south} {north}")),
        )
    yield Example(
        "picture",
        "A cutout as a picture",
        "PNG of 256 pixels along its longer side.",
        "sync",
        (dataset, circle, ("RESPONSEFORMAT", "image/png"), ("SIZE", "256")),
    )
    yield Example(
        "compressed",
        "Tile-compressed FITS",
        "Integers without loss, floats quantised by their noise.",
        "sync",
        (dataset, circle, ("RESPONSEFORMAT", "fits-rice")),
    )
    yield Example(
        "pixels",
        "A section in pixels",
        "Counted from 1, ends included; an extension.",
        "sync",
        (dataset, ("PIXELS", "[1:64,1:64]")),
    )
    yield Example(
        "header",
        "Headers alone",
        "What the cutout would be, without its pixels; an extension.",
        "sync",
        (dataset, ("KIND", "HEADER")),
    )


def _combined(product: Product, place: _Place) -> Iterator[Example]:
    extent = extent_of(product)
    if extent.band_m is None or extent.time_mjd is None:
        return
    yield Example(
        "combined",
        "Place, wavelength and time together",
        "An image is within a band and a time, or it is not (204); a cube is cut along its axes."
        " Wavelengths in vacuum, metres; Modified Julian Dates, UTC.",
        "sync",
        (
            ("ID", product.did),
            ("CIRCLE", place.circle),
            ("BAND", f"{extent.band_m.low!r} +Inf"),
            ("TIME", f"{extent.time_mjd.low!r} {extent.time_mjd.high!r}"),
        ),
    )


def _of_several(
    did: str, place: _Place, settings: SodaSettings, *, has_jobs: bool
) -> Iterator[Example]:
    if settings.max_combinations < 2:
        return
    both = (("ID", did), ("CIRCLE", place.circle_at(-1.0)), ("CIRCLE", place.circle_at(1.0)))
    yield Example(
        "several",
        "Several cutouts in one answer",
        "Each combination of the values is a cutout; they come as a tar.",
        "sync",
        (*both, ("MULTI", "tar")),
    )
    if has_jobs:
        yield Example(
            "job",
            "Cutouts made by a job",
            "POST makes and begins the job; each combination of the values is one result.",
            "async",
            (*both, ("PHASE", "RUN")),
        )


def _of_neighbours(
    product: Product, place: _Place, catalogue: Catalogue, settings: SodaSettings
) -> Iterator[Example]:
    circle = Circle(place.ra_deg, place.dec_deg, place.radius_deg)
    found = catalogue.products(product.collection, circle)
    near = list(islice((one for one in found if _is_plain(one)), _MOST_NEAR + 1))
    bands: dict[str, Product] = {}
    for one in near:
        if _number(one, "em_min") is not None and _is_alike(one, place):
            bands.setdefault(str(one.obscore.get("filter") or "").strip(), one)
    bands.pop("", None)
    if len(bands) >= 3:
        reddest = sorted(bands.values(), key=lambda one: _number(one, "em_min") or 0.0)[::-1]
        shown = (reddest[0], reddest[len(reddest) // 2], reddest[-1])
        yield Example(
            "color",
            "Three datasets in colour",
            "In the order red, green, blue; an extension.",
            "sync",
            (*(("ID", one.did) for one in shown), ("CIRCLE", place.circle), ("COMBINE", "rgb")),
        )
    band = str(product.obscore.get("filter") or "").strip()
    same = sum(str(one.obscore.get("filter") or "").strip() == band for one in near)
    names = product.collection, band
    if band and len(near) <= _MOST_NEAR and same <= settings.max_stitched and _told(*names):
        yield Example(
            "stitched",
            "All images of a place on one grid",
            "The images of one filter, north up; an extension.",
            "stitched",
            (
                ("COLLECTION", product.collection),
                ("FILTER", band),
                ("CIRCLE", place.circle),
            ),
        )


def _is_alike(product: Product, place: _Place) -> bool:
    """Tell whether a dataset shows a place, in pixels of about the same size."""
    own, centre = _place(product), Point(place.ra_deg, place.dec_deg)
    if own is None or product.region is None or not contains(product.region, centre):
        return False
    return 1 / _SIMILAR <= own.pixel_deg / place.pixel_deg <= _SIMILAR


def _told(*texts: str) -> bool:
    """Tell whether texts can stand on a page."""
    return all(text.isprintable() and text == text.strip() for text in texts)


def _of_axes(cubes: Sequence[Product], time_of: TimeOf) -> Iterator[Example]:
    told = [(one, place) for one in cubes if (place := _place(one)) is not None]
    for product, place in told:
        extent = extent_of(product)
        if extent.band_m is not None and (extent.band_bins or 0) > 1:
            yield _of_axis(
                "band",
                "A band of a cube",
                "Wavelengths in vacuum, metres.",
                (product, place),
                ("BAND", _middle(extent.band_m)),
            )
            break
    for product, place in told:
        states = extent_of(product).states
        if len(states) > 1:
            yield _of_axis(
                "polarization",
                "Polarization states of a cube",
                "POL is given once for each; all go into one cutout.",
                (product, place),
                *(("POL", state) for state in states[:2]),
            )
            break
    for product, place in told:
        time_mjd = time_of(product)
        if time_mjd is not None:
            yield _of_axis(
                "time",
                "A time of a cube",
                "Modified Julian Dates, UTC.",
                (product, place),
                ("TIME", f"{time_mjd.low!r} {time_mjd.high!r}"),
            )
            break


def _of_axis(
    name: str, title: str, text: str, of: tuple[Product, _Place], *params: tuple[str, str]
) -> Example:
    product, place = of
    # All of the sky of a cube may be more than one answer holds.
    return Example(
        name, title, text, "sync", (("ID", product.did), ("CIRCLE", place.circle), *params)
    )


def _middle(extent: Interval) -> str:
    """Write the middle tenth of an interval."""
    width = extent.high - extent.low
    return f"{extent.low + 0.45 * width!r} {extent.low + 0.55 * width!r}"


class SiteExamples:
    """The examples of one site, made when they are asked for. Safe to call from several threads.

    Parameters
    ----------
    catalogue
        What there is.
    settings
        Limits.
    time_of
        Gives a time that a product's time axis has.
    has_jobs
        Whether there is ``/async``.
    """

    def __init__(
        self, catalogue: Catalogue, settings: SodaSettings, time_of: TimeOf, *, has_jobs: bool
    ) -> None:
        self._catalogue, self._settings, self._has_jobs = catalogue, settings, has_jobs
        self._time_of = time_of
        self._lock = threading.Lock()
        self._made = -math.inf
        self._examples: tuple[Example, ...] = ()

    def examples(self) -> tuple[Example, ...]:
        """Give requests that each have an answer.

        Raises
        ------
        SkylaneError
            If the catalogue does not answer.
        """
        with self._lock:
            if time.monotonic() - self._made > _FRESH_S:
                made = make_examples(
                    self._catalogue, self._settings, self._time_of, has_jobs=self._has_jobs
                )
                self._examples = tuple(made)
                self._made = time.monotonic()
            return self._examples


def examples_page(examples: Sequence[Example]) -> str:
    """Write the examples as XHTML with RDFa."""
    about = (
        "Made of what this site holds: each of them has an answer."
        if examples
        else "This site holds nothing yet that can be cut by its place on the sky."
    )
    return examples_document("Examples of cutouts", about, map(_element, examples))


_CAPABILITIES = {"sync": STANDARD_ID, "async": ASYNC_ID}


def _element(item: Example) -> str:
    lines = [
        '<span property="generic-parameter" typeof="keyval">'
        f'<span property="key">{escape(name)}</span>='
        f'<span property="value">{escape(value)}</span></span>'
        for name, value in item.params
    ]
    content = "<pre>" + "\n".join(lines) + "</pre>\n"
    if item.resource == "async":
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}"/>'
            for name, value in item.params
        )
        content += (
            f'<form action="{item.resource}" method="post"><p>{fields}'
            "<button>Run it</button></p></form>\n"
        )
    else:
        address = f"{item.resource}?{urlencode(item.params)}"
        content += f'<p><a href="{escape(address)}">Run it</a></p>\n'
    standard = _CAPABILITIES.get(item.resource)
    if standard is not None:
        content += f'<p><small property="capability">{standard}</small></p>\n'
    return example_element(item.id, item.name, item.text, content)
