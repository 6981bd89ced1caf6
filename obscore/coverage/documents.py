"""Maps in the forms of MOC 2.0: FITS, JSON, text."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Final

from obscore.adql.userdefined.healpix import MAX_ORDER
from obscore.coverage.ranges import Ranges, finest_order

__all__ = ["FORMS", "Form", "find_form", "write_moc"]


@dataclass(frozen=True, slots=True)
class Form:
    """How a map is written."""

    name: str
    media_type: str
    extension: str


FORMS: Final = (
    Form("fits", "application/fits", "fits"),
    Form("json", "application/json", "json"),
    Form("ascii", "text/plain", "txt"),
)
"""The first is given where none is asked for."""

_LEAST_ORDER: Final = 5
"""A map of few large cells is told to be of this order at least: clients draw its edges by it."""


def find_form(name: str) -> Form | None:
    """Find a form by its name, media type, or the end of a file's name."""
    wanted = name.strip().lower().partition(";")[0]
    names = {"moc": FORMS[0], "image/fits": FORMS[0], "text": FORMS[2], "string": FORMS[2]}
    for form in FORMS:
        if wanted in {form.name, form.media_type, form.extension}:
            return form
    return names.get(wanted)


def write_moc(ranges: Ranges, form: Form) -> bytes:
    """Write a map.

    Parameters
    ----------
    ranges
        Of cells of order 29: see `obscore.coverage.ranges`.
    form
        One of `FORMS`.
    """
    from mocpy import MOC  # noqa: PLC0415 - in servers only where a map is asked for

    order = min(MAX_ORDER, max(_LEAST_ORDER, finest_order(ranges)))
    moc = MOC.from_depth29_ranges(order, ranges)
    match form.name:
        case "json":
            return json.dumps(moc.serialize(format="json"), separators=(",", ":")).encode()
        case "ascii":
            return str(moc.serialize(format="str")).encode() + b"\n"
        case _:
            out = io.BytesIO()
            moc.serialize(format="fits").writeto(out)
            return out.getvalue()
