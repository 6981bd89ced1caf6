"""The user-defined functions as data: signatures, descriptions and what computes them.

Names and meanings are those of the IVOA's Endorsed Note "Catalogue of ADQL User Defined Functions",
version 1.2; forms are written as TAPRegExt 1.0 section 2.3 asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from obscore.adql.userdefined import dates, epochs, frames, healpix, sexagesimal, words
from vodal.regions import Point, Shape

__all__ = ["NOT_HERE", "USER_FUNCTIONS", "Parameter", "UserFunction", "forms", "user_features"]

Computed = int | float | str | Shape | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a user-defined function."""

    name: str
    type: str
    """INTEGER, BIGINT, DOUBLE PRECISION, VARCHAR, TIMESTAMP, POINT, or REGION for any geometry."""
    absent: float | None = None
    """What NULL stands for, where it does not make the result NULL."""
    choices: tuple[str, ...] = ()
    """Texts of which one stands here, written out."""


@dataclass(frozen=True, slots=True)
class UserFunction:
    """One form of a user-defined function."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: str
    """A type, as of a parameter; ``REGION`` is the geometry that was given."""
    description: str
    compute: Callable[..., Computed] | None
    """None for what is no function of its arguments alone: aggregates and random numbers."""
    unit: str | None = None
    ucd: str | None = None

    @property
    def signature(self) -> str:
        """The form that the capabilities declare."""
        parameters = ", ".join(f"{item.name} {item.type}" for item in self.parameters)
        return f"{self.name}({parameters}) -> {self.returns}"


def _parameters(text: str) -> tuple[Parameter, ...]:
    """Read ``name TYPE, name TYPE``."""
    pairs = (item.strip().split(" ", 1) for item in text.split(","))
    return tuple(Parameter(name, kind) for name, kind in pairs)


def _index_of_point(order: int, point: Point) -> int:
    return healpix.index(order, point.ra_deg, point.dec_deg)


def _center(order: int, cell: int) -> Point:
    return Point(*healpix.center(order, cell))


USER_FUNCTIONS: tuple[UserFunction, ...] = (
    UserFunction(
        "ivo_healpix_index",
        _parameters("hpxOrder INTEGER, long DOUBLE PRECISION, lat DOUBLE PRECISION"),
        "BIGINT",
        "The number of the HEALPix cell in which a position in degrees lies, in the NESTED scheme.",
        healpix.index,
        ucd="pos.healpix",
    ),
    UserFunction(
        "ivo_healpix_index",
        _parameters("hpxOrder INTEGER, point POINT"),
        "BIGINT",
        "The number of the HEALPix cell in which a point lies, in the NESTED scheme.",
        _index_of_point,
        ucd="pos.healpix",
    ),
    UserFunction(
        "ivo_healpix_center",
        _parameters("hpxOrder INTEGER, hpxIndex BIGINT"),
        "POINT",
        "The centre of a HEALPix cell, numbered in the NESTED scheme.",
        _center,
    ),
    UserFunction(
        "ivo_epoch_prop_pos",
        (
            *_parameters("ra DOUBLE PRECISION, dec DOUBLE PRECISION"),
            *(
                Parameter(name, "DOUBLE PRECISION", absent=0.0)
                for name in ("parallax", "pmra", "pmdec", "radial_velocity")
            ),
            *_parameters("ref_epoch DOUBLE PRECISION, out_epoch DOUBLE PRECISION"),
        ),
        "POINT",
        "The position of a star at another epoch: it moves along a straight line, with the proper "
        "motion pmra (times cos dec) and pmdec in mas/yr, the parallax in mas and the radial "
        "velocity in km/s that it has at ref_epoch; epochs in Julian years, positions in degrees.",
        epochs.position_at,
    ),
    UserFunction(
        "ivo_geom_transform",
        (
            Parameter("from_sys", "VARCHAR", choices=frames.FRAMES),
            Parameter("to_sys", "VARCHAR", choices=frames.FRAMES),
            Parameter("geo", "REGION"),
        ),
        "REGION",
        "A POINT, CIRCLE or POLYGON rotated from one frame to another; the frames are the literals "
        f"{', '.join(frames.FRAMES)}, with equinox J2000 (FK4: B1950).",
        frames.transformed,
    ),
    UserFunction(
        "ivo_to_jd",
        _parameters("d TIMESTAMP"),
        "DOUBLE PRECISION",
        "The Julian date of a timestamp, or of a text in DALI's form; time scales are not heeded.",
        dates.julian_date,
        "d",
        "time.epoch",
    ),
    UserFunction(
        "ivo_to_mjd",
        _parameters("d TIMESTAMP"),
        "DOUBLE PRECISION",
        "The modified Julian date of a timestamp, or of a text in DALI's form; time scales are not "
        "heeded.",
        dates.modified_julian_date,
        "d",
        "time.epoch",
    ),
    UserFunction(
        "ivo_string_agg",
        _parameters("expression VARCHAR, delimiter VARCHAR"),
        "VARCHAR",
        "The values of the expression in a group, joined by the delimiter and in the order of "
        "their characters; NULLs leave no trace.",
        None,
    ),
    UserFunction(
        "ivo_nocasematch",
        _parameters("value VARCHAR, pattern VARCHAR"),
        "INTEGER",
        "1 if value ILIKE pattern, else 0.",
        None,
    ),
    UserFunction(
        "ivo_hasword",
        _parameters("haystack VARCHAR, needle VARCHAR"),
        "INTEGER",
        "1 if every word of needle is a word of haystack, in any case, else 0; words are runs of "
        "letters and digits, and are compared as a whole.",
        words.has_words,
    ),
    UserFunction(
        "ivo_hashlist_has",
        _parameters("hashlist VARCHAR, item VARCHAR"),
        "INTEGER",
        "1 if item is, in any case, one of the words that hashlist has between its hash signs, "
        "else 0.",
        words.has_item,
    ),
    UserFunction(
        "ivo_normal_random",
        _parameters("mu DOUBLE PRECISION, sigma DOUBLE PRECISION"),
        "DOUBLE PRECISION",
        "A random number of the normal distribution with this mean and standard deviation.",
        None,
    ),
    UserFunction(
        "ivo_interval_overlaps",
        _parameters(
            "a1 DOUBLE PRECISION, b1 DOUBLE PRECISION, a2 DOUBLE PRECISION, b2 DOUBLE PRECISION"
        ),
        "INTEGER",
        "1 if the intervals from a1 to b1 and from a2 to b2 have a number in common, else 0; one "
        "whose lower bound is above its upper bound has none.",
        None,
    ),
    UserFunction(
        "ivo_hms_to_degrees",
        _parameters("hms VARCHAR"),
        "DOUBLE PRECISION",
        "Hours, minutes and seconds (h:m:s, hhmmss or hHmMsS) as degrees; NULL for other texts.",
        sexagesimal.degrees_of_hms,
        "deg",
    ),
    UserFunction(
        "ivo_dms_to_degrees",
        _parameters("dms VARCHAR"),
        "DOUBLE PRECISION",
        "Degrees, minutes and seconds (d:m:s, ddmmss or dDmMsS, with or without a sign) as "
        "degrees; NULL for other texts.",
        sexagesimal.degrees_of_dms,
        "deg",
    ),
)
"""All forms, in the catalogue's order."""

NOT_HERE = {
    "IVO_SIMBADPOINT": "it would ask another service; put the object's position into the query",
    "IVO_EPOCH_PROP": "it gives an array, and expressions have none here; use ivo_epoch_prop_pos",
    "IVO_HISTOGRAM": "it gives an array, and expressions have none here; use GROUP BY FLOOR(...)",
}
"""Functions of the catalogue that are refused by name, and why."""

_FORMS: dict[str, list[UserFunction]] = {}
for _function in USER_FUNCTIONS:
    _FORMS.setdefault(_function.name.upper(), []).append(_function)


def forms(name: str) -> Sequence[UserFunction]:
    """Give the forms of a function by its name in upper case; none if it is unknown."""
    return _FORMS.get(name, ())


def user_features() -> tuple[tuple[str, str], ...]:
    """Give form and description of each function, for ``features-udf`` of the capabilities."""
    return tuple((item.signature, item.description) for item in USER_FUNCTIONS)
