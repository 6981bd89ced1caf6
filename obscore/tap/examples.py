"""Queries to start from, as the page that DALI 1.1 section 2.3 describes."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["EXAMPLES", "Example", "examples_page"]


@dataclass(frozen=True, slots=True)
class Example:
    """One query with what it is for."""

    id: str
    name: str
    text: str
    query: str


# The frame 'ICRS' is there for the parsers of ADQL 2.0 in clients; ADQL 2.1 needs none.
EXAMPLES: tuple[Example, ...] = (
    Example(
        "cone",
        "Images that show a position",
        "Finds the images whose footprint holds a position, with where to get them.",
        """SELECT obs_publisher_did, s_ra, s_dec, s_region, t_min, filter, access_url, access_format
FROM ivoa.obscore
WHERE 1 = CONTAINS(POINT('ICRS', 150.1, 2.2), s_region)""",
    ),
    Example(
        "overlap",
        "Images that overlap a region",
        "Finds the images in one band whose footprint overlaps a circle of half a degree.",
        """SELECT *
FROM ivoa.obscore
WHERE dataproduct_type = 'image'
  AND em_min < 6.5E-7 AND em_max > 5.5E-7
  AND 1 = INTERSECTS(s_region, CIRCLE('ICRS', 150.1, 2.2, 0.5))""",
    ),
    Example(
        "nearest",
        "The images centred nearest to a position",
        "Orders by the distance of the image's centre, in degrees.",
        """SELECT TOP 10 obs_id, filter,
  DISTANCE(POINT('ICRS', s_ra, s_dec), POINT('ICRS', 150.1, 2.2)) AS separation
FROM ivoa.obscore
WHERE 1 = CONTAINS(POINT('ICRS', s_ra, s_dec), CIRCLE('ICRS', 150.1, 2.2, 2.0))
ORDER BY separation""",
    ),
    Example(
        "night",
        "What was taken in a span of time",
        "Times are Modified Julian Dates; this is one day.",
        """SELECT obs_id, instrument_name, filter, t_min, t_exptime
FROM ivoa.obscore
WHERE t_min BETWEEN 60000.0 AND 60001.0
ORDER BY t_min""",
    ),
    Example(
        "summary",
        "What there is",
        "Counts the images of each collection, instrument and filter.",
        """SELECT obs_collection, instrument_name, filter, COUNT(*) AS images,
  MIN(t_min) AS first_mjd, MAX(t_max) AS last_mjd, SUM(access_estsize) AS size_kbyte
FROM ivoa.obscore
GROUP BY obs_collection, instrument_name, filter
ORDER BY obs_collection, instrument_name, filter""",
    ),
)


def examples_page(examples: tuple[Example, ...] = EXAMPLES) -> str:
    """Write the examples as XHTML with RDFa."""
    parts = [
        f'<div id="{item.id}" resource="#{item.id}" typeof="example">\n'
        f'<h2 property="name">{escape(item.name)}</h2>\n'
        f"<p>{escape(item.text)}</p>\n"
        f'<pre property="query">{escape(item.query)}</pre>\n'
        "</div>\n"
        for item in examples
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        '<head><title>Examples of queries</title><meta charset="utf-8"/></head>\n'
        '<body vocab="http://www.ivoa.net/rdf/examples#">\n<h1>Examples of queries</h1>\n'
        + "".join(parts)
        + "</body>\n</html>\n"
    )
