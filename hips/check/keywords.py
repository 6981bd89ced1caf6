"""Rules of the properties file (HiPS 1.0 section 4.4.1), each a small function."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from hips.check.finding import Finding, error, note, warning
from hips.check.survey import EXTENSIONS, Survey
from hips.properties import MANDATORY, RECOMMENDED

__all__ = ["KEYWORD_RULES", "is_minute"]

_WHERE: Final = "properties"
_CLAUSE: Final = "4.4.1"
_REPEATABLE: Final = {
    "prov_progenitor", "bib_reference", "bib_reference_url", "obs_regime", "data_ucd",
    "client_link", "hips_history", "addendum_did", "hips_progenitor_url",
}  # fmt: skip
_DATES: Final = ("hips_release_date", "hips_creation_date")
_STATUS: Final = (
    ("private", "public"), ("master", "mirror", "partial"),
    ("clonable", "unclonable", "clonableOnce"),
)  # fmt: skip
_FRAMES: Final = ("equatorial", "galactic", "ecliptic")
_TYPES: Final = ("image", "catalog", "cube", "spectral-cube", "time-cube", "meta")
_REGIMES: Final = (
    "Radio", "Millimeter", "Infrared", "Optical", "UV", "EUV", "X-ray", "Gamma-ray"
)  # fmt: skip
_BITPIX: Final = ("-64", "-32", "8", "16", "32", "64")
_PAIRS: Final = ("hips_pixel_cut", "hips_data_range", "hips_data_minmax")
_URLS: Final = (
    "hips_service_url", "moc_access_url", "obs_copyright_url", "bib_reference_url",
    "hips_progenitor_url",
)  # fmt: skip
_RANGES: Final = {
    "hips_initial_ra": (0.0, 360.0), "hips_initial_dec": (-90.0, 90.0),
    "hips_initial_fov": (0.0, 360.0), "moc_sky_fraction": (0.0, 1.0),
    "em_min": (0.0, float("inf")), "em_max": (0.0, float("inf")),
    "t_min": (-1e6, 1e7), "t_max": (-1e6, 1e7), "hips_pixel_scale": (0.0, 180.0),
    "s_pixel_scale": (0.0, 180.0), "hips_estsize": (0.0, float("inf")),
    "hips_nb_tiles": (0.0, float("inf")),
}  # fmt: skip
_VERSIONS: Final = ("1.4", "1.5")

Rule = Callable[[Survey], Iterator[Finding]]


def is_minute(stamp: str) -> bool:
    """Tell whether a time is written as HiPS wants it: ``2026-01-31T04:05Z``."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", stamp, re.ASCII):
        return False
    try:
        datetime.strptime(stamp, "%Y-%m-%dT%H:%MZ")  # noqa: DTZ007 - only its form is judged
    except ValueError:
        return False
    return True


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def mandatory(survey: Survey) -> Iterator[Finding]:
    """See that the nine keywords are there that must be."""
    for key in MANDATORY:
        if not survey.values.get(key):
            yield error(_CLAUSE, "keyword-mandatory", _WHERE, f"{key} is missing")


def recommended(survey: Survey) -> Iterator[Finding]:
    """See that those are there that should be."""
    for key in RECOMMENDED:
        if not survey.values.get(key):
            yield warning(_CLAUSE, "keyword-recommended", _WHERE, f"{key} is missing")


def repeated(survey: Survey) -> Iterator[Finding]:
    """See that only those keywords are repeated that may be."""
    for key, count in Counter(key for key, _ in survey.pairs).items():
        if count > 1 and key not in _REPEATABLE:
            yield error(_CLAUSE, "keyword-repeated", _WHERE, f"{key} is given {count} times")


def words(survey: Survey) -> Iterator[Finding]:
    """See that a keyword has no blanks."""
    for key, _ in survey.pairs:
        if not key or re.search(r"\s", key):
            yield error(
                _CLAUSE, "keyword-blank", _WHERE, f"the keyword '{key}' has a blank or is none"
            )


def identifier(survey: Survey) -> Iterator[Finding]:
    """See that the creator's identifier is an IVOID (IVOA Identifiers 2.0 section 2.3)."""
    did = survey.values.get("creator_did")
    if did and not re.fullmatch(
        r"ivo://[A-Za-z0-9][\w.\-]{2,}(/[^\s?#]*)?([?#]\S*)?", did, re.ASCII
    ):
        yield error(_CLAUSE, "creator-did", _WHERE, f"creator_did '{did}' is no IVOID")
    publisher = survey.values.get("publisher_id")
    if publisher and not publisher.startswith("ivo://"):
        yield warning(_CLAUSE, "publisher-id", _WHERE, f"publisher_id '{publisher}' is no IVOID")


def title(survey: Survey) -> Iterator[Finding]:
    """See that the title is short."""
    if len(survey.values.get("obs_title", "")) > 100:
        yield warning(_CLAUSE, "title-long", _WHERE, "obs_title has more than 100 characters")


def dates(survey: Survey) -> Iterator[Finding]:
    """See that dates are UTC to the minute."""
    for key in _DATES:
        stamp = survey.values.get(key)
        if stamp and not is_minute(stamp):
            say = f"{key} '{stamp}' is not of the form YYYY-mm-ddTHH:MMZ"
            yield error(_CLAUSE, "date", _WHERE, say)
    made, released = (survey.values.get(key, "") for key in reversed(_DATES))
    if is_minute(made) and is_minute(released) and made > released:
        say = f"hips_release_date {released} is before hips_creation_date {made}"
        yield warning(_CLAUSE, "date-order", _WHERE, say)


def status(survey: Survey) -> Iterator[Finding]:
    """See that the status has at most one word of each of three groups, divided by blanks."""
    text = survey.values.get("hips_status", "")
    found = text.split()
    if "," in text:
        yield error(
            _CLAUSE, "status", _WHERE, "hips_status has commas; its words are divided by blanks"
        )
        return
    for word in found:
        if not any(word in group for group in _STATUS):
            yield error(_CLAUSE, "status", _WHERE, f"hips_status has '{word}', which is no status")
    for group in _STATUS:
        if sum(word in group for word in found) > 1:
            yield error(_CLAUSE, "status", _WHERE, f"hips_status has several of {', '.join(group)}")


def version(survey: Survey) -> Iterator[Finding]:
    """See that the version is that of the standard."""
    text = survey.values.get("hips_version")
    if not text:
        return
    if not re.fullmatch(r"\d+(\.\d+)+", text):
        yield error(_CLAUSE, "version", _WHERE, f"hips_version '{text}' is no version")
    elif text not in _VERSIONS:
        say = f"hips_version is {text}; HiPS 1.0 is 1.4"
        yield warning(_CLAUSE, "version", _WHERE, say)


def formats(survey: Survey) -> Iterator[Finding]:
    """See that the formats are known words, divided by blanks."""
    text = survey.values.get("hips_tile_format", "")
    if "," in text:
        say = "hips_tile_format has commas; its words are divided by blanks"
        yield error(_CLAUSE, "tile-format", _WHERE, say)
    for word in re.split(r"[\s,]+", text.strip()):
        if word == "webp":
            if len(survey.extensions) == 1:
                say = "tiles are there as webp only, which not all clients read"
                yield warning("4.2.1.3", "tile-format-webp", _WHERE, say)
        elif word and word not in EXTENSIONS:
            hint = {"jpg": "; the word is jpeg", "tsv": ": catalogues are not checked"}.get(
                word, ""
            )
            say = f"hips_tile_format has '{word}', which is no image format{hint}"
            yield error(_CLAUSE, "tile-format", _WHERE, say)


def orders(survey: Survey) -> Iterator[Finding]:
    """See that orders are whole numbers that HEALPix has."""
    for key in ("hips_order", "hips_order_min"):
        text = survey.values.get(key)
        if text and not (re.fullmatch(r"\d{1,2}", text) and int(text) <= 29):
            yield error(_CLAUSE, "order", _WHERE, f"{key} '{text}' is no order; 0 to 29 are")
    low, high = survey.values.get("hips_order_min", "0"), survey.values.get("hips_order", "29")
    if low.isdecimal() and high.isdecimal() and int(low) > int(high):
        yield error(_CLAUSE, "order", _WHERE, "hips_order_min is above hips_order")


def width(survey: Survey) -> Iterator[Finding]:
    """See that a tile's side is a power of two."""
    text = survey.values.get("hips_tile_width")
    if text is None:
        say = "hips_tile_width is missing; 512 is taken"
        yield note("4.2.1", "tile-width", _WHERE, say)
    elif not text.isdecimal() or int(text) < 1 or int(text) & (int(text) - 1):
        yield error("4.2.1", "tile-width", _WHERE, f"hips_tile_width '{text}' is no power of two")
    elif not 128 <= int(text) <= 1024:
        say = f"hips_tile_width is {text}; clients are made for 512 (aladin-lite issue 302)"
        yield warning("Aladin Lite", "tile-width-odd", _WHERE, say)


def frame(survey: Survey) -> Iterator[Finding]:
    """See that the frame is of the sky, or of a body that is named."""
    text = survey.values.get("hips_frame")
    if text and text not in _FRAMES and not survey.values.get("hips_body"):
        say = f"hips_frame '{text}' is none of {', '.join(_FRAMES)}, and no hips_body is named"
        yield error(_CLAUSE, "frame", _WHERE, say)


def kind(survey: Survey) -> Iterator[Finding]:
    """See what it is a HiPS of, and that what this kind needs is there."""
    text = survey.values.get("dataproduct_type")
    if text and text not in _TYPES:
        say = f"dataproduct_type '{text}' is none of {', '.join(_TYPES)}"
        yield error(_CLAUSE, "dataproduct-type", _WHERE, say)
    depth = survey.values.get("hips_cube_depth")
    if text == "cube" and (depth is None or not depth.isdecimal() or int(depth) < 1):
        say = "hips_cube_depth, the number of planes, is missing or no number"
        yield error(_CLAUSE, "cube-depth", _WHERE, say)


def regime(survey: Survey) -> Iterator[Finding]:
    """See that the part of the spectrum is one of eight words."""
    for key, text in survey.pairs:
        if key == "obs_regime" and text not in _REGIMES:
            say = f"obs_regime '{text}' is none of {', '.join(_REGIMES)}"
            yield warning(_CLAUSE, "regime", _WHERE, say)


def numbers(survey: Survey) -> Iterator[Finding]:
    """See that what are numbers are numbers, in their range."""
    for key, (low, high) in _RANGES.items():
        text = survey.values.get(key)
        value = _float(text) if text else None
        if text and (value is None or not low <= value <= high):
            say = f"{key} '{text}' is no number from {low:g} to {high:g}"
            yield error(_CLAUSE, "number", _WHERE, say)
    for key in _PAIRS:
        text = survey.values.get(key)
        parts = [_float(part) for part in text.split()] if text else []
        if text and (len(parts) != 2 or None in parts):
            yield error(_CLAUSE, "range", _WHERE, f"{key} '{text}' is not two numbers")
        elif (
            len(parts) == 2
            and parts[0] is not None
            and parts[1] is not None
            and (parts[0] > parts[1])
        ):
            yield error(_CLAUSE, "range", _WHERE, f"{key} '{text}' is the higher number first")
    for low_key, high_key in (("t_min", "t_max"), ("em_min", "em_max")):
        first, last = (_float(survey.values.get(key, "")) for key in (low_key, high_key))
        if first is not None and last is not None and first > last:
            yield error(_CLAUSE, "range", _WHERE, f"{low_key} is above {high_key}")


def bitpix(survey: Survey) -> Iterator[Finding]:
    """See that BITPIX of FITS tiles is told: Aladin Lite shows none without (issue 311)."""
    for key in ("hips_pixel_bitpix", "data_pixel_bitpix"):
        text = survey.values.get(key)
        if text and text not in _BITPIX:
            say = f"{key} '{text}' is none of {', '.join(_BITPIX)}"
            yield error(_CLAUSE, "bitpix", _WHERE, say)
    if "fits" in survey.extensions and not survey.values.get("hips_pixel_bitpix"):
        say = "hips_pixel_bitpix is missing, which clients need for FITS tiles"
        yield warning("Aladin Lite", "bitpix-missing", _WHERE, say)


def cut(survey: Survey) -> Iterator[Finding]:
    """See that a range of values is given, by which clients show FITS tiles."""
    if "fits" in survey.extensions and not survey.values.get("hips_pixel_cut"):
        say = "hips_pixel_cut is missing: clients do not know how to show FITS tiles"
        yield warning("Aladin Lite", "pixel-cut-missing", _WHERE, say)


def urls(survey: Survey) -> Iterator[Finding]:
    """See that what are URLs are URLs."""
    for key, text in survey.pairs:
        if key in _URLS and not re.match(r"(https?|ftp)://\S+$", text):
            yield error(_CLAUSE, "url", _WHERE, f"{key} '{text}' is no URL")


KEYWORD_RULES: Final[tuple[Rule, ...]] = (
    mandatory, recommended, repeated, words, identifier, title, dates, status, version, formats,
    orders, width, frame, kind, regime, numbers, bitpix, cut, urls,
)  # fmt: skip
