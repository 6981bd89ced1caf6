"""Queries to start from, as the page that DALI 1.1 section 2.3 describes.

They are made of what the site holds, so that each gives rows, and made anew when that has changed.
"""

# ruff: noqa: S608 - ADQL, which is resolved before anything runs

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from obscore.adql.schema import Schema
from obscore.adql.wording import text_literal
from obscore.tap.holdings import Holdings, Place, answers, look
from obscore.tap.metadata import PUBLISHED
from obscore.tap.query import QueryRunner
from vodal.access.rules import EVERYTHING, Rights
from vodal.errors import SkylaneError
from vodal.examples import example_element, examples_document
from vodal.tables.markup import escape

__all__ = ["Example", "SiteExamples", "examples_page", "make_examples"]

_FRESH_S = 2.0
"""Seconds for which a page is given without a look into the store."""


@dataclass(frozen=True, slots=True)
class Example:
    """One query with what it is for."""

    id: str
    name: str
    text: str
    query: str
    upload: str | None = None
    """A table in CSV that has to come with it, as ``UPLOAD=targets,...``."""
    for_clients: bool = True
    """Whether clients find it as an example. The parser of STILTS 3.4.7 and TOPCAT does not know
    MOC, which is no part of ADQL 2.1, and would warn of it."""


def _number(value: float, digits: int = 5) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") or "0"


# The frame 'ICRS' is there for the parsers of ADQL 2.0 in clients; ADQL 2.1 needs none.
def _at(place: Place) -> str:
    return f"{_number(place.ra_deg)}, {_number(place.dec_deg)}"


_PROGRAM = {"ivoa", "TAP_SCHEMA", "skylane"}
"""Schemas that are not the site's own."""


def make_examples(held: Holdings | None, published: Schema) -> Iterator[Example]:
    """Make queries for what a site holds.

    Parameters
    ----------
    held
        None for an empty site, which has examples for its metadata alone.
    published
        The tables that a query can name.
    """
    if held is not None:
        if held.places:
            yield from _of_sky(held, held.places[0])
        yield from _of_values(held)
    own = (table for table in published.tables if table.schema not in _PROGRAM)
    ids: set[str] = set()
    for number, table in enumerate(own, 1):
        # An XML name, whatever the table is called.
        key = re.sub("[^A-Za-z0-9_]", "-", f"table-{table.schema}-{table.name}")
        if key in ids:
            key = f"{key}-{number}"
        ids.add(key)
        yield Example(
            key,
            f"First rows of {table.full_name}",
            table.description or "A table of this site.",
            f"SELECT TOP 10 *\nFROM {table.full_name}",
        )
    yield Example(
        "columns",
        "What the columns mean",
        "TAP_SCHEMA describes all tables of the service, itself included.",
        """SELECT column_name, datatype, unit, ucd, description, indexed
FROM TAP_SCHEMA.columns
WHERE table_name = 'ivoa.obscore'
ORDER BY column_index""",
    )
    yield Example(
        "tables",
        "What tables there are",
        "Each with the number of its columns.",
        """SELECT t.table_name, t.description, COUNT(*) AS n_columns
FROM TAP_SCHEMA.tables AS t
JOIN TAP_SCHEMA.columns AS c ON c.table_name = t.table_name
GROUP BY t.table_name, t.description
ORDER BY n_columns DESC""",
    )


def _of_sky(held: Holdings, place: Place) -> Iterator[Example]:
    at, near = _at(place), max(0.5, min(5.0, 2 * (held.fov_deg or 0.0)))
    radius = _number(near, 2)
    point = "POINT('ICRS', s_ra, s_dec)"
    yield Example(
        "cone",
        "Images that show a position",
        "Finds the observations whose footprint holds a position, with where to get them.",
        f"""SELECT obs_publisher_did, s_ra, s_dec, s_region, filter, access_url, access_format
FROM ivoa.obscore
WHERE 1 = CONTAINS(POINT('ICRS', {at}), s_region)""",
    )
    band = ""
    if held.wavelength_m is not None:
        band = f"\n  AND em_min <= {held.wavelength_m!r} AND em_max >= {held.wavelength_m!r}"
    yield Example(
        "overlap",
        "Images in one band that overlap a region",
        "The footprint overlaps a circle; the wavelength, in metres, lies in the band.",
        f"""SELECT *
FROM ivoa.obscore
WHERE 1 = INTERSECTS(s_region, CIRCLE('ICRS', {at}, {radius})){band}""",
    )
    yield Example(
        "nearest",
        "The images centred nearest to a position",
        "Orders by the distance of the image's centre, in degrees.",
        f"""SELECT TOP 10 obs_id, filter,
  DISTANCE({point}, POINT('ICRS', {at})) AS separation
FROM ivoa.obscore
WHERE 1 = CONTAINS({point}, CIRCLE('ICRS', {at}, {radius}))
ORDER BY separation""",
    )
    cells = " ".join(map(str, sorted({item.cell for item in held.places})))
    yield Example(
        "moc",
        "Images in a coverage map",
        "A MOC lists cells of HEALPix by their order; paste one of your own.",
        f"""SELECT obs_id, s_ra, s_dec
FROM ivoa.obscore
WHERE 1 = CONTAINS({point}, MOC('6/{cells}'))""",
        for_clients=False,
    )
    yield Example(
        "density",
        "How many images there are in each part of the sky",
        "Counts the images around a position by cells of HEALPix of about one degree.",
        f"""SELECT cell, COUNT(*) AS images
FROM (
  SELECT ivo_healpix_index(6, s_ra, s_dec) AS cell
  FROM ivoa.obscore
  WHERE 1 = CONTAINS({point}, CIRCLE('ICRS', {at}, {_number(4 * near, 2)}))
) AS cells
GROUP BY cell""",
    )
    rows = [f"target {n},{_at(item)}" for n, item in enumerate(held.places, 1)]
    yield Example(
        "upload",
        "Images that show the targets of a list",
        "Needs a table of yours, uploaded as targets with the columns name, ra and dec (degrees):"
        " UPLOAD=targets,param:list in a form, uploads={'targets': table} in pyvo.",
        """SELECT t.name, o.obs_id, o.filter, o.access_url
FROM TAP_UPLOAD.targets AS t
JOIN ivoa.obscore AS o ON 1 = CONTAINS(POINT('ICRS', t.ra, t.dec), o.s_region)""",
        "\n".join(["name,ra,dec", *(row.replace(", ", ",") for row in rows)]),
    )


def _of_values(held: Holdings) -> Iterator[Example]:
    yield Example(
        "summary",
        "What there is",
        "Counts the observations of each collection, instrument and filter; the counts are kept,"
        " so that this is quick.",
        """SELECT obs_collection, instrument_name, filter, dataproduct_type, COUNT(*) AS n
FROM ivoa.obscore
GROUP BY obs_collection, instrument_name, filter, dataproduct_type
ORDER BY n DESC""",
    )
    yield Example(
        "extent",
        "From when to when",
        "Times are Modified Julian Dates.",
        "SELECT COUNT(*) AS n, MIN(t_min) AS first_mjd, MAX(t_max) AS last_mjd\nFROM ivoa.obscore",
    )
    yield Example(
        "instruments",
        "The values of a column",
        "For the choices of a search form.",
        "SELECT DISTINCT instrument_name\nFROM ivoa.obscore",
    )
    if held.collection is not None:
        chosen = f"obs_collection = {text_literal(held.collection)}"
        if held.filter is not None:
            chosen += f" AND filter = {text_literal(held.filter)}"
        yield Example(
            "latest",
            "The latest images of a collection",
            "Ordered by time, newest first.",
            f"""SELECT TOP 20 obs_id, t_min, t_exptime, filter, access_url
FROM ivoa.obscore
WHERE {chosen}
ORDER BY t_min DESC""",
        )
    if held.night_mjd is not None:
        day = _number(held.night_mjd, 1)
        yield Example(
            "night",
            "What was taken in a span of time",
            "Times are Modified Julian Dates; this is one day.",
            f"""SELECT obs_id, instrument_name, filter, t_min, t_exptime
FROM ivoa.obscore
WHERE t_min BETWEEN {day} AND {_number(held.night_mjd + 1, 1)}
ORDER BY t_min""",
        )
    if held.obs_id is not None:
        yield Example(
            "observation",
            "All products of one observation",
            "By its identifier.",
            f"SELECT *\nFROM ivoa.obscore\nWHERE obs_id = {text_literal(held.obs_id)}",
        )


class SiteExamples:
    """The examples of one site, made when they are asked for. Safe to call from several threads.

    Parameters
    ----------
    runner
        Runs queries.
    public
        What everybody may see: examples are for everybody.
    """

    def __init__(self, runner: QueryRunner, public: Rights = EVERYTHING) -> None:
        self._runner, self._public = runner, public
        self._lock = threading.Lock()
        self._seen: tuple[Holdings | None, Schema] | None = None
        self._looked = -_FRESH_S
        self._examples: tuple[Example, ...] = ()

    def examples(self) -> tuple[Example, ...]:
        """Give queries that each give a row; those for metadata alone if the store fails."""
        with self._lock:
            if time.monotonic() - self._looked < _FRESH_S:
                return self._examples
            try:
                held = look(self._runner, self._public)
                known = self._runner.published(renewed=True, rights=self._public)
                seen = held, known.schema
            except SkylaneError:
                # Not kept: the store may be there in a moment.
                return tuple(make_examples(None, PUBLISHED))
            if seen != self._seen:
                self._examples = tuple(self._answered(*seen))
                self._seen = seen
            self._looked = time.monotonic()
            return self._examples

    def _answered(self, held: Holdings | None, published: Schema) -> Iterator[Example]:
        """Leave out what gives no rows here, for instance where nothing has a footprint."""
        found: set[str] = set()
        for example in make_examples(held, published):
            # Its rows are those of the first one, for more than one position.
            shown = "cone" in found if example.upload else self._answers(example.query)
            if shown:
                found.add(example.id)
                yield example

    def _answers(self, query: str) -> bool:
        return answers(self._runner, query, self._public)


def examples_page(examples: Sequence[Example]) -> str:
    """Write the examples as XHTML with RDFa."""
    about = "Made of what this site holds: each of them gives rows."
    return examples_document("Examples of queries", about, map(_element, examples))


def _element(item: Example) -> str:
    query = ' property="query"' if item.for_clients else ""
    content = f"<pre{query}>{escape(item.query)}</pre>\n"
    if item.upload is None:
        asked = {"LANG": "ADQL", "RESPONSEFORMAT": "html", "QUERY": item.query}
        content += f'<p><a href="{escape("sync?" + urlencode(asked))}">Run it</a></p>\n'
    else:
        content += f"<pre>{escape(item.upload)}</pre>\n"
    return example_element(item.id, item.name, item.text, content, for_clients=item.for_clients)
