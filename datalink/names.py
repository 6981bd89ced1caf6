"""Identifiers as one segment of a URL's path.

An identifier holds ``:``, ``/``, ``?``, ``#`` and ``%``. Percent-encoded in a path it does not
survive: servers and proxies decode ``%2F`` before they route, merge ``//`` or refuse it, and
remove segments of dots. So a segment is written with unreserved characters alone (RFC 3986
section 2.3), which nothing on the way touches: letters, digits, ``.``, ``_`` and ``-`` stand for
themselves and every other byte of the UTF-8 text is ``~`` and two hexadecimal digits in upper case.

    ivo://example.org/survey?r/exp-01.fits   ivo~3A~2F~2Fexample.org~2Fsurvey~3Fr~2Fexp-01.fits

Each identifier has one such name and each name one identifier.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["decode_segment", "encode_segment"]

_PLAIN = re.compile(rb"[^A-Za-z0-9._-]")
_ESCAPE = re.compile(r"~([0-9A-F]{2})")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._-]|~[0-9A-F]{2})+")


@lru_cache(maxsize=1024)
def encode_segment(did: str) -> str:
    """Write an identifier as a segment of a path.

    Kept, since several links of a product name it: for identifiers of the catalogue, not for
    texts of any length that somebody sends.
    """
    return _encoded(did)


def _encoded(did: str) -> str:
    text = _PLAIN.sub(lambda match: b"~%02X" % match[0][0], did.encode("utf-8")).decode("ascii")
    if not text.strip("."):
        # "." and ".." would be taken for steps in the path.
        return text.replace(".", "~2E")
    return text


def decode_segment(segment: str) -> str | None:
    """Give the identifier that `encode_segment` wrote so; None if it wrote no such segment."""
    if not _SEGMENT.fullmatch(segment):
        return None
    try:
        did = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), segment).encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
    return did if _encoded(did) == segment else None
