"""The formats that cutouts are served in: media types, short names, how a request asks for one.

RESPONSEFORMAT, or FORMAT as SODA's first drafts had it, takes a media type or a short name (DALI
1.1 section 3.4.3). A request without either may ask by its ``Accept`` header, but only where that
leaves FITS out: browsers accept everything, and a link to a cutout must not become a picture for
that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params

__all__ = [
    "FITS",
    "FORMATS",
    "PNG",
    "Format",
    "accepted_format",
    "format_of_file",
    "requested_format",
]

_PARAMETERS: Final = ("RESPONSEFORMAT", "FORMAT")


@dataclass(frozen=True, slots=True)
class Format:
    """One format of answers."""

    name: str
    """Short name; what requests may say in place of the media type."""
    media_type: str
    """As ``Content-Type`` has it, without blanks."""
    suffix: str
    """Of file names, with the dot."""
    kind: Literal["fits", "rice", "gzip", "picture"]
    aliases: tuple[str, ...] = ()


FITS: Final = Format("fits", "image/fits", ".fits", "fits")
PNG: Final = Format("png", "image/png", ".png", "picture")
# Firefly takes image/fits for an image without looking, application/fits only perhaps.
FORMATS: Final = (
    FITS,
    Format("application-fits", "application/fits", ".fits", "fits"),
    Format(
        "fits-rice", "image/fits;compression=rice", ".fits.fz", "rice",
        ("application/fits;compression=rice", "image/x-fits-rice"),
    ),
    Format(
        "fits-gzip", "image/fits;compression=gzip", ".fits.fz", "gzip",
        ("application/fits;compression=gzip", "image/x-fits-gzip"),
    ),
    PNG,
    Format("jpeg", "image/jpeg", ".jpg", "picture", ("jpg", "image/jpg")),
    Format("webp", "image/webp", ".webp", "picture"),
)  # fmt: skip
"""All that are served, the default first."""

_BY_NAME: Final = {
    name: one for one in FORMATS for name in (one.name, one.media_type, *one.aliases)
}


def _key(text: str) -> str:
    """Give the form in which names are compared; of a media type's parameters one counts."""
    base, *rest = (part.strip().lower() for part in text.split(";"))
    for part in rest:
        name, _, value = part.partition("=")
        if name.strip() == "compression":
            value = value.strip().strip('"')
            return f"{base};compression={value}"
    return base


def requested_format(params: Params) -> Format | None:
    """Find the format that a request's parameters name; None if they name none.

    Raises
    ------
    UsageError
        If a format is not served.
    MultiValuedParamNotSupported
        If several different ones are named.
    """
    found: dict[str, Format] = {}
    for parameter in _PARAMETERS:
        for value in params.all(parameter):
            one = _BY_NAME.get(_key(value))
            if one is None:
                served = ", ".join(f"{one.media_type} ({one.name})" for one in FORMATS)
                raise UsageError(f"{parameter} may be {served}; not '{value[:60]}'")
            found[one.name] = one
    if len(found) > 1:
        raise MultiValuedParamNotSupported(
            f"RESPONSEFORMAT may be given only once, not as {' and '.join(sorted(found))}"
        )
    return next(iter(found.values()), None)


def format_of_file(name: str) -> Format | None:
    """Find the format that a file's name ends in; None if it tells none."""
    lower = name.lower()
    for one in FORMATS:
        endings = (one.suffix, *(f".{alias}" for alias in one.aliases if alias.isalpha()))
        if lower.endswith(endings):
            return one
    return None


def accepted_format(accept: str) -> Format | None:
    """Find the format that an ``Accept`` header asks for (RFC 9110 section 12.5.1).

    Gives None where FITS would do as well, or where none of the named types is served, as the
    answer is FITS then.
    """
    best: tuple[float, Format] | None = None
    for name, quality in _accepted(accept):
        if quality <= 0.0:
            continue
        if name in {"*/*", "image/*", "application/*", "image/fits", "application/fits"}:
            return None
        one = _BY_NAME.get(name)
        if one is not None and "/" in name and (best is None or quality > best[0]):
            best = quality, one
    return None if best is None else best[1]


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    for entry in accept.split(","):
        quality = 1.0
        for part in entry.split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        yield _key(entry), quality
