"""Names: identifiers, target, telescope, instrument, title."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from obscore.assembly.context import Context, Values
from obscore.assembly.mapping import stem
from obscore.mapping.dates import read_moment

__all__ = ["identity", "path_without_end", "publisher_did"]

_OBS_ID = ("OBS_ID", "OBSID", "OBS-ID", "EXP-ID", "ROOTNAME", "ASN_ID")
_TARGET = ("OBJECT", "TARGNAME", "TARGET", "OBJNAME", "FPA.OBJECT")
_FACILITY = ("TELESCOP", "FPA.TELESCOPE", "OBSERVAT", "ORIGTEL")
_INSTRUMENT = ("INSTRUME", "FPA.INSTRUMENT", "CAMERA")
_PROPOSAL = ("PROPOSID", "PROPID", "PROP_ID", "PROP-ID", "PROGID", "PROG_ID", "ESO OBS PROG ID",
             "PROPOSAL", "PROGRAM")  # fmt: skip
_NO_TARGET = {"any", "data", "image", "object", "sky", "test"}


def publisher_did(authority: str, collection: str, relative: str, label: str | None) -> str:
    """Make the identifier of a product: an IVOID with the file's path as its local part.

    Parameters
    ----------
    authority
        IVOA authority of the site.
    collection
        Name of the collection; characters that a resource key may not have are encoded.
    relative
        Path of the file below the collection's folder.
    label
        What tells the product from the file's others; None where it is the only one.

    Returns
    -------
    str
        As ``ivo://authority/collection?path:label``. A ``:`` of the path is encoded, so that the
        label's is the only one.
    """
    key = quote(collection, safe="-._~!*'()+=")
    text = f"ivo://{authority}/{key}?{quote(relative, safe='/-._~+=,')}"
    return text if label is None else f"{text}:{quote(label, safe='-._~+=,')}"


def identity(context: Context) -> Values:
    """Give the identifiers and the names of what was observed, with what."""
    cards, candidate = context.cards, context.candidate
    label = context.group.label if context.several else None
    target = cards.text(*_TARGET)
    if target is not None and target.lower() in _NO_TARGET:
        other = cards.text(*(keyword for keyword in _TARGET if keyword != "OBJECT"))
        target = None if other is None or other.lower() in _NO_TARGET else other
    own = context.given_text("obs_publisher_did")
    did = publisher_did(context.rules.authority, candidate.collection, candidate.relative, label)
    if own is not None:
        did = own if label is None else f"{own}:{quote(label, safe='-._~+=,')}"
    values: dict[str, str | int | float | None] = {
        "obs_collection": candidate.collection,
        "obs_id": cards.text(*_OBS_ID) or path_without_end(candidate.relative),
        "obs_publisher_did": did,
        "target_name": target,
        "facility_name": cards.text(*_FACILITY),
        "instrument_name": cards.text(*_INSTRUMENT),
        "proposal_id": _proposal(context),
        "obs_creation_date": _creation(context),
    }
    return values | {"obs_title": _title(context, {**values, **context.given})}


def path_without_end(relative: str) -> str:
    """Give what tells a file from all others of its collection."""
    path = PurePosixPath(relative)
    return str(path.with_name(stem(path.name)))


def _proposal(context: Context) -> str | None:
    """Give an identifier of a proposal; titles of programmes are none."""
    for keyword in _PROPOSAL:
        text = context.cards.text(keyword)
        if text is not None and re.fullmatch(r"[\w.()+/-]{1,40}", text):
            return text
    return None


def _creation(context: Context) -> str | None:
    """Give the DATE card as a DALI timestamp."""
    text = context.cards.text("DATE")
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}:\d{2})(\.\d+)?Z?)?", text or "")
    if match is None or read_moment(match[1]) is None:
        return None
    return f"{match[1]}T{match[2] or '00:00:00'}"


def _title(context: Context, values: Values) -> str:
    """Describe the product in one line: target, filter, instrument, telescope, chip."""
    words = [values.get("target_name"), context.cards.text("FILTER")]
    text = ", ".join(
        str(word) for word in (*words, values.get("instrument_name"), values.get("facility_name"))
        if word is not None
    )  # fmt: skip
    if not text:
        text = PurePosixPath(context.candidate.relative).name
    if context.several:
        text = f"{text} [{context.group.label}]"
    return text[:250]
