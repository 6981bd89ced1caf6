"""Names: identifiers, target, telescope, instrument, title."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import quote

from obscore.assembly.context import Context, Values
from obscore.mapping.dates import read_moment
from obscore.sources.fits import PLAIN_PATH
from vodal.filetypes import stem_of

__all__ = ["identifiers", "identity", "path_without_end", "publisher_did"]

_OBS_ID = ("OBS_ID", "OBSID", "OBS-ID", "EXP-ID", "ROOTNAME", "ASN_ID")
_TARGET = ("OBJECT", "TARGNAME", "TARGET", "OBJNAME", "FPA.OBJECT")
_FACILITY = ("TELESCOP", "FPA.TELESCOPE", "OBSERVAT", "ORIGTEL")
_INSTRUMENT = ("INSTRUME", "FPA.INSTRUMENT", "CAMERA")
_PROPOSAL = ("PROPOSID", "PROPID", "PROP_ID", "PROP-ID", "PROGID", "PROG_ID", "ESO OBS PROG ID",
             "PROPOSAL", "PROGRAM")  # fmt: skip
_MANY = {"several", "various", "multiple", "many"}
_FILE_NAME = re.compile(r".*\[[^\]]*[/.][^\]]*\][\w.]*")
"""Of a section in IRAF, or on VMS."""
_NO_TARGET = {"any", "data", "image", "object", "sky", "test"}


def identifiers(authority: str, collection: str) -> Callable[[str, str | None], str]:
    """Give the function from paths and labels to what `publisher_did` makes of each."""
    head = publisher_did(authority, collection, "", None)

    def identifier(relative: str, label: str | None) -> str:
        if label is None and PLAIN_PATH.fullmatch(relative):
            return head + relative
        return publisher_did(authority, collection, relative, label)

    return identifier


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
    values: dict[str, str | int | float | None] = {"obs_collection": candidate.collection}
    with context.of("obs_collection"):
        context.used(how="the collection's name")
    with context.of("obs_id"):
        values["obs_id"] = cards.text(*_OBS_ID)
        if values["obs_id"] is None:
            values["obs_id"] = path_without_end(candidate.relative)
            context.used(how="the file's path")
    with context.of("obs_publisher_did"):
        values["obs_publisher_did"] = _did(context)
    with context.of("target_name"):
        values["target_name"] = _target(context)
    with context.of("facility_name"):
        values["facility_name"] = cards.text(*_FACILITY)
    with context.of("instrument_name"):
        values["instrument_name"] = cards.text(*_INSTRUMENT)
    with context.of("proposal_id"):
        values["proposal_id"] = _proposal(context)
    with context.of("obs_creation_date"):
        values["obs_creation_date"] = _creation(context)
    with context.of("obs_title"):
        values["obs_title"] = _title(context, {**values, **context.given})
    return values


def _did(context: Context) -> str:
    label = context.group.label if context.several else None
    own = context.given_text("obs_publisher_did")
    if own is not None:
        return own if label is None else f"{own}:{quote(label, safe='-._~+=,')}"
    context.used(how="authority, collection and path of the file")
    candidate = context.candidate
    return publisher_did(context.rules.authority, candidate.collection, candidate.relative, label)


def _target(context: Context) -> str | None:
    """Give the first name that is one; what an unset card says is none."""
    for keyword in _TARGET:
        text = context.cards.text(keyword)
        if text is not None and text.lower() not in _NO_TARGET and not _FILE_NAME.fullmatch(text):
            context.used(keyword)
            return text
    context.used()
    return None


def path_without_end(relative: str) -> str:
    """Give what tells a file from all others of its collection."""
    path = PurePosixPath(relative)
    return str(path.with_name(stem_of(path.name)))


def _proposal(context: Context) -> str | None:
    """Give an identifier of a proposal; titles of programmes are none."""
    for keyword in _PROPOSAL:
        text = context.cards.text(keyword)
        if text is None or text.lower() in _MANY:
            continue
        if re.fullmatch(r"[\w.()+/-]{1,40}", text):
            context.used(keyword)
            return text
    context.used()
    return None


def _creation(context: Context) -> str | None:
    """Give the DATE card as a DALI timestamp."""
    text = context.cards.text("DATE")
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}:\d{2})(\.\d+)?Z?)?", text or "")
    if match is None or read_moment(match[1]) is None:
        context.used()
        return None
    return f"{match[1]}T{match[2] or '00:00:00'}"


def _title(context: Context, values: Values) -> str:
    """Describe the product in one line: target, filter, instrument, telescope, chip."""
    words = [values.get("target_name"), context.cards.text("FILTER")]
    text = ", ".join(
        str(word) for word in (*words, values.get("instrument_name"), values.get("facility_name"))
        if word is not None
    )  # fmt: skip
    context.say("target, filter, instrument and telescope")
    if not text:
        text = PurePosixPath(context.candidate.relative).name
        context.used(how="the file's name")
    if context.several:
        text = f"{text} [{context.group.label}]"
    return text[:250]
